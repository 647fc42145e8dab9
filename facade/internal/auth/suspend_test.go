package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"
)

// asleep returns t as a machine that was suspended for d has it afterwards: the wall clock has gone on, the monotonic
// one has not. No function of package time makes such a time, so its wall field is changed: seconds from bit 30 on, below
// the flag.
func asleep(t time.Time, d time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(d/time.Second) << 30
	return t
}

// A token that ended while the machine slept is not used, nor handed out.
func TestTokenAfterSuspend(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := asleep(now, 24*time.Hour)
	if later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != 24*time.Hour {
		t.Fatalf("the clocks differ by %v and %v", later.Sub(now), later.Round(0).Sub(now.Round(0)))
	}
	tok := newToken("opaque-token", time.Time{}, now)
	if !tok.fresh(now) || !tok.usable(now) {
		t.Error("a new token is not fresh")
	}
	if tok.fresh(later) || tok.usable(later) {
		t.Error("a token is fresh after a day of sleep")
	}
	tok.claims.exp = now.Add(time.Hour)
	tok.end = tok.claims.exp
	if tok.expired(now) || !tok.expired(later) {
		t.Error("whether a token has expired is told by one clock")
	}
}

// A clock that is set forward or back by hours makes no token last longer, and does not keep a new one from being used.
func TestTokenAfterClockIsSet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, jump := range []time.Duration{-24 * time.Hour, -5 * time.Hour, -time.Minute, 0, time.Minute, 5 * time.Hour, 24 * time.Hour} {
		tok := newToken("opaque-token", time.Time{}, now)
		at := asleep(now.Add(unknownLife), jump) // by then its life is over, whatever the clock on the wall shows
		if tok.fresh(at) || tok.usable(at) {
			t.Errorf("clock set by %v: a token is used for longer", jump)
		}
		at = asleep(now.Add(time.Second), jump)
		if again := newToken("opaque-token", time.Time{}, at); !again.fresh(at) || !again.fresh(asleep(at.Add(time.Minute), 0)) || again.fresh(at.Add(unknownLife)) {
			t.Errorf("clock set by %v: a new token is not used", jump)
		}
		if jump <= 0 && !tok.fresh(at) {
			t.Errorf("clock set back by %v: a fresh token is fetched anew", jump)
		}
		// The registry's tokens say when they end, and its replies what time it is: the local clock does not matter.
		tok = newToken(jwtUntil(now.Add(time.Hour)), now, at)
		if tok.expired(at) || !tok.fresh(at.Add(30*time.Minute)) || tok.fresh(at.Add(time.Hour)) || !tok.expired(at.Add(time.Hour)) {
			t.Errorf("clock set by %v: an hour of the registry is not an hour here", jump)
		}
	}
}

// jwtUntil is a token that says when it ends.
func jwtUntil(end time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".x"
}

// What the credential returned is named for what it is, without a character of it.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "abc\n", "a b", string(make([]byte, maxToken+1))} {
		err := badToken(s)
		if err == nil || (s == "") != (err.Error() == "the credential returned no token") {
			t.Errorf("%.10q: %v", s, err)
		}
	}
	if err := badToken("eyJ.abc.def"); err != nil {
		t.Error(errors.Unwrap(err))
	}
}
