package transfer

import (
	"io"
	"sync"
)

// gate is a reader that can be abandoned while a Read is blocked.
type gate struct {
	r       io.Reader
	mu      sync.Mutex
	reading bool
	shut    bool
	passed  int64 // bytes
}

func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return 0, ErrClosed
	}
	g.reading = true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.reading = false
		g.mu.Unlock()
	}()
	n, err := g.r.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return 0, ErrClosed
	}
	g.passed += int64(max(n, 0))
	return n, err
}

// abandon discards all further reads and reports whether a Read is still blocked.
func (g *gate) abandon() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	return g.reading
}
