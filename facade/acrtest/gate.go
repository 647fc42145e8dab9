package acrtest

import "sync"

// gate counts those inside, and once closed lets nobody in and waits for the last to leave. A
// sync.WaitGroup would not do: a request may arrive while the server closes.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{}
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	already := g.closed
	g.closed = true
	if !already && g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
}
