package auth

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

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

func (s secret) String() string               { return redact.Removed }
func (s secret) GoString() string             { return redact.Removed }
func (s secret) LogValue() slog.Value         { return slog.StringValue(redact.Removed) }
func (s secret) MarshalText() ([]byte, error) { return []byte(redact.Removed), nil }
func (s secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redact.Removed)) }

// maxKnown bounds how many tokens are remembered for scrubbing; the oldest goes first.
const maxKnown = 512

// vault remembers secrets in order to take them out of texts.
type vault struct {
	forever []redact.Secret // the credential's own, set once

	mu    sync.RWMutex
	known []redact.Secret
	index redact.Index // of all of them
}

// keep adds the credential's secret, for good, and in the forms requests carry it in.
func (v *vault) keep(username, s string) {
	if len(s) < minSecret {
		return
	}
	// Its letters that are whole in base64 are found in any text; with the user name there are some more.
	for _, form := range []string{base64.StdEncoding.EncodeToString([]byte(username + ":" + s)), s, url.QueryEscape(s)} {
		x := redact.NewSecret(form)
		v.forever = append(v.forever, x)
		v.index.Add(x)
	}
}

// minSecret is the length from which a string is taken out of texts: taking "admin" out helps nobody.
const minSecret = 8

// remember adds a token.
func (v *vault) remember(s string) {
	if len(s) < minSecret {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.ContainsFunc(v.known, func(k redact.Secret) bool { return k.Is(s) }) {
		return
	}
	if len(v.known) == maxKnown {
		v.index.Remove(v.known[0])
		v.known = slices.Delete(v.known, 0, 1)
	}
	x := redact.NewSecret(s)
	v.known = append(v.known, x)
	v.index.Add(x)
}

// scrub takes the secrets out of a text, in every form that redact.Hide finds.
func (v *vault) scrub(s string) string {
	if len(s) < minSecret {
		return s
	}
	v.mu.RLock()
	if !v.index.MayHold(s) {
		v.mu.RUnlock()
		return s
	}
	known := slices.Clone(v.known)
	v.mu.RUnlock()
	return redact.Hide(s, func(yield func(redact.Secret) bool) {
		for _, k := range v.forever {
			if !yield(k) {
				return
			}
		}
		for _, k := range known {
			if !yield(k) {
				return
			}
		}
	})
}
