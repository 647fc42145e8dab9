package transfer

import (
	"io"
	"sync"
)

// ReadStream is ReadFrom, but it returns when the writer's context ends even if r.Read does not: what that Read gets is thrown away.
// What r panics with is raised in the caller.
func (w *Writer) ReadStream(r io.Reader) error {
	g := &gate{r: r}
	var err error
	var crash panicked
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = crash.catch(func() error {
			_, err := w.ReadFrom(g)
			return err
		})
	}()
	select {
	case <-done:
	case <-w.ctx.Done():
		if g.abandon() {
			return cause(w.ctx)
		}
		<-done
	}
	crash.raise()
	return ended(w.ctx, err)
}

// gate is a reader that can be left alone while a Read is under way.
type gate struct {
	r       io.Reader
	mu      sync.Mutex
	reading bool
	shut    bool
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
	return n, err
}

// abandon shuts the gate and tells whether a Read is still under way.
func (g *gate) abandon() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	return g.reading
}
