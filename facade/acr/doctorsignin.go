package acr

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/gen"
)

// The kinds of credentials, as auth names them.
const (
	kindEntra     = "entra"
	kindAnonymous = "anonymous"
)

// signIn takes the steps from the credential to an access token that the registry accepts.
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
			s.Advice = "the credential itself gives no token: sign in (az login), or check its settings"
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
	login, err := d.auth.Login(ctx)
	if err != nil {
		s.fail(opDoctor, err)
		return
	}
	s.Seen, s.CorrelationID = "refresh token"+until(login.Expires), d.witness.correlation()
	if d.auth.GrantsByRepository() {
		s.Seen += "; the registry grants by repository (ABAC)"
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

// anonymous finds out what callers without an identity may do.
func (d *doctor) anonymous(ctx context.Context, s *DoctorStep) {
	if d.auth.Kind() == kindAnonymous {
		s.skip("the client itself is anonymous")
		return
	}
	nobody, err := d.client.auth.ExamineAnonymous(d.witness, d.options.StepTimeout)
	if err != nil {
		s.fail(opDoctor, err)
		return
	}
	typ, name, scope := "registry", "catalog", "registry:catalog:*"
	if d.options.Repository != "" {
		typ, name = "repository", d.options.Repository
		scope = scopePull(name)[0]
	}
	grant, err := nobody.Grant(ctx, scope)
	const off = "off: callers must sign in"
	switch {
	case errors.Is(err, auth.ErrAnonymous):
		s.Seen = off
		return
	case err != nil:
		s.fail(opDoctor, err)
		s.Status = DoctorWarn // it is not this client's business
		return
	}
	s.CorrelationID = d.witness.correlation()
	switch actions, known := grant.Actions(typ, name); {
	case !known:
		s.Seen = "an access token is given to anyone; it does not say what for"
	case len(actions) == 0:
		s.Seen = off
	default:
		s.Seen = "on: anyone may read"
	}
}

// until is the end of a token in words.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}
