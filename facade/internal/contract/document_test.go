package contract_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

func TestDeclared(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]contract.Declaration{
		"GetBlob":            {Scopes: []string{"repository:{name}:pull"}, Successes: []string{"200", "206", "307"}},
		"RestoreManifest":    {Scopes: []string{"repository:{name}:deleted_read,deleted_restore"}, Successes: []string{"2XX"}},
		"ExchangeEntraToken": {Successes: []string{"200"}},
		"CheckSupport":       {Successes: []string{"200"}},
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
