package guides_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// A request with a token that has expired counts, as it does for a client that asks again with a new token.
func TestExpiredTokensCount(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	s.SeedTags(t, "app", 2)
	client, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{
		ClientOptions: s.ClientOptions(),
		AllowedHosts:  []string{s.Host()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	list := func() {
		if names, err := acr.Collect(client.Repository("app").TagNames(t.Context(), nil)); err != nil || len(names) != 2 {
			t.Errorf("%q, %v", names, err)
		}
	}
	list()
	s.Ledger().Exactly(t, map[string]int{"ExchangeEntraToken": 1, "GetAccessToken": 1, "ListTagNames": 1})
	s.Ledger().Reset()
	s.Advance(2 * time.Hour)
	list()
	s.Ledger().Exactly(t, map[string]int{"GetAccessToken": 1, "ListTagNames": 2})
	if got := s.Ledger().Requests("ListTagNames"); got[0].Status != http.StatusUnauthorized || got[1].Status != http.StatusOK {
		t.Errorf("%v", got)
	}
}
