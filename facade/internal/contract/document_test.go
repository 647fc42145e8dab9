package contract_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

func TestDeclared(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]contract.Declaration{
		"GetBlob": {
			Method: "GET", Path: "/v2/{name}/blobs/{digest}",
			Scopes: []string{"repository:{name}:pull"}, Successes: []string{"200", "206", "307"},
		},
		"RestoreManifest": {
			Method: "POST", Path: "/acr/v1/_deleted/{name}/_manifests/{digest}",
			Scopes: []string{"repository:{name}:deleted_read,deleted_restore"}, Successes: []string{"2XX"},
		},
		"ExchangeEntraToken": {Method: "POST", Path: "/oauth2/exchange", Successes: []string{"200"}},
		"CheckSupport":       {Method: "GET", Path: "/v2/", Scopes: []string{}, Successes: []string{"200"}},
	} {
		got, err := contract.Declared(id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	if _, err := contract.Declared("Nothing"); err == nil {
		t.Error("an operation that does not exist was declared")
	}
}
