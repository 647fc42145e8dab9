package keys_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/keys"
)

// TestBeyond estimates where the pages of lists begin, and counts how far off it is.
func TestBeyond(t *testing.T) {
	t.Parallel()
	const page = 1000
	for _, c := range []struct {
		what  string
		key   func(i int) string
		reach int // pages that can be estimated from the first one
	}{
		{"digests", func(i int) string { return fmt.Sprintf("sha256:%08x%056x", uint32(i)*85899, i) }, 49},
		{"numbers of a fixed width", func(i int) string { return fmt.Sprintf("v1.%07d-build", i) }, 49},
		{"numbers of any width", func(i int) string { return "build-" + strconv.Itoa(10_000+i) }, 40},
		{"short commits", func(i int) string { return fmt.Sprintf("%07x", i*5368) }, 49},
		{"letters and digits", func(i int) string { return fmt.Sprintf("team/%04s", strconv.FormatInt(int64(i)*33, 36)) }, 40},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			all := make([]string, 50*page)
			for i := range all {
				all[i] = c.key(i)
			}
			slices.Sort(all)
			s, ok := keys.Fit(page, func(i int) string { return all[i] })
			if !ok {
				t.Fatal("no scale")
			}
			for i := 1; i < c.reach; i++ {
				key, ok := s.Beyond(all[page-1], float64(i*page))
				if !ok {
					t.Fatalf("page %d: none", i)
				}
				at, _ := slices.BinarySearch(all, key)
				if want := (i + 1) * page; at < want-want/4 || at > want+want/4 {
					t.Errorf("page %d: %s is at %d, want about %d", i, key, at, want)
				}
			}
		})
	}
}

// TestFitRefuses: what cannot be counted has no scale.
func TestFitRefuses(t *testing.T) {
	t.Parallel()
	for what, page := range map[string][]string{
		"nothing":      {},
		"one key":      {"a"},
		"equal keys":   {"a1", "a1"},
		"not in order": {"a1", "a3", "a2", "a4"},
		"no digits":    {"A", "B_", "_"},
		"a prefix":     {"a", "a1"},
	} {
		if s, ok := keys.Fit(len(page), func(i int) string { return page[i] }); ok {
			t.Errorf("%s: %+v", what, s)
		}
	}
	s, _ := keys.Fit(2, func(i int) string { return []string{"x-10", "x-19"}[i] })
	for _, key := range []string{"y-10", "x", "x-99"} {
		if got, ok := s.Beyond(key, 5); ok {
			t.Errorf("after %s: %s", key, got)
		}
	}
}
