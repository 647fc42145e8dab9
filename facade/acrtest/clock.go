package acrtest

import (
	"sync/atomic"
	"time"
)

// clock is the registry's time: that of the process, moved by an offset.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Now returns the time on the registry's clock: the time of the test plus what [Server.Advance] has
// added.
func (s *Server) Now() time.Time { return s.clock.now() }

// Advance moves the registry's clock by d, which may be negative. It returns at once. Tokens and
// signed links expire, retention periods pass and the Date header changes accordingly. The clock of
// the test does not move.
func (s *Server) Advance(d time.Duration) { s.clock.offset.Add(int64(d)) }
