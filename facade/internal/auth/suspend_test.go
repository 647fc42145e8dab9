package auth

import (
	"errors"
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
