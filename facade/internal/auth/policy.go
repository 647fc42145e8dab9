package auth

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

const (
	// freshToken is the age up to which a token refused for its scope is not fetched anew: the answer would be the same. Rights given later take a while to show anyway.
	freshToken = time.Minute
	// maxLearned bounds what is learned of scopes our table gets wrong.
	maxLearned = 256
)

// Policy signs each try of a request with an access token for the scopes of its call.Call, fetched beforehand, so that no body is sent twice. A 401 is answered with a
// new token once per request, over all its tries. It belongs behind the retry policy. Errors: *Error, the context's.
func (a *Authenticator) Policy() policy.Policy { return signer{a} }

type signer struct{ a *Authenticator }

// reauthenticated marks a request whose one 401 has been answered.
type reauthenticated struct{}

// Do implements policy.Policy.
func (s signer) Do(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	need := call.Of(ctx)
	if !need.Sign {
		return req.Next()
	}
	a, method := s.a, req.Raw().Method
	set := a.recall(method, parseScopeSet(need.Scopes...))
	tok, from, err := a.token(ctx, set)
	if err != nil {
		return nil, err
	}
	sign(req, tok)
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.OperationValue(&reauthenticated{}) {
		return resp, err
	}
	next := a.renew(ctx, resp, method, set, tok, from)
	if next == nil {
		return resp, nil
	}
	req.SetOperationValue(reauthenticated{})
	wire.Drain(resp)
	if tok, err = next(); err != nil {
		return nil, err
	}
	if err := req.RewindBody(); err != nil {
		return nil, err
	}
	sign(req, tok)
	observe.Again(ctx, "status 401")
	resp, err = req.Next()
	if err == nil && resp.StatusCode != http.StatusUnauthorized && a.registryWide != nil && from.set.key == a.registryWide.key {
		a.dropRegistryWide(ctx, "it was refused where a narrow one is not")
	}
	return resp, err
}

func sign(req *policy.Request, t *token) { req.Raw().Header.Set("Authorization", t.bearer.reveal()) }

// renew decides from a 401 whether another token can help, and returns how to get it, or nil. The set may grow by what the challenge says is missing, within what the call needs.
func (a *Authenticator) renew(ctx context.Context, resp *http.Response, method string, set *scopeSet, tok *token, from *slot) func() (*token, error) {
	c, ok := bearer(parseChallenges(resp.Header))
	if !ok {
		return nil // Basic, or nothing: no secret is sent for that
	}
	a.note(ctx, c)
	get := func(s *slot) func() (*token, error) { return func() (*token, error) { return s.get(ctx) } }
	if claims := c.claims(); claims != "" && a.credential.kind == kindEntra {
		// Refusals of a token that another call has replaced meanwhile say nothing of the new one, nor do those of a token from before the refresh token was renewed.
		if from.drop(tok) {
			if r := a.refresh.cur.Load(); r != nil && !r.issued.After(tok.issued) {
				a.claims.Store(&claims)
				a.refresh.drop(r)
			}
		}
		return get(from)
	}
	if c.params["error"] != "insufficient_scope" {
		from.drop(tok) // expired or revoked
		return get(from)
	}
	grown := set.within(c.params["scope"], method)
	if grown != set {
		a.learn(method, set, grown)
	}
	switch {
	case from.set.key != grown.key: // the registry-wide token, a larger one, or one too small
		return get(a.access.exact(grown))
	case time.Since(tok.issued) < freshToken:
		return nil
	}
	from.drop(tok)
	return get(from)
}

// note records what a challenge says against expectation. None of it is obeyed.
func (a *Authenticator) note(ctx context.Context, c challenge) {
	service, realm := c.params["service"], c.params["realm"]
	if service != "" && !strings.EqualFold(service, a.Service()) {
		a.log.LogAttrs(ctx, slog.LevelWarn, "the challenge names another service than the registry, which is not obeyed",
			slog.String("registry", a.login.Host), slog.String("service", redact.OneLine(service)))
	}
	if realm != "" && !strings.EqualFold(realm, strings.TrimSuffix(a.login.String(), "/")+"/oauth2/token") {
		a.log.LogAttrs(ctx, slog.LevelWarn, "the challenge names another realm than the registry's, which is not obeyed",
			slog.String("registry", a.login.Host), slog.String("realm", redact.OneLine(realm)))
	}
}

// recall returns what the registry is known to ask for such a request.
func (a *Authenticator) recall(method string, set *scopeSet) *scopeSet {
	known := a.learned.Load()
	if known == nil {
		return set
	}
	if grown, ok := (*known)[method+" "+set.key]; ok {
		return grown
	}
	return set
}

// learn remembers what the registry asks for such a request. It happens once per operation our table has wrong and repository, so the map is copied and reading takes no
// lock. Where there is no room left, any other entry makes some: it is learned again when needed.
func (a *Authenticator) learn(method string, set, grown *scopeSet) {
	a.learning.Lock()
	defer a.learning.Unlock()
	known := map[string]*scopeSet{}
	if old := a.learned.Load(); old != nil {
		known = maps.Clone(*old)
	}
	for key := range known {
		if len(known) < maxLearned {
			break
		}
		delete(known, key)
	}
	known[method+" "+set.key] = grown
	a.learned.Store(&known)
}
