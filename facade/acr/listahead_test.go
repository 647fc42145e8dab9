package acr_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

var registries = flag.Uint64("registries", 100, "random registries of TestConcurrentListProperty; make test-long has more")

// TestConcurrentManifests: a list of manifests that is requested ahead is the serial list. Where
// manifests are deleted meanwhile, it has each manifest that stays, once and in order, and nothing
// that was never there.
func TestConcurrentManifests(t *testing.T) {
	t.Parallel()
	seed := acrsuite.SeedOr(t, 0)
	srv := acrsuite.NewServer(t)
	client := acrsuite.NewClient(t, srv)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for n := range acrsuite.UnderRace(10, 30) {
		name := fmt.Sprintf("random/registry%d", n)
		all := srv.SeedManifests(t, name, 1+rnd.IntN(60))
		slices.Sort(all)
		compareLists(t, client.Repository(name), all, rnd)
	}
}

// TestConcurrentListProperty: a list of names that is requested ahead is the serial list, in random
// registries, and so it is while names are deleted.
func TestConcurrentListProperty(t *testing.T) {
	t.Parallel()
	seed := acrsuite.SeedOr(t, 0)
	for n := range *registries {
		rnd := rand.New(rand.NewPCG(seed, n))
		all := randomNames(rnd)
		var gone sync.Map
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			left := slices.DeleteFunc(slices.Clone(all), func(name string) bool { _, ok := gone.Load(name); return ok })
			return sortedNames(left, strings.Compare, nil)(r)
		}}
		c := s.Client(t)
		opts := &acr.ListOptions{PageSize: 2 + rnd.IntN(20), Concurrency: 2 + rnd.IntN(9)}
		got, err := acr.Collect(c.Repositories(t.Context(), opts))
		if diff := cmp.Diff(all, got); diff != "" || err != nil {
			t.Fatalf("registry %d of seed %d: %v %s", n, seed, err, diff)
		}
		got = nil
		for name, err := range c.Repositories(t.Context(), opts) {
			if err != nil {
				t.Fatalf("registry %d of seed %d: %v", n, seed, err)
			}
			got = append(got, name)
			if rnd.IntN(3) == 0 {
				gone.Store(all[rnd.IntN(len(all))], true)
			}
		}
		stays := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			_, deleted := gone.Load(name)
			return deleted && !slices.Contains(got, name)
		})
		if diff := cmp.Diff(stays, got); diff != "" {
			t.Fatalf("with deletions, registry %d of seed %d: %s", n, seed, diff)
		}
	}
}

// randomNames returns the sorted names of a registry: numbers, commits or words, close together or
// far apart.
func randomNames(rnd *rand.Rand) []string {
	kind, step := rnd.IntN(4), 1+rnd.IntN(50)
	all := make([]string, 1+rnd.IntN(120))
	at := 0
	for i := range all {
		at += 1 + rnd.IntN(step)
		switch kind {
		case 0:
			all[i] = fmt.Sprintf("app/v%06d", at)
		case 1:
			all[i] = fmt.Sprintf("app/%d", at)
		case 2:
			all[i] = fmt.Sprintf("app/%016x", rnd.Uint64()>>rnd.IntN(60))
		default:
			all[i] = strconv.FormatUint(rnd.Uint64()>>rnd.IntN(60), 36) + "-x"
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareLists lists the manifests in both ways, and while some are deleted.
func compareLists(t *testing.T, r *acr.Repository, all []digest.Digest, rnd *rand.Rand) {
	t.Helper()
	opts := &acr.ListManifestsOptions{PageSize: 1 + rnd.IntN(8)}
	if rnd.IntN(3) == 0 {
		opts.After = string(all[rnd.IntN(len(all))])
	}
	serial, err := acr.Collect(r.Manifests(t.Context(), opts))
	if err != nil {
		t.Fatal(err)
	}
	opts.Concurrency = 2 + rnd.IntN(9)
	concurrent, err := acr.Collect(r.Manifests(t.Context(), opts))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(serial, concurrent); diff != "" {
		t.Fatalf("%+v: %s", opts, diff)
	}
	opts.After = ""
	deleted := map[digest.Digest]bool{}
	var got []digest.Digest
	for m, err := range r.Manifests(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Digest)
		for range rnd.IntN(4) / 2 { // behind the list and ahead of it
			victim := all[rnd.IntN(len(all))]
			if err := r.Artifact(string(victim)).Delete(t.Context()); err != nil && !errors.Is(err, acr.ErrNotFound) {
				t.Fatal(err)
			}
			deleted[victim] = true
		}
	}
	stays := slices.DeleteFunc(slices.Clone(all), func(d digest.Digest) bool { return deleted[d] && !slices.Contains(got, d) })
	if diff := cmp.Diff(stays, got); diff != "" {
		t.Fatalf("with deletions, %+v: %s", opts, diff)
	}
}

// TestConcurrentNames: names are requested ahead as well, whatever they look like, and the list is
// that of the registry even if the registry sorts in another way, or does not know the estimated
// keys.
func TestConcurrentNames(t *testing.T) {
	t.Parallel()
	digits := func(i int) string { return fmt.Sprintf("app/r%05d", i) }
	for what, c := range map[string]struct {
		name   func(i int) string
		less   func(a, b string) int
		answer func(last string, exists bool) int // another status than 200
		most   int                                // requests
	}{
		"numbers":               {name: digits, most: 150},
		"any width":             {name: func(i int) string { return "r" + strconv.Itoa(i*i) }, most: 200},
		"words":                 {name: func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1+i/26) }, most: 200},
		"sorted backwards":      {name: digits, less: func(a, b string) int { return strings.Compare(b, a) }, most: 100},
		"sorted by last letter": {name: digits, less: func(a, b string) int { return strings.Compare(a[len(a)-3:]+a, b[len(b)-3:]+b) }, most: 150},
		"unknown keys are refused": {name: digits, most: 150, answer: func(_ string, exists bool) int {
			if exists {
				return http.StatusOK
			}
			return http.StatusBadRequest
		}},
		"unknown keys begin anew": {name: digits, most: 150, answer: func(_ string, exists bool) int {
			if exists {
				return http.StatusOK
			}
			return 0
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			all := make([]string, 1000)
			for i := range all {
				all[i] = c.name(i)
			}
			less := strings.Compare
			if c.less != nil {
				less = c.less
			}
			slices.SortFunc(all, less)
			s := &acrsuite.Scripted{Answer: sortedNames(all, less, c.answer)}
			got, err := acr.Collect(s.Client(t).Repositories(t.Context(), &acr.ListOptions{PageSize: 10, Concurrency: 8}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Error(diff)
			}
			if n := len(s.Requests()); n > c.most {
				t.Errorf("%d requests, want at most %d: %q", n, c.most, s.Requests()[:60])
			}
		})
	}
}

// sortedNames answers as a catalog of names in some order.
func sortedNames(all []string, less func(a, b string) int, status func(last string, exists bool) int) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		size, _ := strconv.Atoi(r.URL.Query().Get("n"))
		start := 0
		if last := r.URL.Query().Get("last"); last != "" {
			at, exists := slices.BinarySearchFunc(all, last, less)
			if start = at; exists {
				start++
			}
			if status != nil {
				switch code := status(last, exists); code {
				case http.StatusOK:
				case 0:
					start = 0
				default:
					return acrsuite.Refusal(code, "INVALID", "last")
				}
			}
		}
		end := min(len(all), start+size)
		var headers []string
		if end < len(all) {
			headers = []string{"Link", fmt.Sprintf(`<%s?last=%s&n=%d&orderby=>; rel="next"`, r.URL.Path, all[end-1], size)}
		}
		quoted := make([]string, 0, size)
		for _, name := range all[start:end] {
			quoted = append(quoted, strconv.Quote(name))
		}
		return acrsuite.Answer(200, `{"repositories":[`+strings.Join(quoted, ",")+"]}\n", headers...)
	}
}

// TestConcurrentListErrors: the entries before an error come first, and the error is that of the
// serial list.
func TestConcurrentListErrors(t *testing.T) {
	t.Parallel()
	all := make([]string, 300)
	for i := range all {
		all[i] = fmt.Sprintf("r%05d", i)
	}
	good := sortedNames(all, strings.Compare, nil)
	broken := func(r *http.Request) *http.Response {
		if r.URL.Query().Get("last") >= "r00150" {
			return acrsuite.Refusal(http.StatusForbidden, "DENIED", "no more")
		}
		return good(r)
	}
	list := func(concurrency int, answer func(*http.Request) *http.Response) ([]string, error) {
		s := &acrsuite.Scripted{Answer: answer}
		return acr.Collect(s.Client(t).Repositories(t.Context(), &acr.ListOptions{PageSize: 10, Concurrency: concurrency}))
	}
	want, wantErr := list(1, broken)
	got, err := list(6, broken)
	if wantErr == nil || err == nil || wantErr.Error() != err.Error() || !errors.Is(err, acr.ErrDenied) {
		t.Errorf("got %v, want %v", err, wantErr)
	}
	if diff := cmp.Diff(want[:150], got[:min(150, len(got))]); diff != "" {
		t.Error(diff)
	}
	for _, n := range []int{-1, 101} {
		if _, err := list(n, good); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("Concurrency %d: %v", n, err)
		}
	}
}

// TestConcurrentListEnds: when the caller stops, no request is left, and after one page none was
// sent ahead.
func TestConcurrentListEnds(t *testing.T) {
	t.Parallel()
	all := make([]string, 300)
	for i := range all {
		all[i] = fmt.Sprintf("r%05d", i)
	}
	var now atomic.Int64
	answer := sortedNames(all, strings.Compare, nil)
	for _, c := range []struct{ take, most int }{{5, 1}, {15, 3}, {45, 16}} {
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			now.Add(1)
			defer now.Add(-1)
			return answer(r)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		i := 0
		for _, err := range s.Client(t).Repositories(ctx, &acr.ListOptions{PageSize: 10, Concurrency: 8}) {
			if err != nil {
				t.Fatal(err)
			}
			if i++; i == c.take {
				break
			}
		}
		if n := len(s.Requests()); n > c.most || now.Load() != 0 {
			t.Errorf("%d requests for %d entries, want at most %d; %d are still running", n, c.take, c.most, now.Load())
		}
		cancel()
	}
}
