package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// TreeNode is a manifest with what belongs to it.
type TreeNode struct {
	Descriptor ocispec.Descriptor   `json:"descriptor"`
	Role       string               `json:"role"`           // as in Node
	Tags       []string             `json:"tags,omitempty"` // tags of the root; of other manifests only those of cosign
	Children   []*TreeNode          `json:"children,omitempty"`
	Blobs      []ocispec.Descriptor `json:"blobs,omitempty"` // config and layers
	Referrers  []*TreeNode          `json:"referrers,omitempty"`
	Missing    bool                 `json:"missing,omitempty"` // an index names it, but the source does not have it
}

// Tree reads an image with everything that belongs to it: the images of an index, their referrers,
// and the referrers of those. A manifest that belongs to several others is under each of them. If
// tags lead in a circle, the second occurrence of a manifest has no children. Tree costs one
// request for each manifest and four more for its referrers. It does not check whether blobs exist.
//
// Errors:
//   - an error of [Copy] if the source cannot be read
//   - [ErrTooMany] if the tree has more than 100,000 nodes
func Tree(ctx context.Context, from Source, reference string) (*TreeNode, error) {
	j, err := newJob(from, reference, nowhere{}, "", &CopyOptions{Referrers: true})
	if err != nil {
		return nil, err
	}
	ctx, release := pin(ctx, from, nil)
	defer release()
	j.missing = map[digest.Digest]bool{}
	if err := j.read(ctx); err != nil {
		return nil, err
	}
	j.AllTags = true
	t := &treeMaker{
		j: j, tags: map[digest.Digest][]string{}, blobs: map[*manifestNode][]ocispec.Descriptor{}, above: map[*manifestNode]bool{},
	}
	for _, tag := range sortedKeys(j.attached) {
		t.tags[j.attached[tag]] = append(t.tags[j.attached[tag]], tag)
	}
	if j.source != nil || isLayout(j.from) {
		tags, err := j.sourceTags(ctx)
		if err != nil {
			return nil, j.faultName(FromSource, "tags of", reference, err)
		}
		t.tags[j.root.Digest] = append(t.tags[j.root.Digest], tags...)
	}
	tree, err := t.node(j.byDigest[j.root.Digest])
	if err != nil {
		return nil, j.fault(FromSource, "manifest", j.root, err)
	}
	return tree, nil
}

// maxTreeNodes bounds a tree: a few manifests that name each other many times have a huge one.
const maxTreeNodes = 100_000

// treeMaker makes a tree of what was read.
type treeMaker struct {
	j     *job
	tags  map[digest.Digest][]string
	blobs map[*manifestNode][]ocispec.Descriptor // shared by the nodes of a manifest, which may be many
	above map[*manifestNode]bool                 // those that lead to the node that is being made
	nodes int                                    // made so far
}

// count counts a node, and fails if there are too many.
func (t *treeMaker) count() error {
	if t.nodes++; t.nodes > maxTreeNodes {
		return fmt.Errorf("%w: the tree has more than %d nodes", ErrTooMany, maxTreeNodes)
	}
	return nil
}

func (t *treeMaker) node(m *manifestNode) (*TreeNode, error) {
	if err := t.count(); err != nil {
		return nil, err
	}
	if _, made := t.blobs[m]; !made {
		t.blobs[m] = slices.Clip(slices.Collect(m.Body.Blobs()))
	}
	n := &TreeNode{Descriptor: m.Descriptor, Role: m.role, Tags: t.tags[m.Descriptor.Digest], Blobs: t.blobs[m]}
	n.Descriptor.ArtifactType = m.Body.ArtifactType
	if t.above[m] {
		return n, nil // tags such as cosign's can lead in a circle
	}
	t.above[m] = true
	defer delete(t.above, m)
	for _, c := range m.Body.Children {
		child, err := t.child(c)
		if err != nil {
			return nil, err
		}
		if child != nil {
			n.Children = append(n.Children, child)
		}
	}
	for _, r := range m.Attached {
		below := t.j.byDigest[r.Digest]
		if below == nil {
			continue
		}
		referrer, err := t.node(below)
		if err != nil {
			return nil, err
		}
		n.Referrers = append(n.Referrers, referrer)
	}
	return n, nil
}

// child makes the node of a manifest that an index names; nil if it names a blob.
func (t *treeMaker) child(c ocispec.Descriptor) (*TreeNode, error) {
	if below := t.j.byDigest[c.Digest]; below != nil {
		child, err := t.node(below)
		if err == nil {
			child.Descriptor.Platform = c.Platform
		}
		return child, err
	}
	if !t.j.missing[c.Digest] {
		return nil, nil //nolint:nilnil // it is none
	}
	return &TreeNode{Descriptor: c, Role: "image", Missing: true}, t.count()
}

// String returns the tree as text, one manifest a line.
func (n *TreeNode) String() string {
	var b strings.Builder
	n.print(&b, "", "")
	return strings.TrimSuffix(b.String(), "\n")
}

func (n *TreeNode) print(b *strings.Builder, first, rest string) {
	fmt.Fprintf(b, "%s%s %s", first, n.Role, shown(string(n.Descriptor.Digest)))
	if p := graph.Platform(n.Descriptor.Platform); p != "" {
		fmt.Fprintf(b, " %s", shown(p))
	}
	if n.Role == "referrer" || n.Role == "artifact" {
		fmt.Fprintf(b, " %s", shown(n.Descriptor.ArtifactType))
	}
	if len(n.Tags) > 0 {
		fmt.Fprintf(b, " (%s)", shown(strings.Join(n.Tags, ", ")))
	}
	if n.Missing {
		b.WriteString(" missing")
	}
	b.WriteString("\n")
	below := slices.Concat(n.Children, n.Referrers)
	for i, c := range below {
		if i == len(below)-1 {
			c.print(b, rest+"└─ ", rest+"   ")
		} else {
			c.print(b, rest+"├─ ", rest+"│  ")
		}
	}
}

// dropMissing takes out the children of an index that the source lacks, and notes them.
func (j *job) dropMissing(ctx context.Context, below []ocispec.Descriptor) []ocispec.Descriptor {
	if j.missing == nil {
		return below
	}
	_ = each(ctx, j.Concurrency, below, func(ctx context.Context, d ocispec.Descriptor) error {
		if _, err := j.fetch(ctx, d); errors.Is(err, ErrIncomplete) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.missing[d.Digest] = true
		}
		return nil // any other error comes again
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(below, func(d ocispec.Descriptor) bool { return j.missing[d.Digest] })
}
