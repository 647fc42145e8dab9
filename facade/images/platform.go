package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// attestationOf is the annotation by which BuildKit says which image of an index an attestation
// belongs to.
const attestationOf = "vnd.docker.reference.digest"

// selection is which images of an index are copied.
type selection struct {
	root    ocispec.Descriptor
	all     bool                                   // nothing was selected
	indexes []*graph.Node                          // children before their index
	chosen  map[digest.Digest][]ocispec.Descriptor // the children of an index that are copied
	changed map[digest.Digest]bool                 // indexes that need a new content
}

// selectPlatforms reads the indexes and chooses images by CopyOptions.Platforms.
func (j *job) selectPlatforms(ctx context.Context, root ocispec.Descriptor) (*selection, error) {
	s := &selection{root: root, all: true}
	if len(j.Platforms) == 0 || graph.KindOf(root.MediaType) != graph.KindIndex {
		return s, nil
	}
	s.all, s.chosen, s.changed = false, map[digest.Digest][]ocispec.Descriptor{}, map[digest.Digest]bool{}
	w := &graph.Walker{Concurrency: j.Concurrency, Fetch: j.fetch, Select: func(n *graph.Node) []ocispec.Descriptor {
		return slices.DeleteFunc(slices.Clone(n.Body.Children), func(d ocispec.Descriptor) bool {
			if graph.KindOf(d.MediaType) != graph.KindIndex {
				return true
			}
			_, err := j.fetch(ctx, d)
			return errors.Is(err, ErrIncomplete) // the source was copied for other platforms; any other error comes again
		})
	}}
	var err error
	if s.indexes, err = w.Walk(ctx, root); err != nil {
		return nil, j.fault(FromSource, "index", root, malformed(err))
	}
	var images []ocispec.Descriptor
	for _, n := range s.indexes {
		images = append(images, s.choose(n, j.Platforms)...)
	}
	switch {
	case len(images) == 0:
		return nil, j.fault(FromSource, "index", root, fmt.Errorf("%w %s: the index has %s", ErrNoPlatform, platforms(j.Platforms...), s.offered()))
	case j.KeepIndex:
		j.leaveOthers(s)
		return s, nil
	case len(images) > 1:
		return nil, j.fault(FromSource, "index", root, fmt.Errorf("%w: %d images are for %s: select one, or set KeepIndex", ErrAmbiguous, len(images), platforms(j.Platforms...)))
	}
	j.leaveOthers(s)
	j.leave(root, "", "index")
	return &selection{root: plain(images[0]), all: true}, nil
}

// choose notes which children of an index are copied, and returns the images among them that no
// index before had.
func (s *selection) choose(n *graph.Node, wanted []ocispec.Platform) (images []ocispec.Descriptor) {
	var chosen []ocispec.Descriptor
	changed := false
	for _, c := range n.Body.Children {
		switch {
		case graph.KindOf(c.MediaType) == graph.KindIndex:
			if len(s.chosen[c.Digest]) == 0 {
				continue
			}
			changed = changed || s.changed[c.Digest]
		case !slices.ContainsFunc(wanted, func(p ocispec.Platform) bool { return matches(c.Platform, p) }):
			continue
		default:
			images = append(images, c)
		}
		chosen = append(chosen, c)
	}
	is := digestsOf(chosen)
	for _, c := range n.Body.Children { // what belongs to a chosen image
		if is[digest.Digest(c.Annotations[attestationOf])] {
			chosen = append(chosen, c)
		}
	}
	is = digestsOf(chosen)
	// In the order of the index.
	s.chosen[n.Descriptor.Digest] = slices.DeleteFunc(slices.Clone(n.Body.Children), func(d ocispec.Descriptor) bool { return !is[d.Digest] })
	s.changed[n.Descriptor.Digest] = changed || len(s.chosen[n.Descriptor.Digest]) < len(n.Body.Children)
	return images
}

// digestsOf is the set of the digests of a list.
func digestsOf(list []ocispec.Descriptor) map[digest.Digest]bool {
	set := make(map[digest.Digest]bool, len(list))
	for _, d := range list {
		set[d.Digest] = true
	}
	return set
}

// matches tells whether an image is for a platform.
func matches(have *ocispec.Platform, want ocispec.Platform) bool {
	return have != nil && have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == want.Variant) &&
		(want.OSVersion == "" || have.OSVersion == want.OSVersion) &&
		!slices.ContainsFunc(want.OSFeatures, func(f string) bool { return !slices.Contains(have.OSFeatures, f) })
}

// kept returns the children of an index that are copied.
func (s *selection) kept(n *graph.Node) []ocispec.Descriptor {
	if s.all || s.chosen[n.Descriptor.Digest] == nil {
		return n.Body.Children
	}
	return s.chosen[n.Descriptor.Digest]
}

// replaces tells whether a manifest is an index that gets a new content.
func (s *selection) replaces(d digest.Digest) bool { return s.changed[d] }

// leaveOthers notes the images that were not chosen.
func (j *job) leaveOthers(s *selection) {
	for _, n := range s.indexes {
		chosen := digestsOf(s.chosen[n.Descriptor.Digest])
		for _, c := range n.Body.Children {
			if !chosen[c.Digest] {
				role := "image"
				if graph.KindOf(c.MediaType) == graph.KindIndex {
					role = "index"
				}
				j.leave(c, n.Descriptor.Digest, role)
			}
		}
	}
}

// rewrite gives the indexes that lost images a new content.
func (s *selection) rewrite(j *job) error {
	if s.all {
		return nil
	}
	replaced := map[digest.Digest]ocispec.Descriptor{}
	for _, m := range j.manifests { // children before their index
		if !s.changed[m.Descriptor.Digest] || m.Body.Kind != graph.KindIndex {
			continue
		}
		old := m.Descriptor
		content, err := withoutOthers(m.Content, s.chosen[old.Digest], replaced)
		if err != nil {
			return err
		}
		m.Content = content
		m.Descriptor.Digest, m.Descriptor.Size = digest.FromBytes(content), int64(len(content))
		if m.Body, err = graph.Read(old.MediaType, content); err != nil {
			return err
		}
		if len(m.Body.Children) != len(s.chosen[old.Digest]) { // members that occur twice can be read in two ways
			return fmt.Errorf("%w: the index does not name the images that were selected", acr.ErrManifestMalformed)
		}
		m.Below = j.children(m.Node, &selection{all: true})
		delete(j.byDigest, old.Digest)
		j.byDigest[m.Descriptor.Digest] = m
		replaced[old.Digest] = m.Descriptor
		j.leave(old, m.Parent, "index")
		if old.Digest == j.root.Digest {
			j.root = m.Descriptor
		}
	}
	for _, m := range j.manifests {
		if d, ok := replaced[m.Parent]; ok {
			m.Parent = d.Digest
		}
	}
	return nil
}

// withoutOthers returns an index with only the chosen manifests. Everything else in it stays.
func withoutOthers(content []byte, chosen []ocispec.Descriptor, replaced map[digest.Digest]ocispec.Descriptor) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return nil, err
	}
	var all, left []json.RawMessage
	if err := json.Unmarshal(members["manifests"], &all); err != nil {
		return nil, err
	}
	is := digestsOf(chosen)
	for _, raw := range all {
		var d ocispec.Descriptor
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, err
		}
		if !is[d.Digest] {
			continue
		}
		if by, ok := replaced[d.Digest]; ok {
			d.Digest, d.Size = by.Digest, by.Size
			var err error
			if raw, err = json.Marshal(d); err != nil {
				return nil, err
			}
		}
		left = append(left, raw)
	}
	var err error
	if members["manifests"], err = json.Marshal(left); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// platforms lists platforms for an error.
func platforms(list ...ocispec.Platform) string {
	var names []string
	for _, p := range list {
		if name := shown(graph.Platform(&p)); !slices.Contains(names, name) && name != "unknown/unknown" {
			names = append(names, name)
		}
	}
	const most = 20
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return strings.Join(names, ", ")
}

// offered lists the platforms of the indexes.
func (s *selection) offered() string {
	var all []ocispec.Platform
	for _, n := range slices.Backward(s.indexes) { // the root first
		for _, c := range n.Body.Children {
			if c.Platform != nil {
				all = append(all, *c.Platform)
			}
		}
	}
	if len(all) == 0 {
		return "no platforms"
	}
	return platforms(all...)
}
