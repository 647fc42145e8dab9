package auth_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
)

// bodies keeps the body of each request to the registry itself.
type bodies struct {
	*registry
	sent []string
}

func (b *bodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && !strings.HasPrefix(r.URL.Path, "/oauth2/") {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		b.sent = append(b.sent, string(text))
	}
	return b.registry.Do(r)
}

// A request that was answered with a 401 is sent again with its whole body.
func TestBodyIsSentAgain(t *testing.T) {
	t.Parallel()
	g := &bodies{registry: newRegistry()}
	c := newClient(t, g, auth.Entra(&entra{}))
	c.ok(t, "repository:a:metadata_write")
	g.revoke(false, true)
	const body = `{"writeEnabled":false}`
	ctx := call.With(t.Context(), func(c *call.Call) { c.Sign, c.Scopes = true, []string{"repository:a:metadata_write"} })
	r, err := http.NewRequestWithContext(ctx, http.MethodPatch, "https://"+host+"/acr/v1/a", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Need", "repository:a:metadata_write")
	req, err := runtime.NewRequestFromRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.p.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	if want := []string{body, body}; !slices.Equal(g.sent, want) {
		t.Errorf("the bodies were %q, want %q", g.sent, want)
	}
}
