package auth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"
	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// parentKey is of no package of this module, as a tracing library's would be.
var parentKey any = struct{ spanOf string }{"test"}

// spans is a tracing provider that writes down each span below its parent.
type spans struct {
	mu     sync.Mutex
	lines  []string
	detail strings.Builder
	open   int
}

func (s *spans) provider() tracing.Provider {
	note := func(parts ...string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.detail.WriteString(strings.Join(parts, " ") + "\n")
	}
	attributes := func(all []tracing.Attribute) {
		for _, a := range all {
			if text, ok := a.Value.(string); ok {
				note(a.Key, text)
			}
		}
	}
	return tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string, o *tracing.SpanOptions) (context.Context, tracing.Span) {
			if parent, ok := ctx.Value(parentKey).(string); ok {
				name = parent + " > " + name
			}
			s.mu.Lock()
			s.lines = append(s.lines, name)
			s.open++
			s.mu.Unlock()
			attributes(o.Attributes)
			return context.WithValue(ctx, parentKey, name), tracing.NewSpan(tracing.SpanImpl{
				End: func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.open--
				},
				SetAttributes: func(a ...tracing.Attribute) { attributes(a) },
				SetStatus:     func(_ tracing.SpanStatus, text string) { note(text) },
			})
		}, nil)
	}, nil)
}

// Token requests have spans below the caller's, one of the operation and one of each try, and no secret in them.
func TestTokenRequestsHaveSpans(t *testing.T) {
	t.Parallel()
	g, s := newRegistry(), &spans{}
	c := newClient(t, g, auth.Entra(&entra{}), func(c *auth.Config) { c.Pipeline.TracingProvider = s.provider() })
	tries := 0
	g.before = func(r *http.Request, form url.Values) *http.Response {
		if r.URL.Path != "/oauth2/token" {
			return nil
		}
		if tries++; tries == 1 {
			return answer(503, "")
		}
		return problem(400, "BAD", "no token for "+form.Get("refresh_token"))
	}
	ctx := context.WithValue(t.Context(), parentKey, "caller")
	if _, err := c.AccessToken(ctx, "repository:a:pull"); err == nil {
		t.Fatal("no error")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	exchange, token := []string{"caller > acr.ExchangeEntraToken", "caller > acr.ExchangeEntraToken > HTTP POST"}, []string{"caller > acr.GetAccessToken", "caller > acr.GetAccessToken > HTTP POST"}
	want := append(append(append([]string{}, exchange...), token...), token[1]) // tried twice; then all of it anew, for the refresh token may be the reason
	want = append(append(want, exchange...), token...)
	if diff := cmp.Diff(want, s.lines); diff != "" {
		t.Error(diff)
	}
	detail := s.detail.String()
	if s.open != 0 || strings.Contains(detail, "canary") || strings.Contains(detail, "eyJ") || !strings.Contains(detail, "sign-in failed (GetAccessToken): 400") {
		t.Errorf("%d spans left open:\n%s", s.open, detail)
	}
}
