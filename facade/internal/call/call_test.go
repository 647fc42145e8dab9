package call_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Layers add what they know without losing what others know, and without changing the call of the context they were
// given.
func TestWithAdds(t *testing.T) {
	t.Parallel()
	tries := &call.Tries{}
	outer := call.With(t.Context(), func(c *call.Call) { c.Tries = tries })
	inner := call.With(outer, func(c *call.Call) { c.Kind, c.Sign, c.Scopes = call.Upload, true, []string{"a"} })
	if c := call.Of(inner); c.Tries != tries || c.Kind != call.Upload || !c.Sign || len(c.Scopes) != 1 {
		t.Errorf("%+v", c)
	}
	if c := call.Of(outer); c.Tries != tries || c.Kind != call.API || c.Sign || c.Scopes != nil {
		t.Errorf("the outer call became %+v", c)
	}
	if c := call.Of(context.Background()); c.Kind != call.API || c.Sign || c.Tries != nil || c.Pins != nil {
		t.Errorf("without a call: %+v", c)
	}
}
