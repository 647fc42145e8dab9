package transfer

import (
	"errors"
	"sync"
)

// errPanicked ends a transfer one of whose callbacks panicked; the caller sees the panic, not the error.
var errPanicked = errors.New("transfer: a callback panicked")

// panicked keeps what a callback panicked with in a goroutine of ours, to be raised again in the caller's: there it can be recovered, and
// our goroutines have ended by then.
type panicked struct {
	mu    sync.Mutex
	value any
	yes   bool
}

// catch calls f.
func (p *panicked) catch(f func() error) (err error) {
	crashed := true
	defer func() {
		if crashed {
			v := recover()
			p.mu.Lock()
			if !p.yes {
				p.value, p.yes = v, true
			}
			p.mu.Unlock()
			err = errPanicked
		}
	}()
	err = f()
	crashed = false
	return err
}

// raise panics if f did.
func (p *panicked) raise() {
	p.mu.Lock()
	v, yes := p.value, p.yes
	p.mu.Unlock()
	if yes {
		panic(v)
	}
}
