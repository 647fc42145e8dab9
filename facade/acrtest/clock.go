package acrtest

import "time"

// Now gives the registry's time: that of the test, plus what [Server.Advance] has added.
func (s *Server) Now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// Advance moves the registry's clock by d at once, backwards too: tokens and signed links expire, retention periods pass, and
// the Date header follows. It costs nothing and waits for nothing. The clock of the test itself does not move.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

func (s *Server) now() time.Time { return s.Now() }
