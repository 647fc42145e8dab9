package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

const (
	chunkSize   = 4 << 20
	firstTag    = "v1"
	secondTag   = "stable"
	cleanUpTime = 30 * time.Second
)

// tour is one walk through a registry.
type tour struct {
	w       io.Writer
	reg     *registry
	repo    *acr.Repository
	copied  *acr.Repository // where the image is copied to
	scratch string
	number  int
	column  int  // width of the titles
	pushed  bool // there is something to clean up

	files    []file
	layers   []layer
	manifest ocispec.Descriptor
}

func newTour(w io.Writer, reg *registry, scratch string) *tour {
	name := "acrkit-tour/" + strings.ToLower(rand.Text()[:8]) // nobody else's
	return &tour{w: w, reg: reg, repo: reg.client.Repository(name), copied: reg.client.Repository(name + "-copy"), scratch: scratch}
}

func (t *tour) say(format string, args ...any) { _, _ = fmt.Fprintf(t.w, format+"\n", args...) }

func (t *tour) row(title string, n int64, remark string) {
	t.say("   %-*s %10s  %s", t.column, title, size(n), remark)
}

// step announces a part of the tour and opens its account.
func (t *tour) step(name, title string) {
	t.number++
	t.say("\n%d. %s\n", t.number, title)
	t.reg.meter.begin(name)
}

// walk goes through all the steps.
func (t *tour) walk(ctx context.Context, dir string) error {
	for _, s := range []struct {
		name, title string
		do          func(context.Context) error
	}{
		{"pack", "Pack", func(ctx context.Context) error { return t.pack(ctx, dir) }},
		{"push", fmt.Sprintf("Push to %s:%s, in chunks of %s", t.repo.Name(), firstTag, size(chunkSize)), t.push},
		{"list", "List", t.list},
		{"lock", "Lock the tag, and try to delete it", t.lock},
		{"unlock", "Unlock", t.unlock},
		{"retag", "Give it a second tag", t.retag},
		{"pull", "Pull into a fresh directory", t.pull},
		{"image", "An image for two platforms: push, attach an SBOM, copy, pull", t.image},
		{"delete", "Delete", t.delete},
	} {
		t.step(s.name, s.title)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (t *tour) pack(ctx context.Context, dir string) (err error) {
	if dir == "" {
		t.files, err = ownFiles(ctx, t.scratch)
	} else {
		t.files, err = collect(dir, "")
	}
	if err != nil {
		return err
	}
	t.layers, err = pack(t.files, t.scratch)
	if err != nil {
		return err
	}
	t.column = 26
	for _, l := range t.layers {
		t.column = max(t.column, len(l.title))
	}
	var total int64
	for _, l := range t.layers {
		what := "a layer of its own"
		if l.mediaType == mediaTypePacked {
			what = count(l.files, "file") + " in one tar"
		}
		t.row(l.title, l.size, what)
		total += l.size
	}
	t.row("", total, count(len(t.files), "file")+" in "+count(len(t.layers), "layer"))
	return nil
}

func (t *tour) push(ctx context.Context) error {
	manifest := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Annotations:  map[string]string{ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339)},
	}
	for _, l := range t.layers {
		d, err := t.pushLayer(ctx, l)
		if err != nil {
			return err
		}
		t.pushed = true
		manifest.Layers = append(manifest.Layers, d)
	}
	var err error
	manifest.Config, err = t.repo.UploadBlob(ctx, strings.NewReader("{}"), &acr.UploadOptions{MediaType: ocispec.MediaTypeEmptyJSON})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	t.manifest, err = t.repo.PutManifest(ctx, firstTag, raw, nil)
	if err != nil {
		return err
	}
	t.row("the manifest", t.manifest.Size, t.manifest.Digest.String())
	return nil
}

func (t *tour) pushLayer(ctx context.Context, l layer) (d ocispec.Descriptor, err error) {
	f, err := os.Open(l.path)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	line := newProgress(t.w, l.title, t.column, l.size)
	d, err = t.repo.UploadBlob(ctx, f, &acr.UploadOptions{
		MediaType: l.mediaType,
		ChunkSize: chunkSize,
		Progress:  func(p acr.Progress) { line.show(p.Offset) },
	})
	if err != nil {
		return d, err
	}
	line.done(short(d.Digest))
	d.Annotations = map[string]string{ocispec.AnnotationTitle: l.title}
	return d, nil
}

func (t *tour) list(ctx context.Context) error {
	const most = 5 // of a registry's repositories: there may be thousands
	shown := 0
	for name, err := range t.reg.client.Repositories(ctx, &acr.ListOptions{PageSize: most}) {
		if errors.Is(err, acr.ErrCatalogRole) {
			t.say("   repository  (this identity may not list them)")
			break
		} else if err != nil {
			return err
		}
		if shown++; shown > most {
			t.say("   repository  ...")
			break
		}
		t.say("   repository  %s", name)
	}
	for tag, err := range t.repo.Tags(ctx, nil) {
		if err != nil {
			return err
		}
		t.say("   tag         %s -> %s, pushed %s", tag.Name, short(tag.Digest), tag.CreatedTime.UTC().Format(time.RFC3339))
	}
	for m, err := range t.repo.Manifests(ctx, nil) {
		if err != nil {
			return err
		}
		t.say("   manifest    %s, %s, %s, tags %s", short(m.Digest), size(m.Size), m.MediaType, strings.Join(m.Tags, " "))
	}
	return nil
}

func (t *tour) lock(ctx context.Context) error {
	tag := t.repo.Artifact(firstTag)
	locked, err := tag.UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(false), WriteEnabled: new(false)})
	if err != nil {
		return err
	}
	t.say("   %s: delete %s, write %s", locked.Name, enabled(locked.Attributes.DeleteEnabled), enabled(locked.Attributes.WriteEnabled))
	err = tag.DeleteTag(ctx)
	if !errors.Is(err, acr.ErrLocked) {
		return fmt.Errorf("the delete of a locked tag was not refused as locked: %w", err)
	}
	t.say("   the delete was refused, and errors.Is(err, acr.ErrLocked) says why:")
	t.say("%s", wrap(err.Error(), "     ", 100))
	return nil
}

func (t *tour) unlock(ctx context.Context) error {
	open, err := t.repo.Artifact(firstTag).UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true), WriteEnabled: new(true)})
	if err != nil {
		return err
	}
	t.say("   %s: delete %s, write %s", open.Name, enabled(open.Attributes.DeleteEnabled), enabled(open.Attributes.WriteEnabled))
	return nil
}

func (t *tour) retag(ctx context.Context) error {
	d, err := t.repo.Tag(ctx, firstTag, secondTag, nil)
	if err != nil {
		return err
	}
	t.say("   %s -> %s: a manifest was sent, no layer", secondTag, short(d.Digest))
	return nil
}

func (t *tour) pull(ctx context.Context) error {
	m, err := t.repo.GetManifest(ctx, secondTag)
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(m.Content, &manifest); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(t.scratch, "pulled-")
	if err != nil {
		return err
	}
	for _, l := range manifest.Layers {
		if err := t.pullLayer(ctx, l, fresh); err != nil {
			return err
		}
	}
	n, err := compare(t.files, fresh)
	if err != nil {
		return err
	}
	t.say("   %s, %s: every one identical to what was packed", count(len(t.files), "file"), size(n))
	return nil
}

func (t *tour) pullLayer(ctx context.Context, l ocispec.Descriptor, dir string) error {
	title := l.Annotations[ocispec.AnnotationTitle]
	target := filepath.Join(dir, filepath.FromSlash(title))
	if l.MediaType == mediaTypePacked {
		target = filepath.Join(t.scratch, "pulled.tar")
	} else if !filepath.IsLocal(filepath.FromSlash(title)) {
		return fmt.Errorf("layer title %q leads out of the directory", title)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	line := newProgress(t.w, title, t.column, l.Size)
	_, err := t.repo.DownloadBlobFile(ctx, l.Digest, target, &acr.DownloadFileOptions{
		Size:     l.Size,
		Progress: func(p acr.Progress) { line.show(p.Offset) },
	})
	if err != nil {
		return err
	}
	line.done("digest verified")
	if l.MediaType == mediaTypePacked {
		return unpack(target, dir)
	}
	return nil
}

func (t *tour) delete(ctx context.Context) error {
	if err := t.repo.Artifact(secondTag).DeleteTag(ctx); err != nil {
		return err
	}
	t.say("   tag %s", secondTag)
	if err := t.repo.Artifact(t.manifest.Digest.String()).Delete(ctx); err != nil {
		return err
	}
	t.say("   manifest %s, and with it tag %s", short(t.manifest.Digest), firstTag)
	if _, err := t.repo.Delete(ctx); err != nil && !errors.Is(err, acr.ErrNotFound) {
		return err
	}
	t.say("   repository %s", t.repo.Name())
	_, err := t.repo.Properties(ctx)
	if !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("the repository is still there: %w", err)
	}
	t.say("   nothing is left: the registry answers %v", errorCode(err))
	t.pushed = false
	return nil
}

// abandon deletes what a tour that broke off has left behind, as far as it can be.
func (t *tour) abandon(ctx context.Context) {
	if !t.pushed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	_, _ = t.repo.Artifact(firstTag).UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true), WriteEnabled: new(true)})
	for _, r := range []*acr.Repository{t.repo, t.copied} {
		if _, err := r.Delete(ctx); err != nil && !errors.Is(err, acr.ErrNotFound) {
			t.say("\nThe repository %s could not be deleted: %v", r.Name(), err)
		}
	}
}

func errorCode(err error) string {
	if e, ok := errors.AsType[*acr.Error](err); ok {
		return fmt.Sprintf("%d %s", e.StatusCode, e.Code)
	}
	return err.Error()
}

func short(d digest.Digest) string { return d.String()[:min(len(d), len("sha256:")+12)] }

func enabled(b bool) string {
	if b {
		return "enabled"
	}
	return "disabled"
}

// wrap breaks a text into indented lines of at most width characters, as far as its words allow.
func wrap(text, indent string, width int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > width {
			lines = append(lines, indent+line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, indent+line), "\n")
}
