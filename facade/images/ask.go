package images

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// ask asks the target for tags and manifests, and marks the blobs that it may lack.
func (j *job) ask(ctx context.Context) error {
	names, err := j.tagNames(ctx)
	if err != nil {
		return err
	}
	if err := j.checkTags(names); err != nil {
		return err
	}
	j.tags = names
	if j.layout != nil { // other processes may have changed it
		if err := j.layout.reload(); err != nil {
			return j.faultName(AtTarget, "file", ocispec.ImageIndexFile, err)
		}
	}
	questions := make([]func(context.Context) error, 0, len(names)+len(j.manifests))
	for i := range j.tags {
		t := &j.tags[i]
		questions = append(questions, func(ctx context.Context) error {
			if err := j.askTag(ctx, t); err != nil || t.Tag != j.tag {
				return err
			}
			return j.askManifest(ctx, j.byDigest[j.root.Digest], t.From)
		})
	}
	for _, m := range j.manifests {
		if m.Descriptor.Digest != j.root.Digest || j.tag == "" {
			questions = append(questions, func(ctx context.Context) error { return j.askManifest(ctx, m, "") })
		}
	}
	if err := each(ctx, j.Concurrency, questions, func(ctx context.Context, ask func(context.Context) error) error { return ask(ctx) }); err != nil {
		return err
	}
	j.mark()
	return nil
}

// askManifest finds out whether the target has a manifest. If a tag of the target is on it, there is
// no need to ask.
func (j *job) askManifest(ctx context.Context, m *manifestNode, tagged digest.Digest) (err error) {
	d := m.Descriptor
	if m.present = j.known[d.Digest] || j.target != nil && tagged == d.Digest; m.present {
		return nil
	}
	m.present, err = j.to.Exists(ctx, d)
	return j.fault(AtTarget, m.role, d, err)
}

// checkTags refuses names that are no tags: those of a layout may be anything.
func (j *job) checkTags(names []TagMove) error {
	for _, t := range names {
		if j.target == nil || t.Tag == j.tag {
			continue // it was checked
		}
		if _, err := Of(j.target).reference("tag", t.Tag); err != nil {
			return j.faultName(AtTarget, "tag", t.Tag, err)
		}
	}
	return nil
}

// tagNames lists the tags that the copy sets: cosign's, the source's, and last the one given.
func (j *job) tagNames(ctx context.Context) ([]TagMove, error) {
	var moves []TagMove
	for tag, d := range j.attached {
		moves = append(moves, TagMove{Tag: tag, To: d})
	}
	if j.AllTags {
		all, err := j.sourceTags(ctx)
		if err != nil {
			return nil, j.faultName(FromSource, "tags of", j.reference, err)
		}
		for _, tag := range all {
			if tag != j.tag {
				moves = append(moves, TagMove{Tag: tag, To: j.root.Digest})
			}
		}
	}
	slices.SortFunc(moves, func(a, b TagMove) int { return cmpDigest(digest.Digest(a.Tag), digest.Digest(b.Tag)) })
	// The attached ones first: nobody sees the image without its signature.
	slices.SortStableFunc(moves, func(a, b TagMove) int {
		_, isA := j.attached[a.Tag]
		_, isB := j.attached[b.Tag]
		switch {
		case isA && !isB:
			return -1
		case isB && !isA:
			return 1
		}
		return 0
	})
	if j.tag != "" {
		moves = append(moves, TagMove{Tag: j.tag, To: j.root.Digest})
	}
	return moves, nil
}

// sourceTags lists the tags that the source has on what the reference stands for.
func (j *job) sourceTags(ctx context.Context) ([]string, error) {
	d := j.named
	var tags []string
	if l, ok := j.from.(*Layout); ok {
		for e := range l.Entries() {
			if tag := tagOf(e.Name); e.Descriptor.Digest == d && tag != "" && !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		return tags, nil
	}
	for tag, err := range j.source.Tags(ctx, &acr.ListTagsOptions{Digest: d}) {
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag.Name)
	}
	return tags, nil
}

// askTag finds out what a tag is on, and refuses to move it with IfAbsent.
func (j *job) askTag(ctx context.Context, t *TagMove) error {
	if j.layout != nil {
		on := j.layout.current().named(t.Tag)
		if len(on) > 0 {
			t.From = on[0]
		}
		return j.mayMove(*t, on...)
	}
	d, err := j.to.Resolve(ctx, t.Tag)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil
	case err != nil:
		return j.faultName(AtTarget, "tag", t.Tag, err)
	}
	t.From = d.Digest
	return j.mayMove(*t, d.Digest)
}

// mayMove refuses to move a tag with IfAbsent from what it is on.
func (j *job) mayMove(t TagMove, on ...digest.Digest) error {
	for _, d := range on {
		if j.IfAbsent && !j.byDigest[t.To].is(d) {
			return j.faultName(AtTarget, "tag", t.Tag, fmt.Errorf("%w: it is on %s, not on %s", acr.ErrTagExists, d, t.To))
		}
	}
	return nil
}

// has asks the target for a blob.
func (j *job) has(ctx context.Context, b *blobNode) (there bool, err error) {
	if r, ok := j.to.(*Repository); ok {
		there, err = r.Blobs().Exists(ctx, b.descriptor) // whatever its media type says
	} else {
		there, err = j.to.Exists(ctx, b.descriptor)
	}
	return there, j.fault(AtTarget, b.role, b.descriptor, err)
}

// mark decides which blobs have to be looked at: those of manifests that the target lacks, and all
// where having a manifest says nothing.
func (j *job) mark() {
	believed := j.target != nil && !j.CheckBlobs
	blobs := make(map[digest.Digest]*blobNode, len(j.blobs))
	for _, b := range j.blobs {
		blobs[b.descriptor.Digest] = b
	}
	for _, m := range j.manifests {
		if m.present {
			m.action = Present
		}
		if m.present && believed {
			continue
		}
		for _, d := range m.Body.Descriptors() {
			if b := blobs[d.Digest]; b != nil {
				b.todo, b.action = true, Send
			}
		}
	}
	total := Bytes{}
	for _, b := range j.blobs {
		total.Total += b.descriptor.Size
		if !b.todo {
			total.Present += b.descriptor.Size
		}
	}
	for _, m := range j.manifests {
		total.Total += m.Descriptor.Size
		if m.present {
			total.Present += m.Descriptor.Size
		}
	}
	j.meter.begin(total, len(j.blobs)+len(j.manifests))
	for _, b := range j.blobs {
		if !b.todo {
			j.meter.finished()
		}
	}
	for _, m := range j.manifests {
		if m.present {
			j.meter.finished()
		}
	}
}

// foresee finds out what Copy would do with each blob.
func (j *job) foresee(ctx context.Context) error {
	var todo []*blobNode
	for _, b := range j.blobs {
		if b.todo {
			todo = append(todo, b)
		}
	}
	for _, m := range j.manifests {
		if !m.present {
			j.meter.sent(m.Descriptor.Size)
		}
	}
	return each(ctx, j.Concurrency, todo, func(ctx context.Context, b *blobNode) error {
		there, err := j.has(ctx, b)
		switch {
		case err != nil:
			return err
		case there:
			b.action = Present
		case len(j.mountFrom) > 0 && j.sameRegistry():
			b.action = Mount
		default:
			b.action = Send
		}
		j.meter.blob(b.descriptor.Size).end(b.action)
		return nil
	})
}

// needs returns the manifests of the copy that have to be at the target before this one.
func (j *job) needs(m *manifestNode) []*manifestNode {
	var list []*manifestNode
	for _, c := range m.Below {
		if below := j.byDigest[c.Digest]; below != nil {
			list = append(list, below)
		}
	}
	if s := m.Body.Subject; s != nil && m.Body.Kind != graph.KindUnknown {
		if subject := j.byDigest[s.Digest]; subject != nil {
			list = append(list, subject)
		}
	}
	return list
}
