package transfer

import (
	"context"
	"sync/atomic"
)

// solo lets one call at a time read from a reader, and Close end it. Two reads at once would hash bytes twice, or in the
// wrong order; and Close may come from another goroutine, as from one that watches for the end of a request.
type solo struct {
	busy, shutting atomic.Bool
	cancel         context.CancelCauseFunc // ends the read that is under way
}

// enter returns false while another call reads.
func (s *solo) enter() bool { return s.busy.CompareAndSwap(false, true) }

// leave ends what enter began, and calls shut if close was called meanwhile.
func (s *solo) leave(shut func()) {
	s.busy.Store(false)
	if s.shutting.Load() {
		s.end(shut)
	}
}

// close ends the read that is under way, and calls shut; if a call is reading, that one will.
func (s *solo) close(shut func()) {
	s.shutting.Store(true)
	s.cancel(ErrClosed)
	s.end(shut)
}

func (s *solo) end(shut func()) {
	if s.enter() {
		shut()
		s.busy.Store(false)
	}
}
