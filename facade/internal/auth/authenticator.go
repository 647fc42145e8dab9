package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// DefaultAudience is the resource Entra tokens are asked for, in every cloud.
const DefaultAudience = "https://containerregistry.azure.net"

// Config is what New needs. Login and Transport are required.
type Config struct {
	// Login is the registry's login URL: the only origin that ever sees a token.
	Login      *url.URL
	Credential Credential
	// Transport sends the token requests, through a pipeline of their own. It must follow no redirects: a *transport.Transport.
	Transport policy.Transporter
	// Pipeline are the caller's options for that pipeline. Telemetry and policies are used as for any request, as the Azure SDK's registry module does: a policy that a
	// network needs, it needs for token requests too. Retry is used within the limits of Timeout. TracingProvider gets a span of each. Of Logging all but IncludeBody
	// is used: the bodies are tokens. The rest is not used.
	Pipeline policy.ClientOptions
	// Audience of the Entra token. Default DefaultAudience.
	Audience string
	// ARMAudience, when set, is asked for where the credential gives no token for Audience.
	ARMAudience string
	// RegistryWide asks for one access token for the whole registry in place of one per repository and action. Where the registry turns out not to grant that (ABAC, repository
	// tokens) tokens go by scope again.
	RegistryWide bool
	// Logger gets what is noteworthy, redacted. Default: nothing is logged.
	Logger *slog.Logger
	// Timeout of one try of a token request. A token request ends after twice that and 30 seconds, a sign-in with what the
	// credential needs after another 90 seconds. Default: 1 minute.
	Timeout time.Duration
	// Budget bounds the retries of token requests along with those of the client's other requests. Default: a budget of their own.
	Budget *retry.Budget
	// Gate is called before each try of a token request. Default: none.
	Gate retry.Gate
}

// Authenticator holds the tokens of one identity at one registry. It is safe for concurrent use, and prints no secret.
type Authenticator struct {
	config     Config // as given, for Examine
	login      *url.URL
	credential Credential
	audience   string
	arm        string
	log        *slog.Logger
	client     *gen.Client
	tracer     tracing.Tracer
	vault      vault
	limits     limits

	refresh cell
	access  *cache

	useARM          atomic.Bool // the credential gave no token for the audience, but one for ARM
	claims          atomic.Pointer[string]
	registryWide    *scopeSet // nil: tokens go by scope
	registryWideOff atomic.Bool

	learned  atomic.Pointer[map[string]*scopeSet] // by method and what was asked for
	learning sync.Mutex
}

// New returns an Authenticator. Nothing is sent.
func New(c Config) (*Authenticator, error) {
	if c.Login == nil || c.Transport == nil {
		return nil, errors.New("auth: no login URL or no transport")
	}
	if c.Login.Scheme != "https" || c.Login.User != nil {
		return nil, errors.New("auth: the login URL must be https and without user information")
	}
	if err := c.Credential.check(); err != nil {
		return nil, err
	}
	a := &Authenticator{
		config:     c,
		login:      c.Login,
		credential: c.Credential,
		audience:   c.Audience,
		arm:        c.ARMAudience,
		log:        c.Logger,
		limits:     limitsOf(c.Timeout),
	}
	if a.audience == "" {
		a.audience = DefaultAudience
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if c.RegistryWide {
		a.registryWide = parseScopeSet(catalogScope, "repository:*:*")
	}
	a.vault.keep(c.Credential.username, c.Credential.secret.reveal())
	a.refresh.fetch, a.refresh.limit, a.refresh.early = a.fetchRefresh, a.limits.refresh, a.limits.early
	turns := make(turns, maxFetches)
	a.access = newCache(func(set *scopeSet) *slot {
		s := &slot{set: set}
		s.turns = turns
		s.limit, s.early = a.limits.access, a.limits.early
		s.fetch = func(ctx context.Context, early bool) (*token, error) { return a.fetchAccess(ctx, set, early) }
		return s
	})
	pipeline, err := tokenPipeline(c, &a.vault)
	if err != nil {
		return nil, err
	}
	a.tracer = pipeline.Tracer()
	a.client, err = gen.NewClient(strings.TrimSuffix(c.Login.String(), "/"), gen.WithHTTPClient(transport.Doer{Pipeline: pipeline.Pipeline()}))
	return a, err
}

// Service is the name the registry goes by in token requests: our own host, whatever a challenge says.
func (a *Authenticator) Service() string { return a.login.Host }

// token returns a token that serves the set, and the slot it is from.
func (a *Authenticator) token(ctx context.Context, set *scopeSet) (*token, *slot, error) {
	if a.servesRegistryWide(set) {
		s := a.access.find(a.registryWide)
		t, err := s.get(ctx)
		switch e, ok := errors.AsType[*Error](err); {
		case err == nil && (t.claims.granted == nil || t.claims.granted.covers(set)):
			return t, s, nil
		case err == nil && !t.claims.granted.wildcard():
			// The registry issues tokens for scopes it does not grant. It is seen in the token, without a refused request.
			a.dropRegistryWide(ctx, "it was not granted")
		case err != nil && (!ok || e.Operation == opExchange || e.Operation == opEntra || !refusedScope(e)):
			return nil, nil, err
		case err != nil:
			s = a.access.find(set)
			if t, err = s.get(ctx); err == nil {
				a.dropRegistryWide(ctx, "its scope was refused")
			}
			return t, s, err
		}
	}
	s := a.access.find(set)
	t, err := s.get(ctx)
	return t, s, err
}

// refusedScope says whether a token request may have been refused for what it asked.
func refusedScope(e *Error) bool {
	switch e.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return !errors.Is(e, ErrFirewall)
	}
	return false
}

// servesRegistryWide says whether the registry-wide token is to serve the set.
func (a *Authenticator) servesRegistryWide(set *scopeSet) bool {
	return a.registryWide != nil && !a.registryWideOff.Load() && len(set.scopes) > 0 && a.registryWide.covers(set)
}

// dropRegistryWide stops using the registry-wide token: from now on tokens are fetched by scope.
func (a *Authenticator) dropRegistryWide(ctx context.Context, why string) {
	if a.registryWide != nil && a.registryWideOff.CompareAndSwap(false, true) {
		a.access.remove(a.registryWide)
		a.log.LogAttrs(ctx, slog.LevelInfo, "registry-wide token not usable, tokens go by repository", slog.String("registry", a.login.Host), slog.String("reason", why))
	}
}

// Login returns what other tools log in with: [TokenUser] and a refresh token, cached or fetched (one request), or the
// user name and password of a [Password] credential. expires is when the refresh token ends by the local clock; it is
// zero if that is unknown.
//
// Errors: *Error, ErrAnonymous, ErrExpired.
func (a *Authenticator) Login(ctx context.Context) (username, password string, expires time.Time, err error) {
	switch a.credential.kind {
	case kindAnonymous:
		return "", "", expires, &Error{Cause: ErrAnonymous, Message: "there is nothing to log in with"}
	case kindPassword:
		return a.credential.username, a.credential.secret.reveal(), expires, nil
	}
	t, err := a.refresh.get(ctx)
	if err != nil {
		return "", "", expires, wait.WithCause(ctx, err)
	}
	if t.expired(time.Now()) { // nobody would answer it with a 401 here
		return "", "", expires, &Error{Cause: ErrExpired, Message: "the refresh token that was given", Advice: adviseRefresh}
	}
	if !t.claims.exp.IsZero() {
		expires = t.end.Round(0)
	}
	return TokenUser, t.value.reveal(), expires, nil
}

// Access returns an access token for exactly these scopes, cached or fetched (one request, and those of the sign-in), and when it
// ends by the local clock: zero if that is unknown. A wider token at hand is not given away. The registry may grant less than was asked.
//
// Errors: *Error, the context's.
func (a *Authenticator) Access(ctx context.Context, scopes []string) (value string, expires time.Time, err error) {
	t, err := a.access.exact(parseScopeSet(scopes...)).get(ctx)
	if err != nil {
		return "", expires, wait.WithCause(ctx, err)
	}
	if !t.claims.exp.IsZero() {
		expires = t.end.Round(0)
	}
	return t.value.reveal(), expires, nil
}

// IsScope reports whether s is one scope, as "repository:library/app:pull,push".
func IsScope(s string) bool {
	set, ok := parseScope(s)
	return ok && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' }) && set.name != "" && len(s) <= maxScope
}

// Scrub takes every secret the Authenticator knows out of s.
func (a *Authenticator) Scrub(s string) string { return a.vault.scrub(s) }

// String returns the registry and the kind of credential.
func (a *Authenticator) String() string {
	return a.credential.String() + " for " + wire.OriginOf(a.login).String()
}

// GoString is String.
func (a *Authenticator) GoString() string { return a.String() }

// Format prints String for every verb.
func (a *Authenticator) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// LogValue is String.
func (a *Authenticator) LogValue() slog.Value { return slog.StringValue(a.String()) }
