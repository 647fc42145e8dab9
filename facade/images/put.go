package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
)

// blobWait is how long a registry may take to tell all its replicas of a blob.
const blobWait = time.Minute

// putManifests puts the manifests that the target lacks, those that others need first. Without
// anything attached to it, the root is left to the tag.
func (j *job) putManifests(ctx context.Context) error {
	for _, wave := range j.waves() {
		err := each(ctx, j.Concurrency, wave, func(ctx context.Context, m *manifestNode) error {
			if m.present || j.rootWithTag(m) {
				return nil
			}
			return j.put(ctx, m, "")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rootWithTag tells whether a manifest is the root, and can be put under its tag in one request
// because nothing comes between.
func (j *job) rootWithTag(m *manifestNode) bool {
	return j.target != nil && j.tag != "" && !j.verified && m.Descriptor.Digest == j.root.Digest &&
		j.root.Digest.Algorithm() == digest.SHA256 && // by which registries store what is put under a tag
		m == j.manifests[len(j.manifests)-1] && len(j.tags) > 0
}

// waves sorts the manifests into groups: what one of them needs is in a group before.
func (j *job) waves() [][]*manifestNode {
	var waves [][]*manifestNode
	at := map[*manifestNode]int{}
	for _, m := range j.manifests { // in an order in which they can be put
		wave := 0
		for _, n := range j.needs(m) {
			if before, ok := at[n]; ok {
				wave = max(wave, before+1)
			}
		}
		at[m] = wave
		for len(waves) <= wave {
			waves = append(waves, nil)
		}
		waves[wave] = append(waves[wave], m)
	}
	return waves
}

// put puts a manifest under a tag, or under its digest if the tag is empty.
func (j *job) put(ctx context.Context, m *manifestNode, tag string) error {
	var err error
	switch {
	case j.target != nil:
		err = j.putRemote(ctx, m, tag)
	case j.layout != nil:
		err = j.layout.writeBlob(ctx, m.Descriptor, bytes.NewReader(m.Content))
	default:
		if err = j.to.Push(ctx, m.Descriptor, bytes.NewReader(m.Content)); errors.Is(err, errdef.ErrAlreadyExists) {
			err = nil
		}
	}
	if err != nil {
		return j.fault(AtTarget, m.role, m.Descriptor, err)
	}
	if !m.present {
		m.present, m.action = true, Send
		j.meter.sent(m.Descriptor.Size)
		j.meter.finished()
	}
	return nil
}

// putRemote puts a manifest into a repository. If the registry says that something it names is
// missing, that is sent again: an earlier copy may have been interrupted, or a clean-up gone too
// far. What is there after all may not be known to every replica yet, so the last attempt waits.
func (j *job) putRemote(ctx context.Context, m *manifestNode, tag string) error {
	return j.putHealing(ctx, m, tag, func() error {
		j.healing.Lock() // another manifest may lack the same
		defer j.healing.Unlock()
		return j.heal(ctx, m)
	})
}

// putHealing puts a manifest, and once more after heal if the registry lacks what it names.
func (j *job) putHealing(ctx context.Context, m *manifestNode, tag string, heal func() error) error {
	err := j.putOnce(ctx, m, tag, 0)
	if !lacking(err) {
		return err
	}
	if err := heal(); err != nil {
		return err
	}
	return j.putOnce(ctx, m, tag, blobWait)
}

// putOnce puts a manifest under a tag, or under its digest if the tag is empty.
func (j *job) putOnce(ctx context.Context, m *manifestNode, tag string, wait time.Duration) error {
	o := &acr.PutManifestOptions{MediaType: m.Descriptor.MediaType, IfAbsent: j.IfAbsent && tag != "", BlobWait: wait}
	reference := tag
	if tag == "" {
		reference = string(m.Descriptor.Digest)
	}
	_, err := j.target.PutManifest(ctx, reference, m.Content, o)
	return err
}

// lacking tells whether a registry refused a manifest for what it names.
func lacking(err error) bool {
	return errors.Is(err, acr.ErrManifestBlobUnknown) || errors.Is(err, acr.ErrBlobUnknown) || errors.Is(err, acr.ErrManifestUnknown)
}

// heal sends again what the target lacks of a manifest, once.
func (j *job) heal(ctx context.Context, m *manifestNode) error {
	if m.healed {
		return nil
	}
	m.healed = true
	for _, below := range j.needs(m) {
		if err := j.putHealing(ctx, below, "", func() error { return j.heal(ctx, below) }); err != nil {
			return j.fault(AtTarget, below.role, below.Descriptor, err)
		}
	}
	for _, b := range j.blobs {
		if !m.names(b.descriptor) {
			continue
		}
		there, err := j.has(ctx, b)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		j.meter.uncount(b.descriptor.Size, b.action)
		if err := j.upload(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// is tells whether a digest, of whatever algorithm, is that of the manifest.
func (m *manifestNode) is(d digest.Digest) bool {
	return checkDigest(d) == nil && d.Algorithm().FromBytes(m.Content) == d
}

// names tells whether the manifest names a blob.
func (m *manifestNode) names(d ocispec.Descriptor) bool {
	for _, named := range m.Body.Descriptors() {
		if named.Digest == d.Digest {
			return true
		}
	}
	return false
}

// setTags sets the tags: by now everything is there that they stand for.
func (j *job) setTags(ctx context.Context) error {
	if j.layout != nil {
		return j.setNames(ctx)
	}
	for _, t := range j.tags {
		m := j.byDigest[t.To]
		if t.From != "" && m.is(t.From) && m.present {
			continue
		}
		if err := j.setTag(ctx, t, m); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) setTag(ctx context.Context, t TagMove, m *manifestNode) error {
	if j.target != nil {
		return j.faultTag(t, j.put(ctx, m, t.Tag))
	}
	if j.IfAbsent {
		if err := j.askTag(ctx, &t); err != nil {
			return err
		}
	}
	return j.faultTag(t, j.to.Tag(ctx, m.Descriptor, t.Tag))
}

// faultTag names the tag in an error.
func (j *job) faultTag(t TagMove, err error) error {
	e, ok := errors.AsType[*CopyError](err)
	if !ok || e.Name != "" || !errors.Is(err, acr.ErrTagExists) && !errors.Is(err, acr.ErrLocked) {
		return j.faultName(AtTarget, "tag", t.Tag, err)
	}
	return j.faultName(AtTarget, "tag", t.Tag, e.Err)
}

// setNames enters the copy in a layout's index.json, everything at once. Under the lock, what is
// there stays there, and names stay where they are.
func (j *job) setNames(ctx context.Context) error {
	err := j.layout.updateIndex(ctx, func(x *layoutIndex) (bool, error) {
		for _, t := range j.tags {
			if err := j.mayMove(t, x.named(t.Tag)...); err != nil {
				return false, err
			}
		}
		return j.enter(x), j.stillThere()
	})
	return j.faultName(AtTarget, "file", ocispec.ImageIndexFile, err)
}

// stillThere fails if something of the copy has been removed from the layout again.
func (j *job) stillThere() error {
	for _, b := range j.blobs {
		if err := j.layout.dir.holds(b.descriptor); err != nil {
			return j.fault(AtTarget, b.role, b.descriptor, err)
		}
	}
	for _, m := range j.manifests {
		if err := j.layout.dir.holds(m.Descriptor); err != nil {
			return j.fault(AtTarget, m.role, m.Descriptor, err)
		}
	}
	return nil
}

// enter adds the copy to an index.json, and reports whether that changed anything.
func (j *job) enter(x *layoutIndex) bool {
	changed := false
	for _, m := range j.manifests {
		if m.IsReferrer {
			d := m.Descriptor
			d.ArtifactType = m.Body.ArtifactType
			changed = x.add(d, "") || changed
		}
	}
	if j.tag == "" {
		changed = x.add(j.root, "") || changed
	}
	for _, t := range j.tags {
		changed = x.add(j.byDigest[t.To].Descriptor, t.Tag) || changed
	}
	return changed
}

// protect locks the copy.
func (j *job) protect(ctx context.Context) error {
	if j.Protect == nil {
		return nil
	}
	reference := j.tag
	if reference == "" {
		reference = string(j.root.Digest)
	}
	p, err := Protect(ctx, j.target, reference, j.Protect)
	j.locked = p
	if err != nil {
		return fmt.Errorf("images: the copy is complete, but: %w", err)
	}
	return nil
}
