package auth

import (
	"context"
	"net/http"
	"time"
)

// For tests of the parsers, which have no face of their own.

// Challenge is one challenge as it was read.
type Challenge struct {
	Scheme string
	Params map[string]string
}

// ParseChallenges reads WWW-Authenticate lines.
func ParseChallenges(lines ...string) []Challenge {
	var out []Challenge
	for _, c := range parseChallenges(http.Header{"Www-Authenticate": lines}) {
		out = append(out, Challenge{c.scheme, c.params})
	}
	return out
}

// LifeLeft is how long a token that came with a Date at now is used.
func LifeLeft(token string, date, now time.Time) time.Duration {
	return readClaims(token).lifeLeft(date, now)
}

// Within grows need by a challenge's scope.
func Within(need, challenge, method string) string {
	return parseScopeSet(need).within(challenge, method).key
}

// Key is how a set of scopes is sent.
func Key(scopes ...string) string { return parseScopeSet(scopes...).key }

// Covers says whether one set of scopes allows another.
func Covers(have, want string) bool { return parseScopeSet(have).covers(parseScopeSet(want)) }

// Slots is how many access tokens are kept.
func (a *Authenticator) Slots() int { return len(*a.access.slots.Load()) }

// UnknownLife is the life of a token that does not say.
const UnknownLife = unknownLife

// Lookup returns what the policy does to find a token, for scopes parsed before.
func (a *Authenticator) Lookup(scopes ...string) func(context.Context, int) error {
	sets := make([]*scopeSet, len(scopes))
	for i, s := range scopes {
		sets[i] = parseScopeSet(s)
	}
	return func(ctx context.Context, i int) error {
		_, _, err := a.token(ctx, a.recall("GET", sets[i]))
		return err
	}
}

// Remember is what happens to each token received.
func (a *Authenticator) Remember(token string) { a.vault.remember(token) }

// AccessToken returns an access token for the scopes, as the policy gets it.
func (a *Authenticator) AccessToken(ctx context.Context, scopes ...string) (string, error) {
	t, _, err := a.token(ctx, parseScopeSet(scopes...))
	if err != nil {
		return "", err
	}
	return t.value.reveal(), nil
}
