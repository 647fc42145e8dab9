package acrtest

import "net/http"

// backend is the part of the server that belongs to the handlers. The server embeds it.
type backend struct{}

// handlers has one entry for each operation of the login origin save the token calls. It is called with the caller admitted and
// the common headers set.
var handlers = map[string]func(*Server, http.ResponseWriter, *http.Request, route){}

// openBackend is called once by Start, with s.cfg complete.
func (s *Server) openBackend() error { return nil }

// closeBackend is called once by Close, when no request is under way any more.
func (s *Server) closeBackend() {}

// handleStorage serves the storage origin.
func (s *Server) handleStorage(w http.ResponseWriter, r *http.Request) { notFound(w) }
