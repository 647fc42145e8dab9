package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

func TestLifeLeft(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	raw := func(payload string) string {
		return "h." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".s"
	}
	for _, row := range []struct {
		name, token string
		date        time.Time
		want        time.Duration
	}{
		{"an hour", jwt(map[string]any{"exp": now.Add(time.Hour).Unix()}), now, time.Hour},
		{"back-dated iat", jwt(map[string]any{"exp": now.Add(5 * time.Minute).Unix(), "iat": now.Add(-15 * time.Minute).Unix()}), now, 5 * time.Minute},
		{"F54 local clock 6 h ahead", jwt(map[string]any{"exp": now.Add(-5 * time.Hour).Unix()}), now.Add(-6 * time.Hour), time.Hour},
		{"F54 local clock 6 h behind", jwt(map[string]any{"exp": now.Add(7 * time.Hour).Unix()}), now.Add(6 * time.Hour), time.Hour},
		{"F54 no Date", jwt(map[string]any{"exp": now.Add(time.Hour).Unix()}), time.Time{}, time.Hour},
		{"expired on arrival", jwt(map[string]any{"exp": now.Add(-time.Hour).Unix()}), now, auth.UnknownLife},
		{"longer than believed", jwt(map[string]any{"exp": now.Add(1000 * time.Hour).Unix()}), now, 24 * time.Hour},
		{"F55 no exp", jwt(map[string]any{"sub": "x"}), now, auth.UnknownLife},
		{"F55 opaque", "opaque", now, auth.UnknownLife},
		{"A42 string", raw(`{"exp":"1800003600"}`), now, time.Hour},
		{"A42 float", raw(`{"exp":1800003600.75}`), now, time.Hour},
		{"A42 exponent", raw(`{"exp":1.8000036e9}`), now, time.Hour},
		{"A42 negative", raw(`{"exp":-1}`), now, auth.UnknownLife},
		{"A42 2^63", raw(`{"exp":9223372036854775808}`), now, auth.UnknownLife},
		{"A42 1e400", raw(`{"exp":1e400}`), now, auth.UnknownLife},
		{"A42 NaN", raw(`{"exp":"NaN"}`), now, auth.UnknownLife},
		{"A42 object", raw(`{"exp":{}}`), now, auth.UnknownLife},
		{"A42 null payload", raw(`null`), now, auth.UnknownLife},
		{"A42 array payload", raw(`[]`), now, auth.UnknownLife},
		{"A42 other claims of wrong types", raw(`{"exp":1800003600,"access":3,"aad_identity":[]}`), now, time.Hour},
		{"A42 two dots only", "..", now, auth.UnknownLife},
		{"A42 one dot", "a.b", now, auth.UnknownLife},
		{"A42 five dots", raw(`{"exp":1800003600}`) + "...", now, auth.UnknownLife},
		{"A42 1 MiB of dots", strings.Repeat(".", 1<<20), now, auth.UnknownLife},
		{"A42 padding", "h." + base64.URLEncoding.EncodeToString([]byte(`{"exp":1800003600}`)) + ".s", now, time.Hour},
		{"A42 standard alphabet", "h." + base64.StdEncoding.EncodeToString([]byte(`{"exp":1800003600,"x":"???>>>~~~"}`)) + ".s", now, time.Hour},
		{"A42 url alphabet", raw(`{"exp":1800003600,"x":"???>>>~~~"}`), now, time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.LifeLeft(row.token, row.date, now); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

func FuzzExpiry(f *testing.F) {
	for _, s := range []string{`{"exp":1800003600,"access":[{"Type":"repository","Name":"a","Actions":["pull"]}],"aad_identity":"x"}`, `{"exp":"1e9"}`, `null`, `{"exp":-1,"access":[null]}`} {
		f.Add("h."+base64.RawURLEncoding.EncodeToString([]byte(s))+".s", s)
	}
	f.Fuzz(func(t *testing.T, token, payload string) {
		for _, s := range []string{token, "h." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".s"} {
			if d := auth.LifeLeft(s, time.Time{}, time.Unix(1_800_000_000, 0)); d <= 0 || d > 24*time.Hour {
				t.Fatalf("%q: %v", s, d)
			}
		}
	})
}
