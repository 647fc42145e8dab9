package transfer

import (
	"context"
	"errors"
	"sync/atomic"
)

// solo lets one call at a time read a body, and Close end it. Two reads at once would hash bytes twice, or in the wrong
// order; and Close may come from another goroutine, as from one that watches for the end of a request.
type solo struct {
	b              *body
	err            error                   // what reads fail with
	cancel         context.CancelCauseFunc // ends the read that is under way
	busy, shutting atomic.Bool
}

// enter returns false while another call reads.
func (s *solo) enter() bool { return s.busy.CompareAndSwap(false, true) }

// leave ends what enter began, and closes the connection if Close was called meanwhile.
func (s *solo) leave() {
	s.busy.Store(false)
	if s.shutting.Load() {
		s.shut()
	}
}

// Close closes the connection. It ends a read that is under way; later reads return ErrClosed.
func (s *solo) Close() error {
	s.shutting.Store(true)
	s.cancel(ErrClosed)
	s.shut()
	return nil
}

// shut closes the connection, unless a call is reading from it: that one will.
func (s *solo) shut() {
	if !s.enter() {
		return
	}
	s.b.disconnect()
	if s.err == nil || errors.Is(s.err, context.Canceled) && errors.Is(s.err, ErrClosed) {
		s.err = ErrClosed
	}
	s.busy.Store(false)
}
