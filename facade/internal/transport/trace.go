package transport

import (
	"context"
	"errors"
	"net/http/httptrace"
	"net/textproto"
)

const (
	// maxConnections is how many connections one attempt of a request may be tried on. net/http tries another one, without
	// end, where a server closes each HTTP/2 connection as soon as it is made.
	maxConnections = 10
	// maxInterim is how many interim responses (1xx) may precede a response. Each takes memory while it is read.
	maxInterim = 64
)

var (
	// errManyConnections ends an attempt that no connection carries to its end.
	errManyConnections = errors.New("the server keeps closing the connections that the request is sent over")
	// errManyInterim ends an attempt whose response does not come for interim ones.
	errManyInterim = errors.New("the server sends one interim response (1xx) after another")
)

// seen is what an attempt has met on its connections so far.
type seen struct {
	connections int
	reused      bool // the last connection had carried another request before
	answered    bool // a byte of a response has arrived over it
	interim     int
}

// trace returns a context by which net/http tells the exchange what it meets.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              x.getConn,
		GotConn:              x.gotConn,
		GotFirstResponseByte: x.gotByte,
		Got1xxResponse:       x.gotInterim,
	})
}

// getConn is called for each connection that net/http looks for, those included that it cannot use in the end.
func (x *exchange) getConn(string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.seen.connections++; x.seen.connections > maxConnections {
		x.cancel(errManyConnections)
	}
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen.reused, x.seen.answered = info.Reused, false
	x.wait() // waiting for a connection is no wait for the server
}

func (x *exchange) gotByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen.answered = true
}

func (x *exchange) gotInterim(int, textproto.MIMEHeader) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.seen.interim++; x.seen.interim > maxInterim {
		x.cancel(errManyInterim)
		return errManyInterim
	}
	return nil
}

// unused reports whether the attempt ended on a connection that lay idle before, with no byte of a response: the server
// had closed it already, or was just doing so.
func (x *exchange) unused() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.reused && !x.seen.answered
}

// lostIdleError is an error of a connection that had been idle.
type lostIdleError struct{ error }

// Unwrap returns the connection's error.
func (e lostIdleError) Unwrap() error { return e.error }

// IsLostIdle reports whether err says that a reused connection broke before the first byte of a response. Servers close
// idle connections whenever they like, so it says nothing of how they are.
func IsLostIdle(err error) bool {
	_, ok := errors.AsType[lostIdleError](err)
	return ok
}
