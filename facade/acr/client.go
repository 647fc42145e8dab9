package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Client is a connection to one registry under one identity. It holds tokens and connections, so
// create one and reuse it. It is safe for concurrent use. Creating a client sends no request.
type Client struct {
	login     *url.URL // the registry's endpoint: the only origin that sees a credential
	options   ClientOptions
	azure     *azcore.Client // pipeline
	tracer    tracing.Tracer
	transport *transport.Transport
	router    *router
	auth      *auth.Authenticator
	gen       *gen.Client
	limits    transfer.Limits // what uploads have learned of the registry
	referrers referrersState
}

// NewClient returns a client of the registry at endpoint ("myregistry.azurecr.io", with or without
// https://) that signs in with an Entra credential. If cred is nil, the client pulls anonymously.
// No request is sent.
//
// Tokens are obtained on demand, shared by all calls and renewed before they expire. Without a
// shorter deadline in ctx, a token request times out after two and a half minutes including
// retries, and a whole sign-in after four minutes. Credentials that prompt a user should therefore
// be authenticated first, with their Authenticate method.
//
// Errors:
//   - [ErrInvalidArgument] if the endpoint or an option is invalid, if cred is a nil pointer of a
//     credential type (only a plain nil means anonymous), or if the endpoint is not a host of ACR
//     (under azurecr.io, .cn, .us or .de) and not in ClientOptions.AllowedHosts
func NewClient(endpoint string, cred azcore.TokenCredential, opts *ClientOptions) (*Client, error) {
	if cred == nil {
		return newClient(endpoint, auth.Anonymous(), opts)
	}
	if isNil(cred) { // it would panic when it is asked for a token
		return nil, badArgument("cred", "", fmt.Sprintf("it is a nil %T: handle the error of its constructor; only an untyped nil is anonymous", cred))
	}
	return newClient(endpoint, auth.Entra(cred), opts)
}

// NewClientWithPassword returns a client that signs in with a user name and password: of the admin
// user, of a repository-scoped token, or of a service principal. No request is sent.
//
// With the user name "00000000-0000-0000-0000-000000000000" or "<token>", which docker and other
// clients store with a refresh token, the password is used as in [NewClientWithRefreshToken].
//
// Errors:
//   - [ErrInvalidArgument] if the user name or password is empty, or if [NewClient] would fail
func NewClientWithPassword(endpoint, username, password string, opts *ClientOptions) (*Client, error) {
	switch {
	case username == "":
		return nil, badArgument("username", "", "it is empty: for anonymous pull use NewClient with a nil credential")
	case password == "":
		return nil, badArgument("password", "", "it is empty: for anonymous pull use NewClient with a nil credential")
	}
	return newClient(endpoint, auth.Password(username, password), opts)
}

// NewClientWithRefreshToken returns a client that signs in with an ACR refresh token, such as the
// password of [Client.Login], the output of `az acr login --expose-token`, or the identity token of
// a docker configuration. Such a token lasts about three hours, and the client cannot renew it. No
// request is sent.
//
// Errors:
//   - [ErrInvalidArgument] if the token is empty, or if [NewClient] would fail
func NewClientWithRefreshToken(endpoint, refreshToken string, opts *ClientOptions) (*Client, error) {
	if refreshToken == "" {
		return nil, badArgument("refreshToken", "", "it is empty")
	}
	return newClient(endpoint, auth.RefreshToken(refreshToken), opts)
}

// badEndpoint returns the error for an endpoint.
func badEndpoint(endpoint string, err error) error {
	reason := err.Error()
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok {
		reason = refusal.Detail
	}
	return badArgument("endpoint", withoutSecrets(endpoint), reason)
}

// withoutSecrets removes passwords and signatures that people leave in URLs, which need not be valid ones.
func withoutSecrets(endpoint string) string {
	end := len(endpoint)
	if i := strings.IndexAny(endpoint, "?#"); i >= 0 {
		end = i
	}
	shown, rest := endpoint[:end], endpoint[end:]
	if strings.Contains(rest, "@") { // the question mark may be one of a password
		return "..."
	}
	if at := strings.LastIndexByte(shown, '@'); at >= 0 { // a password may have one too
		shown = "..." + shown[at:]
	}
	_, host, found := strings.Cut(shown, "://")
	if !found {
		host = shown
	}
	host, _, _ = strings.Cut(host, "/")
	if name, port, ok := strings.Cut(host, ":"); ok && host[0] != '[' && strings.Trim(port, "0123456789") != "" { // a user name with its password
		shown = shown[:strings.Index(shown, host)+len(name)] + ":..."
	}
	if rest != "" {
		shown += rest[:1] + "..."
	}
	return shown
}

// bad returns an error for a client that was not made by one of the functions of this package.
func (c *Client) bad() error {
	if c == nil || c.gen == nil {
		return unmade("Client")
	}
	return nil
}

// newClient builds the pipeline of a request: gen builds the URL, the pipeline retries, auth adds a
// token to each try, and wire decides which URLs of a server are followed.
func newClient(endpoint string, cred auth.Credential, opts *ClientOptions) (*Client, error) {
	c := &Client{options: given(opts), referrers: referrersState{noting: make(chan struct{}, 1)}}
	var err error
	if c.login, err = wire.CheckEndpoint(endpoint, c.options.AllowedHosts); err != nil {
		return nil, badEndpoint(endpoint, err)
	}
	if !wire.IsVisible(c.options.SourceClient) {
		return nil, badArgument("SourceClient", c.options.SourceClient, "it may contain printable ASCII only, without blanks")
	}
	if slices.ContainsFunc(slices.Concat(c.options.PerCallPolicies, c.options.PerRetryPolicies), isNil) {
		return nil, badArgument("PerCallPolicies and PerRetryPolicies", "", "a policy is nil")
	}
	if c.options.Governor != nil && c.options.Governor.bad() != nil {
		return nil, c.options.Governor.bad()
	}
	c.transport = transport.New(c.login, c.options.Transport, &transport.Options{
		StrictStorage: c.options.StrictStorage,
		OnRequest:     c.options.onRequest(),
		Rate:          c.options.rate(),
		Timeouts:      transport.Timeouts(c.options.ResponseTimeouts),
	})
	budget := retry.NewBudget() // of retries, for requests and sign-ins together
	c.auth, err = auth.New(auth.Config{
		Budget:       budget,
		Timeout:      c.options.ResponseTimeouts.Token,
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
	c.tracer = newTracer(c.options.TracingProvider)
	if err := c.newFallbacks(cred); err != nil {
		return nil, err
	}
	c.gen, err = gen.NewClient(c.login.String(), gen.WithHTTPClient(c.router), gen.WithRequestEditorFn(plainSlashes))
	if err != nil {
		return nil, fmt.Errorf("acr: %w", err)
	}
	return c, nil
}

// do sends one request of an operation on the repository name (empty for the registry itself). It
// returns the response if op.check accepts it; the caller closes the body. send calls the method of
// c.gen. extra are scopes beyond those of the operation.
func (c *Client) do(ctx context.Context, op *operation, name string, send func(context.Context) (*http.Response, error), extra ...string) (*http.Response, error) {
	resp, end, err := c.begin(ctx, op, name, send, extra...)
	end(err)
	return resp, err
}

// begin is do for a caller that reads the body as part of the call: it calls end when that is done,
// also after an error.
func (c *Client) begin(ctx context.Context, op *operation, name string, send func(context.Context) (*http.Response, error), extra ...string) (resp *http.Response, end func(error), err error) {
	if err := cmp.Or(c.bad(), checkContext(ctx)); err != nil {
		return nil, func(error) {}, err
	}
	scopes := append(op.scopes(name), extra...)
	if pull := scopePull(name); slices.Equal(scopes, pull) && ctx.Value(pushing{c, name}) != nil {
		scopes = scopePullPush(name)
	}
	ctx = call.With(ctx, func(k *call.Call) {
		k.Kind, k.Operation, k.Sign, k.Scopes, k.Scrub = op.call, op.id, true, scopes, c.auth.Scrub
	})
	ctx, end = c.track(ctx, op.id, name, "")
	answered := false
	defer func() {
		if !answered { // a policy or a credential panicked
			end(nil)
		}
	}()
	answer, failure := send(ctx)
	resp, err = op.check(answer, wait.WithCause(ctx, failure))
	err = c.completeURL(err)
	if err != nil && failure == nil {
		explain(err, answer, c.serving(answer).auth, scopes)
	}
	answered = true
	return resp, end, err
}

// fetch sends a request to storage.
func (c *Client) fetch(ctx context.Context, method string, link *transport.Link, header http.Header) (*http.Response, error) {
	ctx = call.With(ctx, func(k *call.Call) { k.Operation = opGetBlobContent.id })
	ctx, end := c.storageSpan(ctx, method, link)
	resp, err := c.transport.Fetch(ctx, link, header)
	end(resp, err)
	return resp, err
}

// apiVersion returns the version that requests to /acr/v1 ask for.
func apiVersion() *gen.APIVersion { return new(gen.APIVersion(version.API)) }

// Endpoint returns the registry's URL, such as https://myregistry.azurecr.io.
func (c *Client) Endpoint() string {
	if c.bad() != nil {
		return ""
	}
	return c.login.String()
}

// Ping checks that the registry answers, implements the OCI distribution API and accepts the
// client's credential. It costs one request, and those of the sign-in.
//
// Errors:
//   - [*Error] if the registry refuses the request or the sign-in; it matches the cause, such as
//     [ErrNoRole] or [ErrFirewall]
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

// CloseIdleConnections closes the connections that are not in use. The client remains usable.
// Connections of a ClientOptions.Transport are not closed; the caller owns them.
func (c *Client) CloseIdleConnections() {
	if c.bad() == nil {
		for _, e := range c.router.endpoints {
			e.transport.CloseIdleConnections()
		}
	}
}

// Clients, handles, readers and writers may be printed while they are in use, and they hold
// credentials or signed URLs. So every verb prints only names, which never change.

// String returns the registry's URL in the form "acr.Client(URL)". No format verb prints a
// credential.
func (c *Client) String() string { return "acr.Client(" + c.Endpoint() + ")" }

// Format prints String for every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue returns String for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// PinAddress returns a context that sends every request of this client to one address of the
// registry: the first one that the registry's name resolves to. Use it for calls that belong
// together, such as the push of an image with its blobs, mounts and manifests. A geo-replicated
// registry has a replica in each of several regions. Its name may resolve to another replica for
// the next connection, and that replica may not have yet what was pushed to the first one.
//
// The requests are not sent to [ClientOptions].FallbackEndpoints, so reads and writes reach the
// same replica. If the address can no longer be reached, the requests move on to the next address
// of the name. The context does not affect requests to storage, requests through a proxy, or
// requests of other clients. If PinAddress of this client has returned ctx, or a parent of it,
// PinAddress returns ctx unchanged.
//
// PinAddress sends no request. Pinned requests have their own connections. The token requests of
// pinned calls usually use these too, but may go to another address, because tokens are valid at
// every replica. Call release after all calls with the context have returned; it closes the idle
// connections.
func (c *Client) PinAddress(ctx context.Context) (pinned context.Context, release func()) {
	return c.pin(ctx, false)
}

// PinReads returns a context like that of [Client.PinAddress], for calls that only read, such as
// the pull of an image. They read from one replica as long as it can be reached, and then, as with
// PinAddress, from the next address of the name. If the endpoint fails altogether, they continue at
// the [ClientOptions].FallbackEndpoints, if there are any. Another replica may lack new content. If
// PinAddress or PinReads of this client has returned ctx, or a parent of it, PinReads returns ctx
// unchanged.
func (c *Client) PinReads(ctx context.Context) (pinned context.Context, release func()) {
	return c.pin(ctx, true)
}

// pin is PinAddress, or PinReads if loose.
func (c *Client) pin(ctx context.Context, loose bool) (context.Context, func()) {
	if c.bad() != nil {
		return ctx, func() {}
	}
	if pinned, loosely := c.transport.Pinned(ctx); pinned && (loose || !loosely) {
		return ctx, func() {}
	}
	pin := c.transport.NewPin(loose)
	return pin.With(ctx), pin.Close
}
