package acrtest

import (
	"net"
	"net/http"
)

// Canary starts a server that does not belong to the registry and returns its URL. A test puts the
// URL into a redirect, a Location, a Link or a token realm, and then checks with
// [Ledger.NoCredentialLeaked] or [Ledger.None] that the client sent no credential, or no request at
// all, to it.
//
// The canary answers with handler, or with an empty 200 response if handler is nil. The ledger
// lists its requests under [CanaryOrigin]. [Server.Close] stops it. Canary fails if no port of the
// loopback interface is free.
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
	s.network.serve(o, certificate, s.front.handler(CanaryOrigin, nil, func(w http.ResponseWriter, r *http.Request, x *visit) {
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
