package transfer

import (
	"errors"
	"sync"
)

// errPanicked ends a transfer because a callback panicked. The caller sees the panic, not this
// error.
var errPanicked = errors.New("transfer: a callback panicked")

// panicked keeps the value of a panic in a goroutine of this package, so that the caller's
// goroutine can panic with it instead: there it can be recovered, and by then the goroutines of
// this package have ended.
type panicked struct {
	mu     sync.Mutex
	value  any
	yes    bool
	raised bool
}

// catch calls f and returns its error, or errPanicked if it panicked.
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

// raise panics with the value that was caught, if any. It does so once: who goes on after a panic, such as a deferred
// Cancel, gets errPanicked.
func (p *panicked) raise() {
	p.mu.Lock()
	v, raise := p.value, p.yes && !p.raised
	p.raised = p.raised || raise
	p.mu.Unlock()
	if raise {
		panic(v)
	}
}
