package retention

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// state is a repository as it was read, with its graph.
type state struct {
	name       string
	created    time.Time // of the repository
	attributes acr.Attributes
	nodes      []*node             // by digest
	tags       []*tag              // by name
	newest     time.Time           // the latest time of all
	untagged   map[*node]time.Time // since when manifests are known to be untagged, if a rule asks
	blobSizes  bool                // all bodies are read, those of Docker images too
}

// node returns a manifest, or nil.
func (s *state) node(d digest.Digest) *node {
	at, found := slices.BinarySearchFunc(s.nodes, d, func(n *node, d digest.Digest) int { return cmp.Compare(n.digest, d) })
	if !found {
		return nil
	}
	return s.nodes[at]
}

// tag returns a tag, or nil.
func (s *state) tag(name string) *tag {
	at, found := slices.BinarySearchFunc(s.tags, name, func(t *tag, name string) int { return cmp.Compare(t.name, name) })
	if !found {
		return nil
	}
	return s.tags[at]
}

// node is a manifest. There are very many at a time, so it is kept as small as it can be.
type node struct {
	digest           digest.Digest
	mediaType        string
	created, updated time.Time
	size             int64
	at               int32 // its place in state.nodes
	attributes       acr.Attributes
	locked           bool
	quarantined      bool
	tags             []*tag
	body             *body
	*edges
}

// nodeSet is a set of manifests of one state, by node.at.
type nodeSet []bool

// edges are those of one manifest. Most have none.
type edges struct {
	subject *node
	needs   []*node // children, and other manifests that it names: edges E2 and E6
	parents []*node // those that name it
	refers  []*node // those whose subject it is: the inverse of E3
	belongs []*tag  // tags that belong to it by their name: E5
}

// noEdges is shared by all manifests without edges.
var noEdges = &edges{}

// own returns the edges of the manifest, to add some.
func (n *node) own() *edges {
	if n.edges == noEdges {
		n.edges = &edges{}
	}
	return n.edges
}

// tag is a tag.
type tag struct {
	name             string
	node             *node
	created, updated time.Time
	at               int32 // its place in state.tags
	attributes       acr.Attributes
	locked           bool
	named            bool  // its name is that of a cosign tag or referrers tag
	of               *node // the manifest that it belongs to by its name; nil if that does not exist
}

// body is what is kept of a manifest's content, here and in the cache.
type body struct {
	Kind     graph.Kind    `json:"k"`
	Artifact string        `json:"a,omitzero"` // artifact type
	Subject  digest.Digest `json:"s,omitzero"`
	Named    []reference   `json:"n,omitzero"` // children of an index, and the digests in a manifest of an unknown kind
	Blobs    []blob        `json:"b,omitzero"` // config and layers: hardly ever is one of them a manifest too
}

// reference is a manifest or blob that a manifest names.
type reference struct {
	Digest   digest.Digest `json:"d"`
	Child    bool          `json:"c,omitzero"` // of an index
	Platform string        `json:"p,omitzero"`
}

// blob is a config or layer. A repository has several for each manifest, so it is kept as small as it
// can be.
type blob struct {
	Hash uint64 `json:"h"` // see hashOf
	Size int64  `json:"s"`
}

// largestBlob bounds the size that a manifest may claim, so that sums do not overflow.
const largestBlob = 1 << 42

// bodyOf keeps of a manifest's content what the plan needs.
func bodyOf(g *graph.Body) *body {
	b := &body{Kind: g.Kind, Artifact: intern(g.ArtifactType), Blobs: make([]blob, 0, 1+len(g.Layers))}
	if g.Subject != nil {
		b.Subject = digest.Digest(strings.Clone(string(g.Subject.Digest)))
	}
	for role, d := range g.Descriptors() {
		switch role {
		case graph.RoleSubject:
			continue
		case graph.RoleConfig, graph.RoleLayer:
			b.Blobs = append(b.Blobs, blob{hashOf(d.Digest), min(d.Size, largestBlob)})
			continue
		}
		b.Named = append(b.Named, reference{d.Digest, role == graph.RoleChild, graph.Platform(d.Platform)})
	}
	return b
}

// hashOf is the beginning of a digest as a number. Two digests with the same number would make one
// edge too many, or count as one blob.
func hashOf(d digest.Digest) uint64 {
	hex := d.Encoded()
	n, _ := strconv.ParseUint(hex[:min(16, len(hex))], 16, 64)
	return n
}

// newNode takes over what the registry says of a manifest.
func newNode(m *acr.ManifestProperties) *node {
	return &node{
		digest: m.Digest, mediaType: m.MediaType, created: m.CreatedTime, updated: latest(m.CreatedTime, m.LastUpdateTime), size: m.Size,
		attributes:  m.Attributes,
		locked:      isLocked(m.Attributes),
		quarantined: strings.EqualFold(m.QuarantineState, "Quarantined"),
		edges:       noEdges,
	}
}

func newTag(t *acr.TagProperties) *tag {
	_, _, named := graph.AttachedTag(t.Name)
	return &tag{
		name: t.Name, created: t.CreatedTime, updated: latest(t.CreatedTime, t.LastUpdateTime), named: named,
		attributes: t.Attributes, locked: isLocked(t.Attributes),
	}
}

// isLocked reports whether the attributes forbid the deletion.
func isLocked(a acr.Attributes) bool { return !a.DeleteEnabled || !a.WriteEnabled }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// link sets the edges, once all bodies are read.
func (s *state) link() {
	s.linkTags()
	hashes := make(map[uint64]*node, len(s.nodes))
	for _, n := range s.nodes {
		hashes[hashOf(n.digest)] = n
	}
	for _, n := range s.nodes {
		n.linkSubject(s)
		for i, r := range n.body.Named {
			v := s.node(r.Digest)
			if v != nil {
				n.body.Named[i].Digest = v.digest // one copy of the text is enough
			}
			n.link(v)
		}
		for _, b := range n.body.Blobs {
			n.link(hashes[b.Hash])
		}
	}
}

// linkTags finds the manifests that tags belong to by their names.
func (s *state) linkTags() {
	var keys map[string]*node
	for _, t := range s.tags {
		key, _, ok := graph.AttachedTag(t.name)
		if !ok {
			continue
		}
		if keys == nil {
			keys = make(map[string]*node, len(s.nodes))
			for _, n := range s.nodes {
				keys[graph.TagKey(n.digest)] = n
			}
		}
		if t.of = keys[key]; t.of == t.node { // as imgpkg sets them, so that nobody takes an image for untagged
			t.of, t.named = nil, false
		}
		if t.of != nil {
			of := t.of.own()
			of.belongs = append(of.belongs, t)
		}
	}
}

func (n *node) linkSubject(s *state) {
	if v := s.node(n.body.Subject); v != nil {
		n.own().subject = v
		subject := v.own()
		subject.refers = append(subject.refers, n)
	}
}

// link adds an edge to a manifest that this one names.
func (n *node) link(v *node) {
	if v == nil || v == n || slices.Contains(n.needs, v) {
		return
	}
	from, to := n.own(), v.own()
	from.needs = append(from.needs, v)
	to.parents = append(to.parents, n)
}

// isOrphan reports whether the manifest names a subject that does not exist.
func (n *node) isOrphan() bool { return n.body.Subject != "" && n.subject == nil }

// standsAlone reports whether nothing in the repository can need the manifest: no tag, no index, no
// subject.
func (n *node) standsAlone() bool { return len(n.tags) == 0 && len(n.parents) == 0 && n.subject == nil }

// kind is the manifest's kind in a plan.
func (n *node) kind() string {
	switch {
	case n.subject != nil || n.isOrphan():
		return "referrer"
	case n.body.Kind == graph.KindIndex:
		return "index"
	default:
		return "image"
	}
}

// platform is the platform under which an index contains a manifest, or "".
func (n *node) platform(child *node) string {
	for _, r := range n.body.Named {
		if r.Digest == child.digest {
			return r.Platform
		}
	}
	return ""
}
