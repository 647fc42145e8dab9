package acr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Client is one registry under one identity. It is safe for concurrent use, holds tokens and connections, and sends nothing until a
// method is called; make one and keep it.
type Client struct {
	login     *url.URL // the registry's endpoint: the only origin that sees a credential
	options   ClientOptions
	azure     *azcore.Client // pipeline and tracer
	transport *transport.Transport
	auth      *auth.Authenticator
	gen       *gen.Client
	limits    transfer.Limits // what uploads have learned of the registry
	referrers referrersState
}

// NewClient returns a client of the registry at endpoint ("myregistry.azurecr.io", or with https:// before it) that signs in with an
// Entra credential; a nil credential pulls anonymously. No request is sent. Errors: ErrInvalidArgument.
//
// Calls sign in by themselves: tokens are shared, and renewed ahead of their end. Where no context ends it before, a token request is given
// up after 90 seconds, retries included, and a sign-in, the credential's part included, after three minutes; so a credential that asks a
// person is best signed in beforehand (its method Authenticate).
func NewClient(endpoint string, cred azcore.TokenCredential, opts *ClientOptions) (*Client, error) {
	if cred == nil {
		return newClient(endpoint, auth.Anonymous(), opts)
	}
	return newClient(endpoint, auth.Entra(cred), opts)
}

// NewClientWithPassword is NewClient with a user name and password: the admin user's, those of a repository-scoped token, or a
// service principal's. Errors: ErrInvalidArgument.
func NewClientWithPassword(endpoint, username, password string, opts *ClientOptions) (*Client, error) {
	if username == "" || password == "" {
		return nil, badArgument("username", username, "user name and password are both required")
	}
	return newClient(endpoint, auth.Password(username, password), opts)
}

// NewClientWithRefreshToken is NewClient with an ACR refresh token, such as Client.Login gives, `az acr login --expose-token` prints and a
// docker configuration holds. It lasts about three hours, and the client cannot renew it.
// Errors: ErrInvalidArgument.
func NewClientWithRefreshToken(endpoint, refreshToken string, opts *ClientOptions) (*Client, error) {
	if refreshToken == "" {
		return nil, badArgument("refreshToken", "", "it is empty")
	}
	return newClient(endpoint, auth.RefreshToken(refreshToken), opts)
}

// badEndpoint says why, without the passwords and signatures that people leave in URLs.
func badEndpoint(endpoint string, err error) error {
	if at := strings.LastIndexByte(endpoint, '@'); at >= 0 { // a password may have one too
		endpoint = "..." + endpoint[at:]
	}
	if before, _, ok := strings.Cut(endpoint, "?"); ok {
		endpoint = before + "?..."
	}
	reason := err.Error()
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok {
		reason = refusal.Detail
	}
	return badArgument("endpoint", endpoint, reason)
}

// newClient builds the road of a request: gen knows paths and queries, the pipeline retries, auth signs each try, wire decides what of
// the server's word is believed.
func newClient(endpoint string, cred auth.Credential, opts *ClientOptions) (*Client, error) {
	c := &Client{referrers: referrersState{noting: make(chan struct{}, 1)}}
	if opts != nil {
		c.options = *opts
	}
	var err error
	if c.login, err = wire.CheckEndpoint(endpoint, c.options.AllowedHosts); err != nil {
		return nil, badEndpoint(endpoint, err)
	}
	if !wire.IsVisible(c.options.SourceClient) {
		return nil, badArgument("SourceClient", c.options.SourceClient, "it may contain printable ASCII only, without blanks")
	}
	c.transport = transport.New(c.login, c.options.Transport, &transport.Options{StrictStorage: c.options.StrictStorage})
	budget := retry.NewBudget() // of retries, for requests and sign-ins together
	c.auth, err = auth.New(auth.Config{
		Budget:       budget,
		Gate:         c.gate(),
		Login:        c.login,
		Credential:   cred,
		Transport:    c.transport,
		Audience:     c.options.audience(),
		ARMAudience:  c.options.ARMAudience,
		RegistryWide: c.options.RegistryWideToken,
		Logger:       c.options.Logger,
		Pipeline:     c.tokenOptions(),
	})
	if err != nil {
		return nil, badArgument("options", "", strings.TrimPrefix(err.Error(), "auth: "))
	}
	if c.azure, err = newPipeline(c, budget); err != nil {
		return nil, fmt.Errorf("acr: %w", err)
	}
	c.gen, err = gen.NewClient(c.login.String(), gen.WithHTTPClient(transport.Doer{Pipeline: c.azure.Pipeline()}), gen.WithRequestEditorFn(plainSlashes))
	if err != nil {
		return nil, fmt.Errorf("acr: %w", err)
	}
	return c, nil
}

// do sends one request of an operation on the repository name (empty for the registry's own) and returns the reply once op.check has
// let it pass: then the body is the caller's to close. send calls the method of c.gen. extra are scopes beyond the operation's own.
func (c *Client) do(ctx context.Context, op *operation, name string, send func(context.Context) (*http.Response, error), extra ...string) (resp *http.Response, err error) {
	scopes := append(op.scopes(name), extra...)
	ctx = call.With(ctx, func(k *call.Call) {
		k.Kind, k.Sign, k.Scopes, k.Scrub = op.call, true, scopes, c.auth.Scrub
	})
	ctx, end := runtime.StartSpan(ctx, "acr."+op.id, c.azure.Tracer(), nil)
	defer func() { end(err) }()
	answer, err := send(ctx)
	resp, err = op.check(answer, withCause(ctx, err))
	err = c.located(err)
	if refusal, ok := errors.AsType[*Error](err); ok && answer != nil {
		refusal.explain(c.auth.Explain(answer, refusal.body, scopes...))
		refusal.body = nil
	}
	return resp, err
}

// apiVersion is the version of the document that /acr/v1 is asked for.
func apiVersion() *gen.APIVersion { return new(gen.APIVersion(version.API)) }

// Endpoint is the registry's URL, such as https://myregistry.azurecr.io.
func (c *Client) Endpoint() string { return c.login.String() }

// Ping asks whether the registry is there, speaks the OCI distribution API and takes the client's credential. One request, and those of
// the sign-in. Errors: *Error with the causes of a refused sign-in.
func (c *Client) Ping(ctx context.Context) error {
	resp, err := c.do(ctx, opCheckSupport, "", func(ctx context.Context) (*http.Response, error) {
		return c.gen.CheckSupport(ctx)
	})
	if err != nil {
		return err
	}
	wire.Drain(resp)
	return nil
}

// CloseIdleConnections closes the connections that no call is using. The client can be used afterwards. The connections of a Transport that
// it was given are the caller's to close.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// A client is at work while it may be printed, and so are handles, readers and writers; they hold credentials or where an upload or a download
// goes on, which is one too. Whatever the verb, only what never changes is shown.

// String names the registry by its URL; however a client is printed, no credential is shown.
func (c *Client) String() string { return "acr.Client(" + c.login.String() + ")" }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// Format prints String for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue is String, for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }
