package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/crew"
)

// Errors of Walk.
var (
	// ErrTooMany is returned when a walk reaches more manifests than Walker.MaxNodes, or goes deeper than Walker.MaxDepth.
	ErrTooMany = errors.New("too many manifests")
	// ErrCycle is returned when manifests name each other in a circle, which their digests rule out: the source lies.
	ErrCycle = errors.New("manifests refer to each other in a circle")
)

// The limits of a Walker that has none of its own.
const (
	DefaultMaxNodes    = 10_000
	DefaultMaxDepth    = 8
	DefaultConcurrency = 4
)

// Walker reads a manifest and all manifests below it.
type Walker struct {
	// Fetch returns the content of a manifest. It must verify the digest.
	Fetch func(ctx context.Context, d ocispec.Descriptor) ([]byte, error)

	// Attached, if not nil, returns what belongs to a manifest though its content does not name it: its referrers, and the
	// manifests behind tags such as cosign's. The walk goes on below them.
	Attached func(ctx context.Context, n *Node) ([]ocispec.Descriptor, error)

	// Select, if not nil, returns the children of an index that the walk goes on with. Default: all.
	Select func(n *Node) []ocispec.Descriptor

	MaxNodes    int // Default: DefaultMaxNodes.
	MaxDepth    int // How deep indexes and referrers may be nested. Default: DefaultMaxDepth.
	Concurrency int // Calls of Fetch and Attached at a time. Default: DefaultConcurrency.
}

// Node is a manifest that a walk has read.
type Node struct {
	Descriptor ocispec.Descriptor
	Parent     digest.Digest // what led to it first; "" for the root
	Depth      int           // 0 for the root
	IsReferrer bool          // it came by Attached
	Content    []byte
	Body       *Body
	Below      []ocispec.Descriptor // children that were selected
	Attached   []ocispec.Descriptor
}

// Walk reads the root and everything below it, each digest once, level by level. It returns the nodes in an order in which
// they can be copied: children before their index, and a subject before its referrers.
//
// Errors:
//   - [ErrTooMany] and [ErrCycle]
//   - [ErrMalformed] and [ErrTooLarge] if a manifest cannot be read
//   - what Fetch and Attached return
func (w *Walker) Walk(ctx context.Context, root ocispec.Descriptor) ([]*Node, error) {
	nodes := map[digest.Digest]*Node{}
	level := []*Node{{Descriptor: root}}
	for len(level) > 0 {
		for _, n := range level {
			nodes[n.Descriptor.Digest] = n
		}
		if err := w.read(ctx, level); err != nil {
			return nil, err
		}
		var err error
		if level, err = w.next(level, nodes); err != nil {
			return nil, err
		}
	}
	return order(nodes, root.Digest)
}

// read fills in the nodes of one level.
func (w *Walker) read(ctx context.Context, level []*Node) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, orDefault(w.Concurrency, DefaultConcurrency))
	var group crew.Group
	for _, n := range level {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := w.fill(ctx, n); err != nil {
				cancel(err) // the first error is the cause; those that follow from it are not
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (w *Walker) fill(ctx context.Context, n *Node) (err error) {
	if n.Content, err = w.Fetch(ctx, n.Descriptor); err != nil {
		return err
	}
	if n.Body, err = Read(n.Descriptor.MediaType, n.Content); err != nil {
		return fmt.Errorf("%s: %w", n.Descriptor.Digest, err)
	}
	n.Below = n.Body.Children
	if w.Select != nil {
		n.Below = w.Select(n)
	}
	if w.Attached != nil {
		n.Attached, err = w.Attached(ctx, n)
	}
	return err
}

// next returns the nodes below the level that have not been met.
func (w *Walker) next(level []*Node, nodes map[digest.Digest]*Node) ([]*Node, error) {
	var next []*Node
	met := map[digest.Digest]bool{}
	for _, n := range level {
		for i, d := range slices.Concat(n.Below, n.Attached) {
			if nodes[d.Digest] != nil || met[d.Digest] {
				continue
			}
			met[d.Digest] = true
			if most := orDefault(w.MaxNodes, DefaultMaxNodes); len(nodes)+len(met) > most {
				return nil, fmt.Errorf("%w: more than %d", ErrTooMany, most)
			}
			if most := orDefault(w.MaxDepth, DefaultMaxDepth); n.Depth >= most {
				return nil, fmt.Errorf("%w: nested more than %d deep", ErrTooMany, most)
			}
			next = append(next, &Node{Descriptor: d, Parent: n.Descriptor.Digest, Depth: n.Depth + 1, IsReferrer: i >= len(n.Below)})
		}
	}
	return next, nil
}

// order sorts the nodes so that each comes after its children, and a referrer after its subject.
func order(nodes map[digest.Digest]*Node, root digest.Digest) ([]*Node, error) {
	s := sorter{nodes: nodes, state: map[digest.Digest]int{}}
	if err := s.visit(root); err != nil {
		return nil, err
	}
	return s.sorted, nil
}

// sorter visits the nodes depth first. The depth of the recursion is bounded by the depth of the walk.
type sorter struct {
	nodes  map[digest.Digest]*Node
	state  map[digest.Digest]int
	sorted []*Node
}

const (
	visiting = 1
	visited  = 2
)

func (s *sorter) visit(d digest.Digest) error {
	n := s.nodes[d]
	switch {
	case s.state[d] == visiting:
		return fmt.Errorf("%w: %s", ErrCycle, d)
	case n == nil || s.state[d] == visited:
		return nil
	}
	s.state[d] = visiting
	for _, c := range n.Below {
		if err := s.visit(c.Digest); err != nil {
			return err
		}
	}
	s.state[d] = visited
	s.sorted = append(s.sorted, n)
	for _, r := range n.Attached {
		if s.state[r.Digest] == visiting {
			continue // an index that is the referrer of one of its own children comes after all of them
		}
		if err := s.visit(r.Digest); err != nil {
			return err
		}
	}
	return nil
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
