package acrsuite

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Attacker is a server that is none of the registry's. Whatever comes to it is looked through for secrets.
type Attacker struct {
	URL  string // with its scheme
	Hits atomic.Int64
	Bare atomic.Int64 // of these, requests without any credential
}

// Attacker starts one that speaks https, with a certificate that clients of the registry trust. A nil handler answers 200.
func (w *World) Attacker(handler http.HandlerFunc) *Attacker {
	w.T.Helper()
	a := &Attacker{}
	at, err := w.Srv.Canary(a.watch(handler))
	if err != nil {
		w.T.Fatal(err)
	}
	a.URL = at
	return a
}

// PlainAttacker starts one that speaks http.
func PlainAttacker(t testing.TB) *Attacker {
	a := &Attacker{}
	s := httptest.NewServer(a.watch(nil))
	t.Cleanup(s.Close)
	a.URL = s.URL
	return a
}

// Host is the attacker's host and port.
func (a *Attacker) Host() string {
	_, host, _ := strings.Cut(a.URL, "://")
	return host
}

// ByAddress is the URL of an attacker by its address instead of its name.
func (a *Attacker) ByAddress() string { return strings.Replace(a.URL, "localhost", "127.0.0.1", 1) }

func (a *Attacker) watch(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.Hits.Add(1)
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		Secrets.LookHard("a request at an attacker's listener", Dump(r)+"\n"+string(body))
		form, _ := url.ParseQuery(string(body)) // what is no form has no fields
		bad := err != nil
		for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Referer"} {
			if r.Header.Get(key) != "" {
				Secrets.note("a request at an attacker's listener", "header "+key)
				bad = true
			}
		}
		for _, key := range []string{"access_token", "refresh_token", "password", "client_secret"} {
			if form.Get(key) != "" {
				Secrets.note("a request at an attacker's listener", "form field "+key)
				bad = true
			}
		}
		if !bad {
			a.Bare.Add(1)
		}
		if handler != nil {
			handler(w, r)
		}
	}
}

// Untouched demands that nothing came to the attacker's listeners, nor left for any host that is none of the registry's.
func (f *Fixture) Untouched(attackers ...*Attacker) {
	f.T.Helper()
	for _, a := range attackers {
		if n := a.Hits.Swap(0); n != 0 {
			f.Errorf("the attacker at %s saw %d requests", a.URL, n)
		}
	}
	for _, s := range f.Strangers() {
		f.Errorf("%s %s was sent", s.Method, s.Host)
	}
	f.Srv.Ledger().NoCredentialLeaked(f.T)
}

// Challenge is a Bearer challenge.
func Challenge(realm, service, scope string) string {
	return fmt.Sprintf(`Bearer realm="%s",service="%s",scope="%s"`, realm, service, scope)
}
