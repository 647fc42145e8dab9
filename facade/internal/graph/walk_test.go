package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// source is manifests by name. Their digests are those of their names and not of their content, so that they can name each
// other in any way.
type source struct {
	children  map[string]string // of each index: letters
	referrers map[string]string
	mu        sync.Mutex
	fetched   []string
	fail      string
}

func (s *source) letter(d digest.Digest) string {
	for name := range s.children {
		if dgst(name) == d {
			return name
		}
	}
	return ""
}

func indexOf(names string) []ocispec.Descriptor {
	var ds []ocispec.Descriptor
	for _, n := range names {
		ds = append(ds, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: dgst(string(n)), Size: 1})
	}
	return ds
}

func (s *source) walker() *graph.Walker {
	return &graph.Walker{
		Fetch: func(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
			name := s.letter(d.Digest)
			s.mu.Lock()
			s.fetched = append(s.fetched, name)
			s.mu.Unlock()
			if name == s.fail {
				return nil, errors.New("not there")
			}
			return json.Marshal(ocispec.Index{Manifests: indexOf(s.children[name])})
		},
		Attached: func(_ context.Context, n *graph.Node) ([]ocispec.Descriptor, error) {
			return indexOf(s.referrers[s.letter(n.Descriptor.Digest)]), nil
		},
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, order         string
		children, referrers map[string]string
	}{
		{"one", "a", map[string]string{"a": ""}, nil},
		{"index", "bca", map[string]string{"a": "bc", "b": "", "c": ""}, nil},
		{"nested, with a shared child", "dbca", map[string]string{"a": "bc", "b": "d", "c": "d", "d": ""}, nil},
		{"a child that is nested too", "bca", map[string]string{"a": "bc", "c": "b", "b": ""}, nil},
		{"referrers of each level", "bsax", map[string]string{"a": "b", "b": "", "s": "", "x": ""}, map[string]string{"a": "x", "b": "s"}},
		{"a referrer of a referrer", "aso", map[string]string{"a": "", "s": "", "o": ""}, map[string]string{"a": "s", "s": "o"}},
		{"an index that refers to its own child", "ba", map[string]string{"a": "b", "b": ""}, map[string]string{"b": "a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := &source{children: row.children, referrers: row.referrers}
			nodes, err := s.walker().Walk(t.Context(), indexOf("a")[0])
			if err != nil {
				t.Fatal(err)
			}
			order := ""
			for _, n := range nodes {
				order += s.letter(n.Descriptor.Digest)
			}
			if order != row.order {
				t.Errorf("order %s, want %s", order, row.order)
			}
			slices.Sort(s.fetched)
			if len(slices.Compact(slices.Clone(s.fetched))) != len(s.fetched) {
				t.Errorf("fetched twice: %v", s.fetched)
			}
		})
	}
}

func TestWalkSelects(t *testing.T) {
	t.Parallel()
	s := &source{children: map[string]string{"a": "bc", "b": "", "c": ""}}
	w := s.walker()
	w.Select = func(n *graph.Node) []ocispec.Descriptor { return n.Body.Children[:min(1, len(n.Body.Children))] }
	nodes, err := w.Walk(t.Context(), indexOf("a")[0])
	if err != nil || len(nodes) != 2 {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
}

func TestWalkRefuses(t *testing.T) {
	t.Parallel()
	chain := map[string]string{}
	for i, n := range "abcdefghijk" {
		chain[string(n)] = string("bcdefghijkl"[i])
	}
	chain["l"] = ""
	for _, row := range []struct {
		name     string
		children map[string]string
		nodes    int
		fail     string
		want     string
	}{
		{"a cycle", map[string]string{"a": "b", "b": "a"}, 0, "-", graph.ErrCycle.Error()},
		{"itself", map[string]string{"a": "a"}, 0, "-", graph.ErrCycle.Error()},
		{"too deep", chain, 0, "-", "nested more than 8 deep"},
		{"too many", map[string]string{"a": "bc", "b": "", "c": ""}, 2, "-", "more than 2"},
		{"a fetch that fails", map[string]string{"a": "bc", "b": "", "c": ""}, 0, "c", "not there"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := &source{children: row.children, fail: row.fail}
			w := s.walker()
			w.MaxNodes = row.nodes
			if _, err := w.Walk(t.Context(), indexOf("a")[0]); err == nil || !strings.Contains(fmt.Sprint(err), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &source{children: map[string]string{"a": ""}}
	if _, err := s.walker().Walk(ctx, indexOf("a")[0]); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
