package acr

import (
	"context"
	"net/http"
	"time"

	"github.com/acrkit/acrkit/gen"
)

// Kinds of credentials, as named by auth.
const (
	kindEntra     = "entra"
	kindAnonymous = "anonymous"
)

// signIn runs the steps from the credential to an access token that the registry accepts.
func (d *doctor) signIn(ctx context.Context) {
	d.step(ctx, DoctorCredential, nil, d.credential)
	d.step(ctx, DoctorExchange, []string{DoctorChallenge, DoctorCredential}, d.exchange)
	d.step(ctx, DoctorToken, []string{DoctorChallenge, DoctorExchange}, d.token)
}

func (d *doctor) credential(ctx context.Context, s *DoctorStep) {
	if kind := d.auth.Kind(); kind != kindEntra {
		s.skip("not needed: the client's credential is " + kind)
		return
	}
	id, err := d.auth.Entra(ctx)
	if err != nil {
		s.fail(opDoctor, err)
		if s.Advice == "" {
			s.Advice = "the credential returned no token: sign in (az login), or check its settings"
		}
		return
	}
	s.Seen = "Entra token"
	for _, part := range [][2]string{{" for ", id.Audience}, {", tenant ", id.Tenant}, {", application ", id.Application}, {", object ", id.Object}} {
		if part[1] != "" {
			s.Seen += part[0] + part[1]
		}
	}
	s.Seen += until(id.Expires)
}

func (d *doctor) exchange(ctx context.Context, s *DoctorStep) {
	if kind := d.auth.Kind(); kind != kindEntra {
		s.skip("not needed: the client's credential is " + kind)
		return
	}
	_, _, expires, err := d.auth.Login(ctx)
	if err != nil {
		s.fail(opDoctor, err)
		return
	}
	s.Seen, s.CorrelationID = "refresh token"+until(expires), d.witness.correlation()
	if d.auth.GrantsByRepository() {
		s.Seen += "; the registry uses ABAC repository permissions"
	}
}

func (d *doctor) token(ctx context.Context, s *DoctorStep) {
	grant, err := d.auth.Grant(ctx)
	if err != nil {
		s.fail(opDoctor, err)
		return
	}
	err = d.ask(ctx, opCheckSupport, &grant, nil, func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.CheckSupport(ctx, edit)
	}, s.correlate)
	if err != nil {
		s.fail(opCheckSupport, err)
		return
	}
	s.Seen = "access token" + until(grant.Expires()) + ", accepted"
}

// until describes when a token expires.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}
