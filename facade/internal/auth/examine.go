package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Examine returns an Authenticator of the same identity with no tokens at hand, so that each step of a sign-in happens anew and can be seen. Its requests go through transport,
// once each, and end after timeout. The credential is asked for each Entra token once.
func (a *Authenticator) Examine(transport policy.Transporter, timeout time.Duration) (*Authenticator, error) {
	cred := a.credential
	if cred.kind == kindEntra {
		cred.entra = &onceCredential{next: cred.entra, tokens: map[string]azcore.AccessToken{}}
	}
	return a.examine(cred, transport, timeout)
}

// ExamineAnonymous is Examine for a caller without an identity.
func (a *Authenticator) ExamineAnonymous(transport policy.Transporter, timeout time.Duration) (*Authenticator, error) {
	return a.examine(Anonymous(), transport, timeout)
}

func (a *Authenticator) examine(cred Credential, transport policy.Transporter, timeout time.Duration) (*Authenticator, error) {
	c := a.config
	c.Credential, c.Transport, c.Budget, c.RegistryWide = cred, transport, nil, false
	c.Pipeline.Retry = policy.RetryOptions{MaxRetries: -1, TryTimeout: timeout}
	return New(c)
}

// onceCredential keeps what the credential gave.
type onceCredential struct {
	next   azcore.TokenCredential
	mu     sync.Mutex
	tokens map[string]azcore.AccessToken // by scope and claims
}

// GetToken implements azcore.TokenCredential.
func (c *onceCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	key := strings.Join(o.Scopes, " ") + "\n" + o.Claims
	c.mu.Lock()
	t, ok := c.tokens[key]
	c.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := c.next.GetToken(ctx, o)
	if err == nil {
		c.mu.Lock()
		c.tokens[key] = t
		c.mu.Unlock()
	}
	return t, err
}

// Kind says how the identity signs in: "anonymous", "entra", "password", "refresh token".
func (a *Authenticator) Kind() string { return a.credential.kind.String() }

// EntraIdentity is what an Entra token says of itself. None of it is secret, and none of it verified.
type EntraIdentity struct {
	Audience, Tenant, Application, Object string
	Expires                               time.Time // zero: unknown
}

// Entra asks the credential for an Entra token and reads it; an opaque one leaves the fields empty. Errors: *Error.
func (a *Authenticator) Entra(ctx context.Context) (EntraIdentity, error) {
	began := time.Now()
	asking := cell{limit: a.limits.refresh, fetch: func(ctx context.Context, _ bool) (*token, error) { // as in any sign-in: a credential may ignore its context
		text, err := a.entraToken(ctx, "")
		if err != nil {
			return nil, err
		}
		return newToken(text, time.Time{}, time.Now()), nil
	}}
	t, err := asking.get(ctx)
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		err = a.credentialFailed(err, time.Since(began)) // the context's end
	}
	if err != nil {
		return EntraIdentity{}, err
	}
	var raw struct {
		Audience any `json:"aud"` // a string, or a list of them
		Tenant   any `json:"tid"`
		AppID    any `json:"appid"`
		Party    any `json:"azp"` // appid, in tokens of version 2
		Object   any `json:"oid"`
	}
	if payload, ok := payloadOf(t.value.reveal()); ok {
		_ = json.Unmarshal(payload, &raw) // an opaque token says nothing
	}
	text := func(v any) string { s, _ := v.(string); return s }
	id := EntraIdentity{Audience: text(raw.Audience), Tenant: text(raw.Tenant), Application: text(raw.AppID), Object: text(raw.Object), Expires: t.claims.exp}
	if id.Application == "" {
		id.Application = text(raw.Party)
	}
	return id, nil
}

// GrantsByRepository says whether the refresh token at hand is of a registry that grants by repository (ABAC).
func (a *Authenticator) GrantsByRepository() bool {
	t := a.refresh.cur.Load()
	return t != nil && t.claims.abac
}

// Grant is an access token and what it says it allows. It prints without the token.
type Grant struct {
	token *token
}

// Grant returns an access token for the scopes. Errors: *Error.
func (a *Authenticator) Grant(ctx context.Context, scopes ...string) (Grant, error) {
	t, _, err := a.token(ctx, parseScopeSet(scopes...))
	return Grant{t}, err
}

// Sign puts the token on a request.
func (g Grant) Sign(r *http.Request) { r.Header.Set("Authorization", g.token.bearer.reveal()) }

// Expires is when the token ends by the local clock; zero when it does not say.
func (g Grant) Expires() time.Time {
	if g.token.claims.exp.IsZero() {
		return time.Time{}
	}
	return g.token.end.Round(0)
}

// Actions returns what the token allows on a thing ("repository", "library/hello"), sorted. known is false for a token that does not say.
func (g Grant) Actions(typ, name string) (actions []string, known bool) {
	granted := g.token.claims.granted
	if granted == nil {
		return nil, false
	}
	for _, s := range granted.scopes {
		if s.typ == typ && (s.name == name || s.name == "*") {
			actions = append(actions, s.actions...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions), true
}

// Challenged reads the Bearer challenge of a reply; ok is false where there is none. What it says is to be shown, not obeyed.
func Challenged(h http.Header) (realm, service string, ok bool) {
	c, ok := bearer(parseChallenges(h))
	return c.params["realm"], c.params["service"], ok
}
