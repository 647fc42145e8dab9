package acrtest_test

import (
	"math"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// Numbers that no memory holds are a mistake of the caller, and no panic.
func TestSeedsAreBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-5, math.MaxInt, 10_000_001} {
		s := acrtest.New(t)
		told := &complaint{TB: t}
		if d := s.SeedTags(told, "app", n); d != "" || told.text == "" {
			t.Errorf("%d tags: %q, %q", n, d, told.text)
		}
		told = &complaint{TB: t}
		if d := s.SeedManifests(told, "app", n); d != nil || told.text == "" {
			t.Errorf("%d manifests: %d, %q", n, len(d), told.text)
		}
	}
	r := newRegistry(t)
	r.s.On("CheckSupport").Informational(-5, http.StatusProcessing)
	r.want(r.send("GET", "/v2/", ""), http.StatusOK)
}

// complaint takes what would fail the test.
type complaint struct {
	testing.TB

	text string
}

func (c *complaint) Helper() {}

func (c *complaint) Fatal(args ...any) { c.text = args[0].(string) }
