package acr_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

// attacker is a server that is none of the registry's. Whatever comes to it is looked through for secrets.
type attacker struct {
	url  string // with its scheme
	hits atomic.Int64
	bare atomic.Int64 // of these, requests without any credential
}

// attacker starts one that speaks https, with a certificate that clients of the registry trust. A nil handler answers 200.
func (w *world) attacker(handler http.HandlerFunc) *attacker {
	w.t.Helper()
	a := &attacker{}
	at, err := w.srv.Canary(a.watch(handler))
	if err != nil {
		w.t.Fatal(err)
	}
	a.url = at
	return a
}

// plainAttacker starts one that speaks http.
func plainAttacker(t testing.TB) *attacker {
	a := &attacker{}
	s := httptest.NewServer(a.watch(nil))
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// host is the attacker's host and port.
func (a *attacker) host() string {
	_, host, _ := strings.Cut(a.url, "://")
	return host
}

// byAddress is the URL of an attacker by its address instead of its name.
func (a *attacker) byAddress() string { return strings.Replace(a.url, "localhost", "127.0.0.1", 1) }

func (a *attacker) watch(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.hits.Add(1)
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		secrets.lookHard("a request at an attacker's listener", dump(r)+"\n"+string(body))
		form, _ := url.ParseQuery(string(body)) // what is no form has no fields
		bad := err != nil
		for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Referer"} {
			if r.Header.Get(key) != "" {
				secrets.note("a request at an attacker's listener", "header "+key)
				bad = true
			}
		}
		for _, key := range []string{"access_token", "refresh_token", "password", "client_secret"} {
			if form.Get(key) != "" {
				secrets.note("a request at an attacker's listener", "form field "+key)
				bad = true
			}
		}
		if !bad {
			a.bare.Add(1)
		}
		if handler != nil {
			handler(w, r)
		}
	}
}

// untouched demands that nothing came to the attacker's listeners, nor left for any host that is none of the registry's.
func (f *fixture) untouched(attackers ...*attacker) {
	f.t.Helper()
	for _, a := range attackers {
		if n := a.hits.Swap(0); n != 0 {
			f.errorf("the attacker at %s saw %d requests", a.url, n)
		}
	}
	for _, s := range f.strangers() {
		f.errorf("%s %s was sent", s.Method, s.Host)
	}
	f.srv.Ledger().NoCredentialLeaked(f.t)
}

// sentinels are what an error can be told by, besides *acr.Error and *acr.ArgumentError.
var sentinels = []error{
	acr.ErrUntrusted, acr.ErrTooLarge,
	acr.ErrDigestMismatch, acr.ErrSizeMismatch, acr.ErrMalformedReply, acr.ErrManifestMalformed, acr.ErrListEndless, acr.ErrUploadLost, acr.ErrStalled,
	acr.ErrNotMounted, acr.ErrFirewall, acr.ErrNoRole, acr.ErrNoBearer, acr.ErrBadTokenReply, acr.ErrRevoked, acr.ErrExpired, acr.ErrWrongAudience,
	acr.ErrARMAudienceDisabled, acr.ErrMissingAction, acr.ErrAnonymous, acr.ErrWrongPassword, acr.ErrRegistryNotFound, acr.ErrCatalogRole,
}

// typed tells whether a caller can tell an error from others without reading its text.
func typed(err error) bool {
	if _, ok := errors.AsType[*acr.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*acr.ArgumentError](err); ok {
		return true
	}
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// mustFail demands an error that is one of the wanted ones; of any type when none is given.
func (f *fixture) mustFail(err error, want ...error) {
	f.t.Helper()
	switch {
	case err == nil:
		f.errorf("succeeded")
	case len(want) == 0 && !typed(err):
		f.errorf("an error that cannot be told from others: %T %v", err, err)
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	if err != nil && len(want) > 0 {
		f.errorf("%v, want one of %v", err, want)
	}
}

// worksOrTyped demands that the call went well or failed with a typed error.
func (f *fixture) worksOrTyped(err error) {
	f.t.Helper()
	if err != nil && !typed(err) {
		f.errorf("an error that cannot be told from others: %T %v", err, err)
	}
}

// challenge is a Bearer challenge.
func challenge(realm, service, scope string) string {
	return fmt.Sprintf(`Bearer realm="%s",service="%s",scope="%s"`, realm, service, scope)
}

// atMost demands that no more than n requests of the operations were sent.
func (f *fixture) atMost(n int, operations ...string) {
	f.t.Helper()
	if got := f.srv.Ledger().Count(operations...); got > n {
		f.errorf("%d requests of %v, want at most %d", got, operations, n)
	}
}
