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
	j.tags = names
	questions := make([]func(context.Context) error, 0, len(names)+len(j.manifests))
	for i := range j.tags {
		questions = append(questions, func(ctx context.Context) error { return j.askTag(ctx, &j.tags[i]) })
	}
	for _, m := range j.manifests {
		questions = append(questions, func(ctx context.Context) (err error) {
			if m.present = j.known[m.Descriptor.Digest]; m.present {
				return nil
			}
			m.present, err = j.to.Exists(ctx, m.Descriptor)
			return j.fault(AtTarget, m.role, m.Descriptor, err)
		})
	}
	if err := each(ctx, j.Concurrency, questions, func(ctx context.Context, ask func(context.Context) error) error { return ask(ctx) }); err != nil {
		return err
	}
	j.mark()
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
	d, err := j.sourceRoot(ctx)
	if err != nil {
		return nil, err
	}
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

// sourceRoot is the digest of what the reference stands for at the source.
func (j *job) sourceRoot(ctx context.Context) (digest.Digest, error) {
	if d, err := parseDigest(j.reference); err == nil {
		return d, nil
	}
	d, err := j.from.Resolve(ctx, j.reference)
	return d.Digest, err
}

// askTag finds out what a tag is on, and refuses to move it with IfAbsent.
func (j *job) askTag(ctx context.Context, t *TagMove) error {
	var d ocispec.Descriptor
	var err error
	if j.layout != nil {
		d, err = j.layout.named(t.Tag)
	} else {
		d, err = j.to.Resolve(ctx, t.Tag)
	}
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil
	case err != nil:
		return j.faultName(AtTarget, "tag", t.Tag, err)
	}
	t.From = d.Digest
	if j.IfAbsent && !j.byDigest[t.To].is(t.From) {
		return j.faultName(AtTarget, "tag", t.Tag, fmt.Errorf("%w: it is on %s, not on %s", acr.ErrTagExists, t.From, t.To))
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
