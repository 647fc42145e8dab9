package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxReply     = 64 << 10
	tokenTimeout = 30 * time.Second // of one try, its body included
	askTimeout   = 90 * time.Second // of one token request, with all its tries and the waits between them
)

// The operations of the token endpoints, as errors name them.
const (
	opExchange = "ExchangeEntraToken"
	opToken    = "GetAccessToken"
	opBasic    = "GetAccessTokenWithBasic"
	opEntra    = "GetEntraToken"
)

// tokenRoad is the road of token requests: the caller's policies, retries and spans like any other request's, but no token.
func tokenRoad(c Config, v *vault) (*azcore.Client, error) {
	budget := c.Budget
	if budget == nil {
		budget = retry.NewBudget()
	}
	retries := c.Pipeline.Retry
	if retries.TryTimeout <= 0 || retries.TryTimeout > tokenTimeout {
		retries.TryTimeout = tokenTimeout
	}
	logging := c.Pipeline.Logging
	logging.IncludeBody = false
	return azcore.NewClient(cmp.Or(c.Module, "acrkit"), cmp.Or(c.Version, "v0.0.0"),
		runtime.PipelineOptions{
			PerCall:  []policy.Policy{retry.NewGuard()},
			PerRetry: []policy.Policy{retry.New(retries, budget, c.Gate), whole{}},
			Tracing:  runtime.TracingOptions{Namespace: "Microsoft.ContainerRegistry"},
		},
		&policy.ClientOptions{
			Logging:          logging,
			Retry:            policy.RetryOptions{MaxRetries: -1},
			Telemetry:        c.Pipeline.Telemetry,
			TracingProvider:  c.Pipeline.TracingProvider,
			Transport:        forgetful{c.Transport, v},
			PerCallPolicies:  c.Pipeline.PerCallPolicies,
			PerRetryPolicies: c.Pipeline.PerRetryPolicies,
		})
}

// forgetful takes secrets out of the headers of replies, where azcore's log shows what a server repeats of a request's body.
type forgetful struct {
	policy.Transporter
	vault *vault
}

// Do implements policy.Transporter.
func (f forgetful) Do(r *http.Request) (*http.Response, error) {
	resp, err := f.Transporter.Do(r)
	if err != nil {
		return nil, err
	}
	for _, values := range resp.Header {
		for i, v := range values {
			values[i] = f.vault.scrub(v)
		}
	}
	return resp, nil
}

// doer lets gen send by a road.
type doer struct{ road *azcore.Client }

// Do sends the request.
func (d doer) Do(r *http.Request) (*http.Response, error) {
	req, err := runtime.NewRequestFromRequest(r)
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(req) // read here, and not further than maxReply
	return d.road.Pipeline().Do(req)
}

// whole reads a reply within its try, so that one that breaks off is asked for again.
type whole struct{}

// Do implements policy.Policy.
func (whole) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	_ = resp.Body.Close()
	if err != nil && resp.StatusCode == http.StatusOK {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// reply is what came of a token request: the token, or why there is none and what may be learned from the refusal.
type reply struct {
	token  *token
	err    *Error
	claims string // asked of the Entra token
}

// ask sends one token request and reads its reply, from which field takes the token.
func (a *Authenticator) ask(ctx context.Context, op string, soft bool, send func(context.Context) (*http.Response, error), field func([]byte) (string, error)) (r reply) {
	ctx, end := runtime.StartSpan(ctx, "acr."+op, a.tracer, nil)
	defer func() {
		_, err := r.result()
		end(err)
	}()
	ctx, cancel := context.WithTimeout(call.WithKind(ctx, call.Token), askTimeout)
	defer cancel()
	if soft {
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1, TryTimeout: tokenTimeout})
	}
	began := time.Now()
	resp, err := send(ctx)
	if err != nil {
		if end := context.Cause(ctx); end != nil {
			err = end
		}
		return reply{err: a.unreachable(op, err, time.Since(began))}
	}
	defer func() { _ = resp.Body.Close() }()
	now := time.Now()
	body, err := wire.ReadAll(resp.Body, maxReply)
	if resp.StatusCode != http.StatusOK {
		c, _ := bearer(parseChallenges(resp.Header))
		return reply{err: a.refused(op, resp, body, now), claims: c.claims()}
	}
	if err != nil {
		return reply{err: a.unreachable(op, err, 0).fill(resp, now)}
	}
	value, err := field(body)
	if err != nil || !validToken(value) {
		return reply{err: (&Error{Operation: op, Cause: ErrBadReply, Message: "no token in it", Advice: adviseStranger}).fill(resp, now)}
	}
	a.vault.remember(value)
	return reply{token: newToken(value, dateOf(resp), now)}
}

func accessField(body []byte) (string, error) {
	var r gen.AccessToken
	err := json.Unmarshal(body, &r)
	return r.AccessToken, err
}

func refreshField(body []byte) (string, error) {
	var r gen.RefreshToken
	err := json.Unmarshal(body, &r)
	return r.RefreshToken, err
}

// version is sent as every Azure client sends it; the registry does without.
func version() *gen.APIVersion { v := gen.APIVersion("2021-07-01"); return &v }

// exchange turns an Entra token into a refresh token.
func (a *Authenticator) exchange(ctx context.Context, entra string, soft bool) reply {
	return a.ask(ctx, opExchange, soft, func(ctx context.Context) (*http.Response, error) {
		return a.client.ExchangeEntraTokenWithFormdataBody(ctx, &gen.ExchangeEntraTokenParams{APIVersion: version()}, gen.ExchangeForm{
			GrantType: gen.ExchangeGrantAccessToken, Service: a.Service(), AccessToken: entra,
		})
	}, refreshField)
}

// redeem turns a refresh token, or the lack of one, into an access token.
func (a *Authenticator) redeem(ctx context.Context, set *scopeSet, refresh string, soft bool) reply {
	form := gen.AccessTokenForm{GrantType: gen.AccessTokenGrantRefreshToken, Service: a.Service(), Scope: set.key, RefreshToken: refresh}
	if refresh == "" {
		form.GrantType = gen.AccessTokenGrantPassword
	}
	return a.ask(ctx, opToken, soft, func(ctx context.Context) (*http.Response, error) {
		return a.client.GetAccessTokenWithFormdataBody(ctx, &gen.GetAccessTokenParams{APIVersion: version()}, form)
	}, accessField)
}

// basic gets an access token for a user name and password. It is the only request that carries them.
func (a *Authenticator) basic(ctx context.Context, set *scopeSet, soft bool) reply {
	return a.ask(ctx, opBasic, soft, func(ctx context.Context) (*http.Response, error) {
		return a.client.GetAccessTokenWithBasic(ctx, &gen.GetAccessTokenWithBasicParams{Service: a.Service(), Scope: set.key},
			func(_ context.Context, r *http.Request) error {
				r.SetBasicAuth(a.credential.username, a.credential.secret.reveal())
				return nil
			})
	}, accessField)
}
