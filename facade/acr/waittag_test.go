package acr_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestWaitForTag: F67, a tag that replicas do not show yet, or show where it was.
func TestWaitForTag(t *testing.T) {
	t.Parallel()
	want := digest.FromString("new")
	on := func(d digest.Digest) *http.Response {
		r := acrsuite.Answer(200, "", "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", string(d))
		r.ContentLength = 7
		return r
	}
	hangs := func() *http.Response { return nil }
	for name, test := range map[string]struct {
		answers []func() *http.Response // the last one repeats
		digest  digest.Digest
		want    error
		refused bool // with an *acr.Error
		text    string
		took    time.Duration
		patient bool          // no deadline in the context
		timeout time.Duration // WaitForTagOptions
	}{
		"there":         {answers: []func() *http.Response{func() *http.Response { return on(want) }}},
		"comes":         {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(404, "") }, func() *http.Response { return on(acrsuite.GoodDigest) }, func() *http.Response { return on(want) }}, digest: want, took: 750 * time.Millisecond},
		"never comes":   {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(404, "") }}, want: context.DeadlineExceeded, text: "it does not exist", took: time.Minute},
		"never moves":   {answers: []func() *http.Response{func() *http.Response { return on(acrsuite.GoodDigest) }}, digest: want, want: context.DeadlineExceeded, text: string(acrsuite.GoodDigest), took: time.Minute},
		"not permitted": {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(403, "") }}, refused: true},
		"no time":       {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(404, "") }}, patient: true, want: acr.ErrWaitTimeout, text: "timed out after 10m0s while waiting for the tag v1: it does not exist", took: 10 * time.Minute},
		"own time":      {answers: []func() *http.Response{func() *http.Response { return on(acrsuite.GoodDigest) }}, patient: true, digest: want, timeout: time.Second, want: acr.ErrWaitTimeout, text: "it points to " + string(acrsuite.GoodDigest), took: time.Second},
		"longer time":   {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(404, "") }}, timeout: time.Hour, want: context.DeadlineExceeded, text: "it does not exist", took: time.Minute},
		"hangs":         {answers: []func() *http.Response{func() *http.Response { return acrsuite.Answer(404, "") }, hangs}, timeout: time.Second, want: acr.ErrWaitTimeout, text: "it does not exist", took: time.Second},
		"negative":      {answers: []func() *http.Response{func() *http.Response { return on(want) }}, timeout: -time.Second, want: acr.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if !test.patient {
					minute, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					ctx = minute
				}
				var opts *acr.WaitForTagOptions
				if test.timeout != 0 {
					opts = &acr.WaitForTagOptions{Timeout: test.timeout}
				}
				s := &acrsuite.Scripted{}
				s.Answer = func(r *http.Request) *http.Response {
					resp := test.answers[min(len(s.Sent), len(test.answers))-1]()
					if resp == nil {
						<-r.Context().Done()
					}
					return resp
				}
				start := time.Now()
				d, err := s.Client(t).Repository("a/b").WaitForTag(ctx, "v1", test.digest, opts)
				if test.refused {
					if _, ok := errors.AsType[*acr.Error](err); !ok {
						t.Error(err)
					}
				} else if !errors.Is(err, test.want) || (err == nil) != (d.Digest == want && d.Size == 7) {
					t.Errorf("%+v %v", d, err)
				}
				if err != nil {
					acrsuite.OneLine(t, err)
				}
				if took := time.Since(start); took != test.took || err != nil && !strings.Contains(err.Error(), test.text) {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}
