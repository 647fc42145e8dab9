package acr_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// No verb prints a secret of a client, whatever holds it: fmt does not ask the methods of unexported fields, nor any method
// for a verb that does not fit.
func TestNoVerbPrintsSecrets(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A70 printed in the caller's struct", testNoVerbPrintsSecrets)
}

func testNoVerbPrintsSecrets(t *testing.T) {
	srv := acrsuite.NewServer(t)
	entra := acrsuite.NewClient(t, srv)
	login, err := entra.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := acr.NewClientWithRefreshToken(srv.Endpoint(), login.Password(), acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	const password = "correct-horse-battery-staple"
	basic, err := acr.NewClientWithPassword(srv.Endpoint(), "someone", password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	srv.SeedImage(t, "a/b:v1")
	d := srv.SeedBlob(t, "a/b", []byte("content"))
	var all []any
	for _, c := range []*acr.Client{entra, refresh, basic} {
		r := c.Repository("a/b")
		_ = c.Ping(t.Context())
		type holder struct {
			c *acr.Client
			r *acr.Repository
			a *acr.Artifact
			i any
			m map[string]any
			s []any
		}
		h := holder{c, r, r.Artifact("v1"), *r, map[string]any{"x": *r.Artifact("v1")}, []any{*r, c}}
		all = append(all, c, r, *r, r.Artifact("v1"), *r.Artifact("v1"), h, &h, []any{h, *r})
		if c != basic {
			b, err := r.GetBlob(t.Context(), d, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, b)
			at, err := r.BlobReaderAt(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b, at, struct{ b any }{b}, struct{ b any }{at})
			defer b.Close()
		}
		l, err := c.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l, &l, []acr.Login{l}, struct{ L *acr.Login }{&l}, struct{ l *acr.Login }{&l}, struct{ l acr.Login }{l}, map[string]acr.Login{"x": l})
		_, badErr := r.Artifact("none").Digest(t.Context())
		all = append(all, badErr, struct{ err error }{badErr})
	}
	for _, v := range all {
		for _, verb := range "vspdqtxXcbeEfgGoOUTw!" {
			for _, flags := range []string{"", "+", "#", "-0 "} {
				text := fmt.Sprintf("%"+flags+string(verb), v)
				for _, secret := range []string{password, fmt.Sprintf("%x", password), login.Password(), fmt.Sprintf("%x", login.Password())} {
					if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
						t.Errorf("%%%s%c of a %T prints a secret", flags, verb, v)
					}
				}
			}
		}
	}
}
