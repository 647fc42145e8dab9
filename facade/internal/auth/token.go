package auth

import "time"

// token is an access or refresh token as it was received. Immutable.
type token struct {
	value  secret
	bearer secret // "Bearer " and the value: what every request would build anew
	claims claims
	issued time.Time
	// The three times of a token's life, compared by before. Until renewAt it is used as it is; then one caller renews it while the others go on with it; from mustAt
	// on all wait for the new one; at end it is over.
	renewAt, mustAt, end time.Time
}

// floor is the life a token should have left when a request starts.
const floor = time.Minute

// newToken takes a token in. It is renewed at 80 % of the life it has left now. A token of five minutes (anonymous) then has the one minute left that a request
// should start with; one handed out with less life still is used for most of it, rather than asked for again with every request.
func newToken(value string, date, now time.Time) *token {
	c := readClaims(value)
	left := c.lifeLeft(date, now)
	return &token{
		value:   newSecret(value),
		bearer:  newSecret("Bearer " + value),
		claims:  c,
		issued:  now,
		renewAt: now.Add(left * 4 / 5),
		mustAt:  now.Add(left - min(left/5, floor)),
		end:     now.Add(left),
	}
}

func (t *token) fresh(now time.Time) bool  { return t != nil && before(now, t.renewAt) }
func (t *token) usable(now time.Time) bool { return t != nil && before(now, t.mustAt) }

// expired reports whether the token is known to be over.
func (t *token) expired(now time.Time) bool { return !t.claims.exp.IsZero() && !before(now, t.end) }

// before reports whether now is before t by both clocks. The monotonic one stands still while a machine is suspended, and
// the wall clock may be set back.
func before(now, t time.Time) bool { return now.Before(t) && now.Round(0).Before(t.Round(0)) }
