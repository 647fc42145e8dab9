package acrsuite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
)

// Every secret of a run is a canary: each Entra token, client secret, refresh token, access token, password and signature of a link that
// a test's client has seen. They are learned before the client can let them out, and looked for in every request (but where they
// belong), at every listener of an attacker, in every log line, span, printed value and error. The run ends with
//
//	secrets found off-origin: 0

// SecretKind says what a secret is, and so where it belongs.
type SecretKind string

// The kinds of secrets.
const (
	EntraSecret    SecretKind = "Entra token"
	clientSecret   SecretKind = "client secret"
	refreshSecret  SecretKind = "refresh token"
	accessSecret   SecretKind = "access token"
	PasswordSecret SecretKind = "password"
	linkSecret     SecretKind = "signature of a link"
)

// secretBook knows the secrets, and where they were found.
type secretBook struct {
	mu     sync.RWMutex
	pieces map[string]SecretKind
	wholes map[string]SecretKind // the beginnings of those without a piece that is long enough
	origin map[string]string     // of a link's signature, by piece
	found  []string
	looked atomic.Int64
	known  atomic.Int64
}

// Secrets is the book of this test run.
var Secrets = newSecretBook()

func newSecretBook() *secretBook {
	return &secretBook{pieces: map[string]SecretKind{}, wholes: map[string]SecretKind{}, origin: map[string]string{}}
}

const (
	leastPiece = 12 // shorter runs of letters and digits are no secret
	pieceKey   = 24 // a piece is known by its beginning, so that a secret that was cut is found too
)

// piecesOf cuts a text into runs of letters and digits, as both secrets and the texts they are looked for in are. The race detector would
// spend most of its time in this loop over strings, which nobody changes.
//
//go:norace
func piecesOf(text string, each func(piece string)) {
	start := -1
	flush := func(end int) {
		if start >= 0 && end-start >= leastPiece {
			each(text[start:min(end, start+pieceKey)])
		}
		start = -1
	}
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			if start < 0 {
				start = i
			}
			continue
		}
		flush(i)
	}
	flush(len(text))
}

// Learn adds a secret; origin is where a link's signature belongs.
func (b *secretBook) Learn(kind SecretKind, value, origin string) {
	if jwtHeader, rest, ok := strings.Cut(value, "."); ok && strings.HasPrefix(jwtHeader, "eyJ") {
		value = rest // all tokens of one key have the same header
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh, cut := false, false
	piecesOf(value, func(piece string) {
		cut = true
		if _, ok := b.pieces[piece]; !ok {
			fresh = true
			b.pieces[piece] = kind
		}
		if kind == linkSecret {
			b.origin[piece] = origin
		}
	})
	if begin := value[:min(len(value), pieceKey)]; !cut && len(value) >= leastPiece {
		fresh = b.wholes[begin] == ""
		b.wholes[begin] = kind
		b.origin[begin] = origin
	}
	if fresh {
		b.known.Add(1)
	}
}

// look searches a text, and notes and returns whether there is a secret in it, unless allowed says that it belongs there.
func (b *secretBook) look(where, text string, allowed ...func(kind SecretKind, origin string) bool) bool {
	b.looked.Add(1)
	b.mu.RLock()
	var bad SecretKind
	eachForm(text, func(form string) {
		found := func(piece string, kind SecretKind) {
			for _, may := range allowed {
				if may(kind, b.origin[piece]) {
					return
				}
			}
			bad = kind
		}
		piecesOf(form, func(piece string) {
			if kind, ok := b.pieces[piece]; ok {
				found(piece, kind)
			}
		})
		for begin, kind := range b.wholes {
			if strings.Contains(form, begin) {
				found(begin, kind)
			}
		}
	})
	b.mu.RUnlock()
	if bad != "" {
		b.note(where, string(bad))
	}
	return bad != ""
}

// note keeps a finding, without showing it.
func (b *secretBook) note(where, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found = append(b.found, what+" in "+where)
}

// marks begin what looks like a secret, known or not: so many letters or digits have to follow.
var marks = []struct {
	text string
	more int
}{{"eyJ", 10}, {"?sig=", 1}, {"&sig=", 1}, {"Bearer ", 12}, {"bearer ", 12}, {"access_token=", 1}, {"refresh_token=", 1}}

// harmless takes out what a redacted text holds instead of a secret, and the claims of a challenge, which begin like a token.
func harmless(text string) string {
	text = strings.ReplaceAll(text, "REDACTED", "")
	for {
		before, after, ok := strings.Cut(text, `claims="`)
		if !ok {
			return text
		}
		_, after, ok = strings.Cut(after, `"`)
		if !ok {
			return text
		}
		text = before + after
	}
}

// suspicious tells whether a text holds what looks like a secret.
func suspicious(text string) bool {
	for _, mark := range marks {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, mark.text)
			if !ok {
				break
			}
			if len(strings.TrimLeft(after[:min(len(after), mark.more)], letters)) == 0 && len(after) >= mark.more {
				return true
			}
			rest = after
		}
	}
	return false
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%"

// LookHard is look, for texts in which nothing of the kind has any business.
func (b *secretBook) LookHard(where, text string) bool {
	found := b.look(where, text)
	if suspicious(text) && suspicious(harmless(text)) {
		b.note(where, "what looks like a token or signature")
		found = true
	}
	return found
}

// LookError looks through everything an error can be made to say.
func (b *secretBook) LookError(where string, err error) (found bool) {
	return b.lookError(where, err, map[string]bool{})
}

// lookError is LookError. An error and what it wraps mostly print alike by several verbs: a text that was looked through is
// in seen, with whether a secret was found.
func (b *secretBook) lookError(where string, err error, seen map[string]bool) (found bool) {
	for range 20 {
		if err == nil {
			break
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
			found = b.lookOnce(where+" printed "+verb, fmt.Sprintf(verb, err), seen) || found
		}
		if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.RawResponse != nil {
			found = b.lookOnce(where+", its request", fmt.Sprintf("%+v", e.RawResponse.Request), seen) || found
			found = b.lookOnce(where+", its response's header", fmt.Sprintf("%+v", e.RawResponse.Header), seen) || found
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok { // the tree itself is walked
			for _, e := range many.Unwrap() {
				found = b.lookError(where+", behind it", e, seen) || found
			}
			break
		}
		err = errors.Unwrap(err)
	}
	return found
}

// lookOnce is LookHard for a text that is not in seen.
func (b *secretBook) lookOnce(where, text string, seen map[string]bool) bool {
	found, again := seen[text]
	if again {
		b.looked.Add(1)
		return found
	}
	seen[text] = b.LookHard(where, text)
	return seen[text]
}

// LookValue looks through everything a value prints as.
func (b *secretBook) LookValue(where string, v any) {
	seen := map[string]bool{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%t"} {
		b.lookOnce(where+" printed "+verb, fmt.Sprintf(verb, v), seen)
	}
	if text, err := json.Marshal(v); err == nil {
		b.lookOnce(where+" as JSON", string(text), seen)
	}
	slog.New(logRecorder(where)).Info("value", slog.Any("value", v))
}

// totals returns how many secrets are known, in how many texts they were looked for, and where one was found.
func (b *secretBook) totals() (known, places int64, found []string) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.known.Load(), b.looked.Load(), slices.Clone(b.found)
}

// recordAzureLogs looks through everything that azcore logs in this process.
func recordAzureLogs() (stop func()) {
	azlog.SetListener(func(e azlog.Event, text string) { Secrets.LookHard("azcore log "+string(e), text) })
	return func() { azlog.SetListener(nil) }
}

// logRecorder is a slog.Handler whose lines are looked through.
func logRecorder(where string) slog.Handler {
	return slog.NewTextHandler(lineWriter{where}, &slog.HandlerOptions{Level: slog.LevelDebug})
}

type lineWriter struct{ where string }

func (w lineWriter) Write(p []byte) (int, error) {
	Secrets.LookHard("a log line of "+w.where, string(p))
	return len(p), nil
}

// spanRecorder is a tracing provider whose spans are looked through.
func spanRecorder(where string) tracing.Provider {
	note := func(what string, v any) { Secrets.LookHard("a span of "+where+", "+what, fmt.Sprintf("%+v", v)) }
	return tracing.NewProvider(func(_, _ string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string, o *tracing.SpanOptions) (context.Context, tracing.Span) {
			note("name", name)
			if o != nil {
				note("attributes", o.Attributes)
			}
			return ctx, tracing.NewSpan(tracing.SpanImpl{
				End:           func() {},
				SetAttributes: func(a ...tracing.Attribute) { note("attributes", a) },
				AddEvent:      func(name string, a ...tracing.Attribute) { note("event", []any{name, a}) },
				SetStatus:     func(_ tracing.SpanStatus, text string) { note("status", text) },
			})
		}, nil)
	}, nil)
}

// learningCredential learns the tokens it hands out, and remembers what it was asked for.
type learningCredential struct {
	azcore.TokenCredential

	mu    sync.Mutex
	asked []policy.TokenRequestOptions
}

// GetToken implements azcore.TokenCredential.
func (c *learningCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	c.asked = append(c.asked, o)
	c.mu.Unlock()
	token, err := c.TokenCredential.GetToken(ctx, o)
	Secrets.Learn(EntraSecret, token.Token, "")
	return token, err
}

// Requests is what the credential was asked for.
func (c *learningCredential) Requests() []policy.TokenRequestOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]policy.TokenRequestOptions{}, c.asked...)
}

// Dump is what a request says, but for its body.
func Dump(r *http.Request) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s %s Host: %s\n", r.Method, r.URL, r.Host)
	_ = r.Header.Write(&b)
	return b.String()
}
