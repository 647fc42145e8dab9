package content_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSuiteRefusals: a refusal whose text does not arrive is a refusal all the same.
func TestSuiteRefusals(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F90 a refusal breaks off", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) {
			tried, refused := 0, 0
			for _, way := range []string{"cut short", "silent"} {
				w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
					f.Note = way
					tried++
					line := f.Srv.On(f.Call.Op).Always().Status(http.StatusForbidden)
					if way == "silent" {
						line.StallAfter(5)
					} else {
						line.Truncate(5)
					}
					err := f.Run()
					if err == nil {
						return // it does without this request
					}
					if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != http.StatusForbidden {
						f.Errorf("%v does not say what the registry answered", err)
					}
					refused++
				})
			}
			if refused < tried/2 {
				t.Errorf("only %d of %d calls were refused", refused, tried)
			}
		})
	})
}
