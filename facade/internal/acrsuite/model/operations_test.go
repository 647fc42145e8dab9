package model_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// operations are all kinds of steps, by name.
var operations map[string]operation

func init() { //nolint:gochecknoinits // step.String looks into the map, whose functions print steps
	operations = map[string]operation{}
	for _, more := range []map[string]operation{writes, deletions, reads, listings, blobCalls, events} {
		maps.Copy(operations, more)
	}
	for name, o := range operations {
		operationNames, totalWeight = append(operationNames, name), totalWeight+o.weight
	}
	slices.Sort(operationNames)
}

var pushes = []string{"PutManifest"}

// writes are the calls that put manifests, tags and attributes.
var writes = map[string]operation{
	"PutManifest": {weight: 14, atomic: unlessIfAbsent, takes: takesReference, options: 4, finds: true, sends: pushes, run: func(ctx context.Context, w *world, s step) (string, error) {
		it := items[s.Item]
		reference := s.reference()
		if s.Tag == none && s.Option == 0 {
			reference = ""
		}
		return show(w.repository(s).PutManifest(ctx, reference, it.content, &acr.PutManifestOptions{MediaType: it.descriptor.MediaType, IfAbsent: s.Option == 3}))
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		return g.expectPut(r, s.Item, s.Tag, s.Option == 3)
	}},
	"Tag": {weight: 5, takes: takesTag | takesItem, options: 8, finds: true, sends: []string{"GetManifest", "PutManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.repository(s).Tag(ctx, s.source(), tags[s.Tag], &acr.TagOptions{IfAbsent: s.Option/4 == 1}))
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		item, err := r.resolve(s.sourceTag(), s.Item)
		if err != nil {
			return "", err
		}
		return g.expectPut(r, item, s.Tag, s.Option/4 == 1)
	}},
	"UpdateTagAttributes": {weight: 5, atomic: always, takes: takesTag, options: 12, sends: []string{"UpdateTagAttributes"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		p, err := w.artifact(s).UpdateTagAttributes(ctx, s.attributes())
		return tagText(p), err
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		t, ok := r.tags[s.Tag]
		if !ok {
			return "", acr.ErrTagUnknown
		}
		t.attributes = s.apply(t.attributes)
		r.tags[s.Tag] = t
		return r.showTag(s.Tag), nil
	}},
	"UpdateManifestAttributes": {weight: 5, atomic: byDigestAlone, takes: takesReference, options: 14, sends: []string{"UpdateManifestAttributes"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		change := s.attributes()
		if s.Option >= 12 {
			change = acr.ChangeableAttributes{QuarantineState: new([]string{"Quarantined", "Passed"}[s.Option-12])}
		}
		p, err := w.artifact(s).UpdateManifestAttributes(ctx, change)
		return manifestText(p), err
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		item, err := r.properties(s)
		if err != nil {
			return "", err
		}
		m := r.manifests[item]
		if s.Option >= 12 {
			m.quarantined = s.Option == 12
		} else {
			m.attributes = s.apply(m.attributes)
		}
		r.manifests[item] = m
		return r.showManifest(item), nil
	}},
	"UpdateAttributes": {weight: 3, atomic: always, options: 12, sends: []string{"UpdateRepositoryAttributes"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		p, err := w.repository(s).UpdateAttributes(ctx, s.attributes())
		return repositoryText(p), err
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		if r.exists() {
			r.attributes = s.apply(r.attributes)
		}
		return r.show()
	}},
}

// source is the tag or digest that a step tags anew.
func (s step) source() string {
	if t := s.sourceTag(); t != none {
		return tags[t]
	}
	return string(items[s.Item].descriptor.Digest)
}

func (s step) sourceTag() int {
	if s.Option%4 < 2 {
		return none
	}
	return (s.Tag + s.Option%4 - 1) % len(tags)
}

func (g *registry) expectPut(r *repository, item, tag int, ifAbsent bool) (string, error) {
	there := false
	var err error
	if ifAbsent && tag != none {
		there, err = r.absent(tag, item)
	}
	if err == nil && !there {
		err = g.put(r, item, tag)
	}
	return items[item].name, err
}

// deletions are the calls that delete, and that restore.
var deletions = map[string]operation{
	"DeleteTag": {weight: 5, atomic: always, takes: takesTag, options: 2, forgets: true, sends: []string{"DeleteTag"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		if s.Option == 1 {
			return "", w.artifact(s).DeleteTag(ctx)
		}
		d, err := w.artifact(s).Untag(ctx)
		return named(d), err
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		item, err := g.untag(r, s.Tag)
		if err != nil || s.Option == 1 {
			return "", err
		}
		return items[item].name, nil
	}},
	"DeleteManifest": {weight: 6, atomic: byDigestAlone, takes: takesReference, forgets: true, sends: []string{"DeleteManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		if s.Tag == none {
			return "", w.repository(s).DeleteManifest(ctx, items[s.Item].descriptor.Digest)
		}
		return "", w.artifact(s).Delete(ctx)
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		item := s.Item
		if s.Tag != none {
			t, ok := r.tags[s.Tag]
			if !ok {
				return "", acr.ErrTagUnknown
			}
			item = t.item
		}
		return "", g.delete(r, item)
	}},
	"Delete": {weight: 2, atomic: always, forgets: true, sends: []string{"DeleteRepository"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		gone, err := w.repository(s).Delete(ctx)
		var all []string
		for _, d := range gone.Manifests {
			all = append(all, named(d))
		}
		return strings.TrimSpace(strings.Join(append(all, gone.Tags...), " ")), err
	}, expect: func(g *registry, r *repository, _ step) (string, error) {
		manifests, names, err := g.drop(r)
		text := itemNames(manifests)
		for _, t := range names {
			text += " " + tags[t]
		}
		return text, err
	}},
	"RestoreManifest": {weight: 5, atomic: always, takes: takesReference, options: 2, forgets: true, sends: []string{"RestoreManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		o := &acr.RestoreManifestOptions{Force: s.Option == 1}
		if s.Tag != none {
			o.Tag = tags[s.Tag]
		}
		return "", w.repository(s).RestoreManifest(ctx, items[s.Item].descriptor.Digest, o)
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		return "", g.restore(r, s.Item, s.Tag, s.Option == 1)
	}},
	"DeleteBlob": {weight: 2, atomic: always, takes: takesBlob, forgets: true, sends: []string{"DeleteBlob"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return "", w.repository(s).DeleteBlob(ctx, blobs[s.Blob].digest)
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		switch {
		case !r.blobs[s.Blob]:
			return "", acr.ErrBlobUnknown
		case !r.attributes.WriteEnabled:
			return "", acr.ErrLocked
		}
		delete(r.blobs, s.Blob)
		return "", nil
	}},
}

// reads are the calls that read one thing.
var reads = map[string]operation{
	"GetManifest": {weight: 5, atomic: always, takes: takesReference, sends: []string{"GetManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		m, err := w.repository(s).GetManifest(ctx, s.reference())
		if err != nil {
			return "", err
		}
		if i := slices.IndexFunc(items, func(it item) bool { return it.descriptor.Digest == m.Descriptor.Digest }); i < 0 || !bytes.Equal(items[i].content, m.Content) {
			return "", errors.New("the content is another")
		}
		return show(m.Descriptor, nil)
	}, expect: expectPull(acr.ErrLocked)},
	"HeadManifest": {weight: 3, atomic: always, takes: takesReference, sends: []string{"HeadManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.artifact(s).Head(ctx))
	}, expect: expectPull(status(405))},
	"WaitForTag": {weight: 1, fragile: true, takes: takesTag, sends: []string{"HeadManifest"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.repository(s).WaitForTag(ctx, tags[s.Tag], "", &acr.WaitForTagOptions{Timeout: 10 * time.Second}))
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		text, err := expectPull(status(405))(g, r, s)
		if errors.Is(err, acr.ErrManifestUnknown) {
			err = acr.ErrWaitTimeout
		}
		return text, err
	}},
	"TagProperties": {weight: 3, atomic: always, takes: takesTag, sends: []string{"GetTagProperties"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		p, err := w.artifact(s).TagProperties(ctx)
		return tagText(p), err
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		if _, ok := r.tags[s.Tag]; !ok {
			return "", acr.ErrTagUnknown
		}
		return r.showTag(s.Tag), nil
	}},
	"ManifestProperties": {weight: 3, atomic: byDigestAlone, takes: takesReference, sends: []string{"GetManifestProperties"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		p, err := w.artifact(s).ManifestProperties(ctx)
		return manifestText(p), err
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		item, err := r.properties(s)
		if err != nil {
			return "", err
		}
		return r.showManifest(item), nil
	}},
	"Properties": {weight: 3, atomic: always, sends: []string{"GetRepositoryProperties"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		p, err := w.repository(s).Properties(ctx)
		return repositoryText(p), err
	}, expect: func(_ *registry, r *repository, _ step) (string, error) { return r.show() }},
}

// expectPull is what reading a manifest comes to; locked is the error of one that must not be read.
func expectPull(locked error) func(*registry, *repository, step) (string, error) {
	return func(_ *registry, r *repository, s step) (string, error) {
		item, err := r.resolve(s.Tag, s.Item)
		if errors.Is(err, acr.ErrLocked) {
			err = locked
		}
		if err != nil {
			return "", err
		}
		return items[item].name, nil
	}
}

// properties returns the item whose properties a step is about.
func (r *repository) properties(s step) (int, error) {
	if s.Tag != none {
		t, ok := r.tags[s.Tag]
		if !ok {
			return none, acr.ErrTagUnknown
		}
		return t.item, nil
	}
	if !r.exists() {
		return none, acr.ErrNameUnknown
	}
	if _, ok := r.manifests[s.Item]; !ok {
		return none, acr.ErrManifestUnknown
	}
	return s.Item, nil
}

func (r *repository) show() (string, error) {
	if !r.exists() {
		return "", acr.ErrNameUnknown
	}
	return fmt.Sprintf("%d manifests, %d tags %s", len(r.manifests), len(r.tags), showAttributes(r.attributes)), nil
}

// listings are the calls that list.
var listings = map[string]operation{
	"Tags": {weight: 5, takes: takesPage | takesTag | takesDigest, options: 6, sends: []string{"ListTags"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		o := &acr.ListTagsOptions{PageSize: s.Page, Order: s.order(), Concurrency: s.parallel()}
		if s.Tag != none && o.Order == acr.OrderByDefault {
			o.After = tags[s.Tag]
		}
		return texts(w.repository(s).Tags(ctx, o), tagText)
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		if !r.exists() {
			return "", acr.ErrNameUnknown
		}
		var all []string
		for _, t := range r.listedTags(s.order()) {
			if s.Tag == none || s.order() != acr.OrderByDefault || t > s.Tag {
				all = append(all, r.showTag(t))
			}
		}
		return strings.Join(all, " "), nil
	}},
	"Artifact.Tags": {weight: 2, takes: takesItem, sends: []string{"ListTags"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return texts(w.artifact(s).Tags(ctx), tagText)
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		if !r.exists() {
			return "", acr.ErrNameUnknown
		}
		var all []string
		for _, t := range r.listedTags(acr.OrderByDefault) {
			if r.tags[t].item == s.Item {
				all = append(all, r.showTag(t))
			}
		}
		return strings.Join(all, " "), nil
	}},
	"TagNames": {weight: 2, takes: takesPage, options: 6, sends: []string{"ListTagNames"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return texts(w.repository(s).TagNames(ctx, &acr.ListOptions{PageSize: s.Page, Concurrency: s.parallel()}), strings.Clone)
	}, expect: func(_ *registry, r *repository, _ step) (string, error) {
		if !r.exists() {
			return "", acr.ErrNameUnknown
		}
		var all []string
		for _, t := range r.listedTags(acr.OrderByDefault) {
			all = append(all, tags[t])
		}
		return strings.Join(all, " "), nil
	}},
	"Manifests": {weight: 5, takes: takesPage, options: 6, sends: []string{"ListManifests"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		o := &acr.ListManifestsOptions{PageSize: s.Page, Order: s.order(), Concurrency: s.parallel()}
		return texts(w.repository(s).Manifests(ctx, o), manifestText)
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		if !r.exists() {
			return "", acr.ErrNameUnknown
		}
		var all []string
		for _, i := range r.listedManifests(s.order()) {
			all = append(all, r.showManifest(i))
		}
		return strings.Join(all, " "), nil
	}},
	"Referrers": {weight: 3, takes: takesPage | takesItem, options: 3, sends: []string{"ListReferrers"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		o := &acr.ReferrersOptions{PageSize: s.Page, ArtifactType: s.artifactType()}
		return texts(w.repository(s).Referrers(ctx, items[s.Item].descriptor.Digest, o), func(d ocispec.Descriptor) string {
			return named(d.Digest) + ":" + d.ArtifactType
		})
	}, expect: func(_ *registry, r *repository, s step) (string, error) {
		var all []string
		for _, i := range r.referrers(s.Item) {
			if t := s.artifactType(); t == "" || t == items[i].artifactType {
				all = append(all, items[i].name+":"+items[i].artifactType)
			}
		}
		return strings.Join(all, " "), nil
	}},
	"Repositories": {weight: 2, takes: takesPage, options: 6, sends: []string{"ListRepositories"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return w.names(w.client(s).Repositories(ctx, &acr.ListOptions{PageSize: s.Page, After: w.prefix, Concurrency: s.parallel()}))
	}, expect: expectNames(func(r *repository) bool { return r.exists() && r.attributes.ListEnabled })},
	"RepositoryNames": {weight: 1, takes: takesPage, sends: []string{"ListRepositoryNames"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return w.names(w.client(s).RepositoryNames(ctx, &acr.ListOptions{PageSize: s.Page, After: w.prefix}))
	}, expect: expectNames(func(r *repository) bool { return r.exists() && r.attributes.ListEnabled })},
	"DeletedRepositories": {weight: 1, takes: takesPage, sends: []string{"ListDeletedRepositories"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return w.names(w.client(s).DeletedRepositories(ctx, &acr.ListOptions{PageSize: s.Page, After: w.prefix}))
	}, expect: expectNames(func(r *repository) bool { return !r.exists() && len(r.bin) > 0 })},
	"DeletedManifests": {weight: 2, takes: takesPage, sends: []string{"ListDeletedManifests"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return texts(w.repository(s).DeletedManifests(ctx, &acr.ListManifestsOptions{PageSize: s.Page}), func(m acr.DeletedManifest) string {
			return named(m.Digest) + "[" + strings.Join(m.Tags, ",") + "]"
		})
	}, expect: func(_ *registry, r *repository, _ step) (string, error) {
		if !r.known() {
			return "", acr.ErrNameUnknown
		}
		var all []string
		for _, i := range byDigest(slices.Collect(maps.Keys(r.bin))) {
			all = append(all, items[i].name+tagNames(r.bin[i].tags))
		}
		return strings.Join(all, " "), nil
	}},
	"DeletedTags": {weight: 2, takes: takesPage, sends: []string{"ListDeletedTags"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return texts(w.repository(s).DeletedTags(ctx, &acr.ListOptions{PageSize: s.Page}), func(t acr.DeletedTag) string { return t.Name + "=" + named(t.Digest) })
	}, expect: func(_ *registry, r *repository, _ step) (string, error) {
		if !r.known() {
			return "", acr.ErrNameUnknown
		}
		sorted := slices.Clone(r.binTags)
		slices.SortStableFunc(sorted, func(a, b binnedTag) int { return cmp.Compare(a.tag, b.tag) })
		var all []string
		for _, t := range sorted {
			all = append(all, tags[t.tag]+"="+items[t.item].name)
		}
		return strings.Join(all, " "), nil
	}},
}

func (s step) artifactType() string { return []string{"", "x/signature", "x/sbom"}[s.Option] }

func expectNames(shown func(*repository) bool) func(*registry, *repository, step) (string, error) {
	return func(g *registry, _ *repository, _ step) (string, error) {
		var all []string
		for i, name := range []string{"a", "b"} {
			if shown(g.repositories[i]) {
				all = append(all, name)
			}
		}
		return strings.Join(all, " "), nil
	}
}

// uploadCalls is what an upload of a small blob may send.
var uploadCalls = []string{"StartUpload", "UploadChunk", "CompleteUpload"}

// blobCalls are the calls about blobs.
var blobCalls = map[string]operation{
	"UploadBlob": {weight: 6, takes: takesBlob, options: 5, finds: true, sends: uploadCalls, run: func(ctx context.Context, w *world, s step) (string, error) {
		b := blobs[s.Blob]
		o := &acr.UploadOptions{}
		switch s.Option {
		case 1:
			o.Digest = b.digest
		case 2:
			o.ChunkSize = 4096
		case 3:
			o.Digest, o.MountFrom = b.digest, []string{w.name(1 - s.Repo)}
		}
		if s.Option == 4 {
			return show(w.repository(s).UploadBlob(ctx, acrsuite.Stream{Reader: bytes.NewReader(b.content)}, &acr.UploadOptions{Spool: true, ChunkSize: 4096, SpoolDir: w.dir}))
		}
		return show(w.repository(s).UploadBlob(ctx, bytes.NewReader(b.content), o))
	}, expect: expectUpload},
	"StartUpload": {weight: 3, takes: takesBlob, options: 2, fragile: true, finds: true, sends: append([]string{"GetUploadStatus"}, uploadCalls...), run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.write(ctx, s))
	}, expect: expectUpload},
	"MountBlob": {weight: 3, takes: takesBlob, sends: []string{"StartUpload"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.repository(s).MountBlob(ctx, blobs[s.Blob].digest, w.name(1-s.Repo)))
	}, expect: func(g *registry, r *repository, s step) (string, error) {
		from := g.repositories[1-s.Repo]
		if !from.blobs[s.Blob] || !from.attributes.ReadEnabled || !r.attributes.WriteEnabled {
			return "", acr.ErrNotMounted
		}
		r.blobs[s.Blob] = true
		if !r.attributes.ReadEnabled {
			return "", status(405) // it is mounted, and must not be looked at
		}
		return blobs[s.Blob].name, nil
	}},
	"HeadBlob": {weight: 2, takes: takesBlob, sends: []string{"HeadBlob"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		return show(w.repository(s).HeadBlob(ctx, blobs[s.Blob].digest))
	}, expect: expectBlob(status(405))},
	"GetBlob": {weight: 4, takes: takesBlob, options: 3, sends: []string{"GetBlob", "GetBlobContent"}, run: func(ctx context.Context, w *world, s step) (string, error) {
		b := blobs[s.Blob]
		content, err := w.download(ctx, s)
		if err == nil && !bytes.Equal(content, b.content) {
			err = errors.New("the content is another")
		}
		return b.name, err
	}, expect: expectBlob(acr.ErrLocked)},
}

func expectUpload(_ *registry, r *repository, s step) (string, error) {
	if !r.attributes.WriteEnabled {
		return "", acr.ErrLocked
	}
	r.blobs[s.Blob] = true
	return blobs[s.Blob].name, nil
}

func expectBlob(locked error) func(*registry, *repository, step) (string, error) {
	return func(_ *registry, r *repository, s step) (string, error) {
		switch {
		case len(blobs[s.Blob].content) == 0 && s.Op == "GetBlob": // nothing is requested of the empty blob
		case !r.blobs[s.Blob]:
			return "", acr.ErrBlobUnknown
		case !r.attributes.ReadEnabled:
			return "", locked
		}
		return blobs[s.Blob].name, nil
	}
}

// write uploads with a BlobWriter; with the option, one client begins and the other goes on.
func (w *world) write(ctx context.Context, s step) (ocispec.Descriptor, error) {
	content := blobs[s.Blob].content
	first, err := w.repository(s).StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: 4096})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if s.Option == 0 {
		return commit(first, content)
	}
	if _, err := first.Write(content[:len(content)/2]); err != nil {
		return ocispec.Descriptor{}, errors.Join(err, first.Cancel())
	}
	cp, err := first.Checkpoint()
	if err == nil {
		err = first.Close()
	}
	if err == nil {
		cp, err = first.Checkpoint() // Close has sent what was full
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	other := s
	other.Client = (s.Client + 1) % clientCount
	second, err := w.repository(other).ResumeUpload(ctx, cp, &acr.ResumeUploadOptions{ChunkSize: 4096})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return commit(second, content)
}

func commit(b *acr.BlobWriter, content []byte) (ocispec.Descriptor, error) {
	defer func() { _ = b.Cancel() }() // nothing after a commit
	if _, err := b.Write(content[b.Offset():]); err != nil {
		return ocispec.Descriptor{}, err
	}
	return b.Commit()
}

// download gets a blob in one of three ways.
func (w *world) download(ctx context.Context, s step) ([]byte, error) {
	b := blobs[s.Blob]
	r := w.repository(s)
	if s.Option == 0 {
		to := &acrsuite.Memory{B: make([]byte, len(b.content))}
		desc, err := r.DownloadBlob(ctx, b.digest, to, &acr.DownloadOptions{Concurrency: 3, PartSize: 4096})
		if err == nil && desc.Size != int64(len(b.content)) {
			err = fmt.Errorf("it has %d bytes", desc.Size)
		}
		return to.B, err
	}
	o := &acr.GetBlobOptions{}
	if s.Option == 1 {
		o.Size = int64(len(b.content))
	}
	reader, err := r.GetBlob(ctx, b.digest, o)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(reader)
	return content, errors.Join(err, reader.Close())
}

// What calls return, as text.

func show(d ocispec.Descriptor, err error) (string, error) { return named(d.Digest), err }

func tagText(p acr.TagProperties) string {
	return p.Name + "=" + named(p.Digest) + showAttributes(p.Attributes)
}

func manifestText(p acr.ManifestProperties) string {
	text := named(p.Digest) + "[" + strings.Join(p.Tags, ",") + "]" + showAttributes(p.Attributes)
	if p.QuarantineState == "Quarantined" {
		text += "q"
	}
	return text
}

func repositoryText(p acr.RepositoryProperties) string {
	return fmt.Sprintf("%d manifests, %d tags %s", p.ManifestCount, p.TagCount, showAttributes(p.Attributes))
}

func texts[T any](seq iter.Seq2[T, error], text func(T) string) (string, error) {
	all, err := acr.Collect(seq)
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = text(v)
	}
	return strings.Join(names, " "), err
}

// names reads a list of repositories up to the first that is not of the sequence, without their prefix.
func (w *world) names(seq iter.Seq2[string, error]) (string, error) {
	var all []string
	for name, err := range seq {
		if err != nil {
			return "", err
		}
		short, ok := strings.CutPrefix(name, w.prefix)
		if !ok {
			break
		}
		all = append(all, short)
	}
	return strings.Join(all, " "), nil
}
