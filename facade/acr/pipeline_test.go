package acr_test

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/version"
)

// passport is a caller's policy that notes what passes.
type passport struct{ seen []string }

// Do implements policy.Policy.
func (s *passport) Do(req *policy.Request) (*http.Response, error) {
	agent, _, _ := strings.Cut(req.Raw().UserAgent(), " (")
	s.seen = append(s.seen, req.Raw().URL.Path+" "+agent+" "+req.Raw().Header.Get("X-Meta-Source-Client"))
	return req.Next()
}

// TestTokenRequestsAreTheCallersToo: his name, his policies and his logger hold for token requests as for any other.
func TestTokenRequestsAreTheCallersToo(t *testing.T) {
	t.Parallel()
	s := &passport{}
	var log strings.Builder
	c := acrsuite.NewClient(t, acrsuite.NewServer(t), func(o *acr.ClientOptions) {
		o.Telemetry.ApplicationID = "puller"
		o.SourceClient = "azure/aks"
		o.PerRetryPolicies = []policy.Policy{s}
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"/oauth2/exchange", "/oauth2/token", "/v2/"}
	for i := range want {
		want[i] += " puller azsdk-go-acrkit/" + version.Semantic() + " azure/aks"
	}
	if !slices.Equal(s.seen, want) {
		t.Errorf("%q, want %q", s.seen, want)
	}
	if text := log.String(); strings.Count(text, "registry exchange") != 3 || strings.Contains(text, "eyJ") {
		t.Error(text)
	}
}
