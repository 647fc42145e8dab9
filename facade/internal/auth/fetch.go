package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// fetchAccess gets an access token for the set.
func (a *Authenticator) fetchAccess(ctx context.Context, set *scopeSet, early bool) (*token, error) {
	switch a.credential.kind {
	case kindAnonymous:
		return a.redeem(ctx, set, "", early).result()
	case kindPassword:
		return a.basic(ctx, set, early).result()
	}
	refresh, err := a.refreshToken(ctx)
	if err != nil {
		return nil, err
	}
	if refresh.claims.abac {
		a.dropRegistryWide(ctx, "it grants by repository (ABAC)")
		if a.registryWide != nil && set.key == a.registryWide.key {
			// No repository is granted by a wildcard here: rather than ask for a token that allows nothing, say so with an empty one that token() sees through.
			return &token{claims: claims{granted: &scopeSet{}}}, nil
		}
	}
	r := a.redeem(ctx, set, refresh.value.reveal(), early)
	if r.err == nil || r.err.StatusCode != http.StatusBadRequest && r.err.StatusCode != http.StatusUnauthorized {
		return r.result()
	}
	// The refresh token is not taken any more. One that came by exchange is exchanged anew, once.
	a.refresh.drop(refresh)
	if r.claims != "" {
		a.claims.Store(&r.claims)
	}
	if a.credential.kind == kindRefreshToken {
		if refresh.expired(time.Now()) {
			r.err.Cause, r.err.Advice = ErrExpired, adviseRefresh
		}
		return r.result()
	}
	if refresh, err = a.refreshToken(ctx); err != nil {
		return nil, err
	}
	observe.Again(ctx, "the refresh token was refused")
	return a.redeem(ctx, set, refresh.value.reveal(), early).result()
}

// refreshToken returns a refresh token within the fetch of an access token.
func (a *Authenticator) refreshToken(ctx context.Context) (*token, error) {
	t, err := a.refresh.get(ctx)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) && ctx.Err() == err { //nolint:errorlint // the very same: it was not the fetch that failed
		return nil, &Error{Operation: opToken, Message: silent(a.limits.access), Err: context.DeadlineExceeded}
	}
	return t, err
}

func (r reply) result() (*token, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.token, nil
}

// fetchRefresh gets a refresh token: the one given, or a new one for an Entra token.
func (a *Authenticator) fetchRefresh(ctx context.Context, early bool) (*token, error) {
	if a.credential.kind == kindRefreshToken {
		return a.given(time.Now())
	}
	wanted := ""
	claims := a.claims.Swap(nil)
	if claims != nil {
		wanted = *claims
	}
	entra, err := a.entraToken(ctx, wanted)
	if err != nil {
		a.claims.CompareAndSwap(nil, claims) // asked for still
		return nil, err
	}
	r := a.exchange(ctx, entra, early)
	if r.err != nil && r.err.StatusCode == http.StatusUnauthorized && r.claims != "" && r.claims != wanted {
		// Continuous access evaluation: a token with these claims will do, and only the credential can get it.
		if entra, err = a.entraToken(ctx, r.claims); err != nil {
			return nil, err
		}
		observe.Again(ctx, "the registry asks for an Entra token with other claims")
		r = a.exchange(ctx, entra, early)
	}
	if r.err != nil && errors.Is(r.err, ErrARMAudienceDisabled) {
		a.useARM.Store(false) // the registry's own audience goes first again: the credential may have failed to get it for a moment only
	}
	return r.result()
}

// given is the refresh token the user gave. Its life is reckoned by the local clock, for it came in no reply; when that says it is over it is still tried, once in a while,
// because it is the clock that may be wrong.
func (a *Authenticator) given(now time.Time) (*token, error) {
	t := newToken(a.credential.secret.reveal(), time.Time{}, now)
	t.renewAt, t.mustAt = now.Add(maxLife), now.Add(maxLife) // nothing renews it
	if !t.claims.exp.IsZero() {
		t.end = now.Add(t.claims.exp.Sub(now))
	}
	return t, nil
}

// badToken says why what the credential returned cannot be a token; nil if it can.
func badToken(s string) error {
	switch {
	case s == "":
		return errors.New("the credential returned no token")
	case len(s) > maxToken:
		return fmt.Errorf("the credential returned a token of %d bytes, more than the %d that are accepted", len(s), maxToken)
	case !wire.IsVisible(s):
		return errors.New("the credential returned a token with a blank, a line break or another character that no token has")
	}
	return nil
}

// entraToken asks the credential, for the audience of the registry first. The ARM audience is an option for credentials that know no other.
func (a *Authenticator) entraToken(ctx context.Context, claims string) (string, error) {
	audiences := []string{a.audience}
	if a.arm != "" {
		audiences = []string{a.audience, a.arm}
		if a.useARM.Load() {
			audiences = []string{a.arm, a.audience}
		}
	}
	var first error
	began := time.Now()
	for _, audience := range audiences {
		t, err := a.credential.entra.GetToken(ctx, policy.TokenRequestOptions{
			Scopes:    []string{strings.TrimSuffix(strings.TrimSuffix(audience, ".default"), "/") + "/.default"},
			Claims:    claims,
			EnableCAE: true,
		})
		if err == nil {
			err = badToken(t.Token)
		}
		if err == nil {
			a.vault.remember(t.Token)
			a.useARM.Store(audience == a.arm)
			return t.Token, nil
		}
		if ctx.Err() != nil {
			return "", a.credentialFailed(context.Cause(ctx), time.Since(began))
		}
		if first == nil {
			first = err
		}
	}
	return "", a.credentialFailed(first, time.Since(began))
}
