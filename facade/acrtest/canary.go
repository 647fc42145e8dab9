package acrtest

import (
	"net"
	"net/http"
)

// Canary starts a server that is none of the registry's, and gives its URL. A test names it in a redirect, a Location, a Link or
// a realm, and asserts with [Ledger.NoCredentialLeaked] or [Ledger.None] that no credential, or no request at all, came there. Its
// requests are in the ledger under [CanaryOrigin]; handler answers them, a nil one with an empty 200. It ends with the emulator.
func (s *Server) Canary(handler http.Handler) (url string, err error) {
	if handler == nil {
		handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}
	certificate, err := s.network.ca.issue()
	if err != nil {
		return "", err
	}
	o, err := s.network.open("127.0.0.1:0", "localhost")
	if err != nil {
		return "", err
	}
	s.network.serve(o, certificate, s.front.handler(CanaryOrigin, func(w http.ResponseWriter, r *http.Request, x *visit) {
		x.setOp(opCanary)
		x.sniffForm(r)
		s.front.player.answer(w, r, x, handler.ServeHTTP)
	}))
	s.network.add(o)
	_, port, err := net.SplitHostPort(o.host)
	if err != nil {
		return "", err
	}
	return "https://localhost:" + port, nil
}
