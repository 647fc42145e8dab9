package acrsuite

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// way is by which transport the clients of a world send.
type way string

// The ways.
const (
	OwnTransport way = "own transport" // the library's, as with no Transport in the options
	httpClient   way = "http.Client"   // a caller's, with a cookie jar and net/http's rule for redirects
)

// BothWays are those that have to obey the same rules.
var BothWays = []way{OwnTransport, httpClient}

// World is the registry of a row, with a client and a repository for each call made in it.
type World struct {
	T         testing.TB
	Srv       *acrtest.Server
	Way       way
	Transport *http.Client // of httpClient
	Spy       *Spy
	Options   []Option
	Sign      SignIn
	Unheld    bool // replies are not held against the document
	made      int
	Log       *logBuffer
}

// SignIn is with what a fixture's client signs in.
type SignIn string

// The ways to sign in.
const (
	ByEntra     SignIn = "Entra"
	ByPassword  SignIn = "password"
	ByRefresh   SignIn = "refresh token"
	ByAnonymous SignIn = "anonymous"
)

// NewWorld starts a registry whose clients send over a caller's http.Client; every exchange of theirs is held against the document, but
// for replies that a fault has altered.
func NewWorld(t testing.TB, opts ...acrtest.Option) *World {
	t.Helper()
	return NewWorldBy(t, httpClient, opts...)
}

// NewWorldBy is newWorld with the clients sending by the given way.
func NewWorldBy(t testing.TB, by way, opts ...acrtest.Option) *World {
	t.Helper()
	w := &World{T: t, Srv: acrtest.New(t, append([]acrtest.Option{acrtest.WithSoftDelete(7)}, opts...)...), Way: by, Sign: ByEntra, Log: &logBuffer{}}
	_, password := w.Srv.Admin()
	_, _, secret := w.Srv.ServicePrincipal()
	Secrets.Learn(PasswordSecret, password, "")
	Secrets.Learn(clientSecret, secret, "")
	if by == httpClient {
		w.Use(w.Srv.HTTPClient().Transport)
	}
	return w
}

// Use lets the clients send over another base transport.
func (w *World) Use(base http.RoundTripper) {
	w.Spy = &Spy{Base: base, Login: w.Srv.Host(), authority: strings.TrimPrefix(w.Srv.Authority(), "https://")}
	jar, _ := cookiejar.New(nil) // never fails
	held := contract.New(w.T, w.Spy, contract.Allow(func(resp *http.Response) bool {
		return w.Unheld || resp.Header.Get(acrtest.FaultHeader) != ""
	}), contract.Skip(func(r *http.Request) bool { return w.Unheld || w.isStranger(r.URL.Host) }))
	w.Transport = &http.Client{Transport: held, Jar: jar}
}

// isStranger tells whether a host is none of the registry's.
func (w *World) isStranger(host string) bool {
	return host != w.Srv.Host() && host != w.Srv.StorageHost()
}

// Strangers is what was sent to hosts that are none of the registry's. Of the library's own transport nothing is known: then it is the
// listeners that say.
func (w *World) Strangers() []Sight {
	if w.Spy == nil {
		return nil
	}
	return w.Spy.Requests(func(s Sight) bool { return w.isStranger(s.Host) })
}

// TokenOperations are what a sign-in sends.
var TokenOperations = []string{"ExchangeEntraToken", "GetAccessToken", "GetAccessTokenWithBasic"}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
