// Package auth signs requests to a registry in: the scope is in the context, the tokens are in here. It knows no blobs and no manifests.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

var errSketch = errors.New("auth: not written yet")

// Credential says who signs in: Entra, Password, RefreshToken or Anonymous. It prints redacted.
type Credential struct{}

// Entra signs in with an Entra token of cred, exchanged for a refresh token.
func Entra(cred azcore.TokenCredential) Credential { return Credential{} }

// Password signs in with the admin user, a repository token or a service principal. The user name 00000000-0000-0000-0000-000000000000 means that password is a refresh token.
func Password(username, password string) Credential { return Credential{} }

// RefreshToken signs in with a refresh token obtained before (Login).
func RefreshToken(token string) Credential { return Credential{} }

// Anonymous pulls without an identity, where the registry allows it.
func Anonymous() Credential { return Credential{} }

// Config is what New needs; Login and Transport are required.
type Config struct {
	Login      *url.URL
	Credential Credential
	// Transport sends the token requests; wire.Transport. They get retries and telemetry of their own.
	Transport policy.Transporter
	// Pipeline, when set, sends the token requests instead (no auth policy in it!).
	Pipeline func(*http.Request) (*http.Response, error)
	// Audience of the Entra token, e.g. "https://containerregistry.azure.net". That is the default.
	Audience string
	// ARMAudience, when set, is tried when the credential refuses Audience.
	ARMAudience string
	// RegistryWide asks for one token for the whole registry where it allows wildcards.
	RegistryWide bool
	Logger       *slog.Logger
	Retry        policy.RetryOptions
}

// Authenticator holds the tokens of one identity at one registry. Safe for concurrent use.
type Authenticator struct{}

// New returns an Authenticator; nothing is sent.
func New(c Config) (*Authenticator, error) { return nil, errSketch }

// Policy signs each try: "Authorization: Bearer" by the scopes in the request's context, one re-authentication on a 401. It belongs behind the retry policy.
func (a *Authenticator) Policy() policy.Policy { return nil }

// WithScopes tells the policy what the requests made with ctx need, e.g. "repository:a/b:pull,push" (mount: a second scope for the source).
func WithScopes(ctx context.Context, scopes ...string) context.Context { return ctx }

// Login is what docker, helm, oras and crane log in with. It prints redacted.
type Login struct {
	Username     string
	RefreshToken string
	Expires      time.Time // zero: unknown
}

// Login returns the refresh token (fetched or cached), or user name and password as given for Password.
func (a *Authenticator) Login(ctx context.Context) (Login, error) { return Login{}, errSketch }

// AccessToken returns an access token for the scopes, cached or fetched.
func (a *Authenticator) AccessToken(ctx context.Context, scopes ...string) (string, error) {
	return "", errSketch
}

// Scrub removes every secret the Authenticator knows from s.
func (a *Authenticator) Scrub(s string) string { return s }

// Explain returns the sign-in error behind a refused reply (401 or 403 of the registry), or nil when sign-in is not the cause.
func (a *Authenticator) Explain(resp *http.Response, body []byte, scopes ...string) *Error { return nil }

// Causes of a failed sign-in, for errors.Is.
var (
	ErrFirewall            = errors.New("the registry's firewall refuses this address")
	ErrARMAudienceDisabled = errors.New("the registry does not accept ARM-audience tokens")
	ErrNoRole              = errors.New("the identity has no role on the registry")
	ErrMissingAction       = errors.New("the identity lacks the action")
	ErrABAC                = errors.New("the registry grants by repository (ABAC)")
	ErrCatalogRole         = errors.New("the identity may not list the catalog")
	ErrExpired             = errors.New("the credential has expired")
	ErrRevoked             = errors.New("the credential was revoked or is not accepted")
	ErrClockSkew           = errors.New("the local clock is off by more than five minutes")
	ErrRegistryNotFound    = errors.New("no registry of this name")
	ErrAnonymous           = errors.New("the registry does not allow this without signing in")
)

// Error is a failed sign-in: what happened, why (Cause, for errors.Is) and what to do.
type Error struct {
	Operation     string // ExchangeEntraToken, GetAccessToken, GetAccessTokenWithBasic, or the operation refused
	Cause         error  // one of the sentinels, nil when unknown
	StatusCode    int
	Code          string // of the error envelope
	Message       string // redacted, one line
	Advice        string
	CorrelationID string
	RetryAfter    time.Duration
	Err           error // what lies beneath: transport or credential error
}

func (e *Error) Error() string { return "" }
