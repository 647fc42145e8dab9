package acrtest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A registry that was closed refuses connections, and its clients do not talk to whoever has its port by then.
func TestClosedRefuses(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]acrtest.Option{nil, {acrtest.WithMemoryNetwork()}} {
		s := acrtest.New(t, opts...)
		s.Close()
		if len(opts) == 0 {
			other, err := net.Listen("tcp", s.Host())
			if err == nil {
				defer func() { _ = other.Close() }()
			} // else another program listens there, and the client must be refused all the same
		}
		if conn, err := s.DialContext(t.Context(), "tcp", s.Host()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, %v", conn, err)
		}
	}
}
