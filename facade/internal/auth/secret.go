package auth

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const redacted = "REDACTED"

// secret holds a string that no verb of fmt, no logger and no encoder shows. It points to the string, because fmt prints unexported fields without
// asking their methods.
type secret struct{ p *string }

func newSecret(s string) secret { return secret{&s} }

func (s secret) reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

func (s secret) String() string               { return redacted }
func (s secret) GoString() string             { return redacted }
func (s secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }

// maxKnown bounds how many secrets are remembered for scrubbing; the oldest goes first.
const maxKnown = 512

// vault remembers secrets in order to take them out of texts.
type vault struct {
	mu    sync.Mutex
	known []secret
}

// remember adds s. Short strings are left out: taking "admin" out of a text helps nobody.
func (v *vault) remember(s string) {
	if len(s) < 8 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.ContainsFunc(v.known, func(k secret) bool { return k.reveal() == s }) {
		return
	}
	if len(v.known) == maxKnown {
		v.known = slices.Delete(v.known, 0, 1)
	}
	v.known = append(v.known, newSecret(s))
}

func (v *vault) scrub(s string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.known {
		s = strings.ReplaceAll(s, k.reveal(), redacted)
	}
	return s
}
