package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxReply = 64 << 10
)

// The operations of the token endpoints, as errors name them.
const (
	opExchange = "ExchangeEntraToken"
	opToken    = "GetAccessToken"
	opBasic    = "GetAccessTokenWithBasic"
	opEntra    = "GetEntraToken"
)

// reply is what came of a token request: the token, or why there is none and what may be learned from the refusal.
type reply struct {
	token  *token
	err    *Error
	claims string // asked of the Entra token
}

// ask sends one token request and reads its reply, from which field takes the token.
func (a *Authenticator) ask(ctx context.Context, op string, early bool, send func(context.Context) (*http.Response, error), field func([]byte) (string, error)) (r reply) {
	ctx, end := runtime.StartSpan(ctx, "acr."+op, a.tracer, nil)
	defer func() {
		_, err := r.result()
		end(err)
	}()
	ctx, cancel := context.WithTimeout(call.With(ctx, func(c *call.Call) { c.Kind, c.Operation = call.Token, op }), a.limits.request)
	defer cancel()
	if early {
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1, TryTimeout: a.limits.try})
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
	body, err := wire.ReadAll(resp.Body, nil, -1, maxReply)
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
	observe.LedgerOf(ctx).Add(observe.Tokens, 1)
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

// apiVersion is sent as every Azure client sends it; the registry does without.
func apiVersion() *gen.APIVersion { return new(gen.APIVersion(version.API)) }

// exchange turns an Entra token into a refresh token.
func (a *Authenticator) exchange(ctx context.Context, entra string, early bool) reply {
	return a.ask(ctx, opExchange, early, func(ctx context.Context) (*http.Response, error) {
		return a.client.ExchangeEntraTokenWithFormdataBody(ctx, &gen.ExchangeEntraTokenParams{APIVersion: apiVersion()}, gen.ExchangeForm{
			GrantType: gen.ExchangeGrantAccessToken, Service: a.Service(), AccessToken: entra,
		})
	}, refreshField)
}

const catalogScope = "registry:catalog:*"

// redeem turns a refresh token, or the lack of one, into an access token.
func (a *Authenticator) redeem(ctx context.Context, set *scopeSet, refresh string, early bool) reply {
	form := gen.AccessTokenForm{GrantType: gen.AccessTokenGrantRefreshToken, Service: a.Service(), Scope: set.key, RefreshToken: refresh}
	if refresh == "" {
		form.GrantType = gen.AccessTokenGrantPassword
		if form.Scope == "" {
			// The registry refuses an anonymous request without a scope (400). It issues a token whether it grants
			// the scope or not, and what needs no scope takes any token.
			form.Scope = catalogScope
		}
	}
	return a.ask(ctx, opToken, early, func(ctx context.Context) (*http.Response, error) {
		return a.client.GetAccessTokenWithFormdataBody(ctx, &gen.GetAccessTokenParams{APIVersion: apiVersion()}, form)
	}, accessField)
}

// basic gets an access token for a user name and password. It is the only request that carries them.
func (a *Authenticator) basic(ctx context.Context, set *scopeSet, early bool) reply {
	return a.ask(ctx, opBasic, early, func(ctx context.Context) (*http.Response, error) {
		return a.client.GetAccessTokenWithBasic(ctx, &gen.GetAccessTokenWithBasicParams{Service: a.Service(), Scope: set.key},
			func(_ context.Context, r *http.Request) error {
				r.SetBasicAuth(a.credential.username, a.credential.secret.reveal())
				return nil
			})
	}, accessField)
}
