package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/wire"
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

// anonymous finds out what anonymous callers may do.
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
		s.Status = DoctorWarn // it does not affect this client
		return
	}
	s.CorrelationID = d.witness.correlation()
	switch actions, known := grant.Actions(typ, name); {
	case !known:
		s.Seen = "anyone gets an access token; it does not state its permissions"
	case len(actions) == 0:
		s.Seen = off
	default:
		s.Seen = "on: anyone may read"
	}
}

// until describes when a token expires.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format(time.RFC3339)
}

// rights runs the steps that check the rights of the identity.
func (d *doctor) rights(ctx context.Context) {
	var once sync.Once
	var grant auth.Grant
	var err error
	d.granted = func(ctx context.Context) (auth.Grant, error) {
		once.Do(func() {
			grant, err = d.auth.Grant(ctx, "repository:"+d.options.Repository+":delete,metadata_read,metadata_write,pull,push")
		})
		return grant, err
	}
	d.step(ctx, DoctorCatalog, []string{DoctorToken}, d.catalog)
	d.step(ctx, DoctorPull, []string{DoctorToken}, d.pull)
	d.step(ctx, DoctorPush, []string{DoctorToken}, d.push)
	d.step(ctx, DoctorAnonymous, []string{DoctorChallenge}, d.anonymous)
	d.step(ctx, DoctorStorage, []string{DoctorPull}, d.storage)
}

// catalog lists one repository. Many identities may not: repository tokens, and most identities on
// registries with ABAC.
func (d *doctor) catalog(ctx context.Context, s *DoctorStep) {
	scopes := scopeCatalog("")
	grant, err := d.auth.Grant(ctx, scopes...)
	if err != nil {
		s.fail(opListRepositories, err)
		return
	}
	err = d.ask(ctx, opListRepositories, &grant, scopes, func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.ListRepositories(ctx, &gen.ListRepositoriesParams{N: new(gen.PageSize(1)), APIVersion: apiVersion()}, edit)
	}, s.list(opListRepositories, "repositories"))
	if err != nil {
		s.fail(opListRepositories, err)
		if errors.Is(err, ErrCatalogRole) || errors.Is(err, ErrAnonymous) {
			s.Status = DoctorWarn
		}
		return
	}
	s.Seen = "repositories can be listed"
}

// repositoryGrant returns the access token for the repository. Without one the step ends: it is skipped
// if no repository was given, and fails otherwise.
func (d *doctor) repositoryGrant(ctx context.Context, s *DoctorStep, op *operation) (grant auth.Grant, ok bool) {
	if d.options.Repository == "" {
		s.skip("no repository was given (DoctorOptions.Repository)")
		return grant, false
	}
	grant, err := d.granted(ctx)
	if err != nil {
		s.fail(op, err)
	}
	return grant, err == nil
}

// pull reads the granted actions from the access token, and lists one tag to confirm them.
func (d *doctor) pull(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	grant, ok := d.repositoryGrant(ctx, s, opListTagNames)
	if !ok {
		return
	}
	err := d.ask(ctx, opListTagNames, &grant, opListTagNames.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.ListTagNames(ctx, name, &gen.ListTagNamesParams{N: new(gen.PageSize(1))}, edit)
	}, s.list(opListTagNames, "tags"))
	actions, known := grant.Actions("repository", name)
	switch {
	case known && err == nil && !allows(actions, "pull"): // tags may be listed with less
		s.fail(opListTagNames, fmt.Errorf("%w: pull on %s", ErrMissingAction, name))
		s.Advice = "assign AcrPull to the identity (ABAC: Container Registry Repository Reader; repository token: content/read)"
	case errors.Is(err, ErrNotFound):
		s.fail(opListTagNames, err)
		s.Seen = "there is no repository " + name
		s.warn("check its name; the first push creates it")
	case err != nil:
		s.fail(opListTagNames, err)
		return
	default:
		s.Seen = "tags of " + name + " can be listed"
	}
	if known {
		s.Seen += "; granted: " + cmp.Or(strings.Join(actions, " "), "nothing")
	}
}

// push reads the right from the access token, or tries it.
func (d *doctor) push(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	grant, ok := d.repositoryGrant(ctx, s, opStartUpload)
	if !ok {
		return
	}
	if d.options.TryPush {
		d.tryPush(ctx, s, &grant)
		return
	}
	switch actions, known := grant.Actions("repository", name); {
	case !known:
		s.skip("the access token does not state permissions; use DoctorOptions.TryPush")
	case allows(actions, "push") && allows(actions, "pull"): // uploads need both
		s.Seen = "granted on " + name
	default:
		s.Err, s.Seen = ErrMissingAction, "not granted on "+name
		s.warn("if the identity should push, assign AcrPush to it (ABAC: Container Registry Repository Writer; repository token: content/write and content/read)")
	}
}

// allows reports whether an action was granted.
func allows(actions []string, action string) bool {
	return slices.Contains(actions, action) || slices.Contains(actions, "*")
}

// tryPush starts an upload and cancels it.
func (d *doctor) tryPush(ctx context.Context, s *DoctorStep, grant *auth.Grant) {
	name := d.options.Repository
	var at *url.URL
	err := d.ask(ctx, opStartUpload, grant, opStartUpload.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.StartUploadWithBody(ctx, name, &gen.StartUploadParams{}, "application/octet-stream", nil, edit)
	}, func(resp *http.Response) (err error) {
		s.CorrelationID = correlationOf(resp)
		at, err = wire.UploadLocation(resp, d.client.login, name)
		return err
	})
	if err != nil {
		s.fail(opStartUpload, err)
		return
	}
	err = d.ask(ctx, opCancelUpload, grant, opCancelUpload.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.CancelUpload(ctx, name, "session", edit, func(_ context.Context, r *http.Request) error {
			r.URL = at
			return nil
		})
	}, s.correlate)
	if err != nil {
		s.fail(opCancelUpload, err)
		s.Seen = "an upload was started, but not canceled: " + s.Seen
		s.warn("pushing works; the registry deletes the upload by itself after some days")
		return
	}
	s.Seen = "an upload to " + name + " was started and canceled"
}
