package retry

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// azcore keeps the key of a call's retry options private. The guard finds it by watching azcore's retry policy look for
// it. Should azcore stop looking, or look in another way, options that a caller sets for one call would be lost without
// a word: then this fails.
func TestAzcoreRetryOptionsKeyIsFound(t *testing.T) {
	t.Parallel()
	if retryOptionsKey() == nil {
		t.Fatal("azcore's retry policy does not ask its context for retry options any more: guard.go has to find them in another way")
	}
	ctx := policy.WithRetryOptions(context.Background(), policy.RetryOptions{MaxRetries: 7})
	if o, ok := retryOptionsIn(ctx); !ok || o.MaxRetries != 7 {
		t.Errorf("%+v, %t", o, ok)
	}
	if o, ok := retryOptionsIn(context.Background()); ok {
		t.Errorf("a context without retry options has %+v", o)
	}
}
