package acrtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestWhichRequestsAFaultMeets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		which func(*acrtest.Fault) *acrtest.Fault
		want  string
	}{
		{"once", func(f *acrtest.Fault) *acrtest.Fault { return f }, "x...."},
		{"nth", func(f *acrtest.Fault) *acrtest.Fault { return f.Nth(3) }, "..x.."},
		{"first", func(f *acrtest.Fault) *acrtest.Fault { return f.First(2) }, "xx..."},
		{"from", func(f *acrtest.Fault) *acrtest.Fault { return f.From(4) }, "...xx"},
		{"always", func(f *acrtest.Fault) *acrtest.Fault { return f.Always() }, "xxxxx"},
		{"path", func(f *acrtest.Fault) *acrtest.Fault { return f.Always().Path("/elsewhere") }, "....."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			test.which(l.on()).Status(503)
			var got strings.Builder
			for range 5 {
				resp, _, err := l.get(http.MethodGet, nil)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(map[int]string{503: "x", 200: "."}[resp.StatusCode])
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", &got, test.want)
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	token, other := c.token("repository:a:pull"), c.token("repository:a:pull")
	c.s.On("CheckSupport").Revoke()
	for range 2 { // the script has it once, the registry remembers
		a := c.call(http.MethodGet, "/v2/", token)
		if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != 401 || !strings.HasSuffix(got, `error="invalid_token"`) {
			t.Errorf("%d %s", a.StatusCode, got)
		}
	}
	if a := c.call(http.MethodGet, "/v2/", other); a.StatusCode == 401 {
		t.Errorf("another token is revoked too: %d", a.StatusCode)
	}
	refresh := c.refreshToken()
	c.s.On("GetAccessToken").Revoke()
	for range 2 {
		a := c.form("/oauth2/token", "grant_type", "refresh_token", "service", c.s.Host(), "scope", "repository:a:pull", "refresh_token", refresh)
		if a.StatusCode != 401 {
			t.Errorf("a revoked refresh token: %d", a.StatusCode)
		}
	}
	c.s.RevokeAccessTokens()
	if a := c.call(http.MethodGet, "/v2/", other); a.StatusCode != 401 {
		t.Errorf("after revoking all: %d", a.StatusCode)
	}
}

func TestOnUnknownOperation(t *testing.T) {
	t.Parallel()
	s, err := acrtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.On("NoSuchThing").Stall() // logged; a Server of New would fail the test
}
