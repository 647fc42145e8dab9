package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// WriteArchive writes images of a source to w as one tar archive of an OCI layout. OpenArchive and
// Push read it, and so do "skopeo copy oci-archive:", containerd and regclient. Every manifest and
// blob is in it once. The same images always make the same bytes: the archive holds neither times
// nor owners.
//
// Each image gets the name of its reference: the tag, or none for a digest. Of opts, the choices of
// what is copied count: Platforms, KeepIndex, Referrers, AllTags, Foreign and Concurrency.
//
// Nothing is written to disk. The next small blobs are read while one is written, at most 16 MB of
// them. If it fails, what was written to w is not a complete archive.
//
// Errors:
//   - an error of [Copy] if the source cannot be read
//   - the error of w if writing to it fails
func WriteArchive(ctx context.Context, w io.Writer, from Source, references []string, opts *CopyOptions) error {
	var o CopyOptions
	if opts != nil {
		o = *opts
	}
	if o.IfAbsent || o.Protect != nil || len(o.MountFrom) > 0 {
		return refuse("CopyOptions", "an archive takes neither IfAbsent nor Protect nor MountFrom")
	}
	if w == nil {
		return refuse("w", "it is nil")
	}
	if len(references) == 0 {
		return refuse("references", "an archive needs at least one")
	}
	ctx, release := pin(ctx, from)
	defer release()
	a := &archiveWriter{w: tar.NewWriter(w), index: newLayoutIndex(), content: map[digest.Digest]archived{}}
	for _, reference := range references {
		if err := a.add(ctx, from, reference, &o); err != nil {
			return err
		}
	}
	return a.write(ctx)
}

// archiveWriter writes an archive.
type archiveWriter struct {
	w       *tar.Writer
	index   *layoutIndex
	content map[digest.Digest]archived
	job     *job // any of them: it opens blobs
}

// archived is a manifest, which is held, or a blob.
type archived struct {
	manifest []byte
	blob     *blobNode
}

// add reads the manifests of an image.
func (a *archiveWriter) add(ctx context.Context, from Source, reference string, o *CopyOptions) error {
	j, err := newJob(from, reference, nowhere{}, "", o)
	if err != nil {
		return err
	}
	if err := j.read(ctx); err != nil {
		return err
	}
	a.job = j
	if _, notDigest := parseDigest(j.reference); notDigest != nil {
		j.tag = j.reference
	}
	if j.tags, err = j.tagNames(ctx); err != nil {
		return err
	}
	for _, b := range j.blobs {
		if err := checkDigest(b.descriptor.Digest); err != nil {
			return j.fault(FromSource, b.role, b.descriptor, fmt.Errorf("%w: %w", acr.ErrManifestMalformed, err))
		}
		a.content[b.descriptor.Digest] = archived{blob: b}
	}
	for _, m := range j.manifests {
		a.content[m.Descriptor.Digest] = archived{manifest: m.Content}
	}
	j.enter(a.index)
	return nil
}

// write writes the files, those first that say what the archive is.
func (a *archiveWriter) write(ctx context.Context) error {
	marker, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	index, err := a.index.bytes()
	if err != nil {
		return err
	}
	err = errors.Join(a.file(ocispec.ImageLayoutFile, marker), a.file(ocispec.ImageIndexFile, index))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ahead := a.readAhead(ctx)
	defer ahead.close(cancel)
	for f := range ahead.files {
		if err := a.blob(f); err != nil {
			return err
		}
		ahead.release(f)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := a.w.Close(); err != nil {
		return fmt.Errorf("images: archive: %w", err)
	}
	return nil
}

// header begins a file. The format is the oldest that can hold it.
func (a *archiveWriter) header(name string, size int64) error {
	if err := a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return fmt.Errorf("images: archive: %w", err)
	}
	return nil
}

func (a *archiveWriter) file(name string, content []byte) error {
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	if _, err := a.w.Write(content); err != nil {
		return fmt.Errorf("images: archive: %w", err)
	}
	return nil
}

// blob writes a manifest or blob.
func (a *archiveWriter) blob(f *fileAhead) error {
	if f.loaded != nil {
		<-f.loaded
	}
	if f.err != nil {
		return a.job.fault(FromSource, f.role(), f.descriptor(), incomplete(f.err))
	}
	if f.content != nil {
		return a.file(blobPath(f.digest), f.content)
	}
	d := f.blob.descriptor
	if err := a.header(blobPath(d.Digest), d.Size); err != nil {
		return err
	}
	defer func() { _ = f.src.Close() }() // it was only read
	r := &verifyingReader{r: f.src, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest}
	_, err := io.CopyBuffer(struct{ io.Writer }{a.w}, r, make([]byte, 256<<10))
	switch {
	case err == nil:
		return nil
	case r.err != nil && !errors.Is(r.err, io.EOF):
		return a.job.fault(FromSource, f.role(), d, incomplete(r.err))
	}
	return fmt.Errorf("images: archive: %w", err)
}

// fileAhead is a file that is written soon.
type fileAhead struct {
	digest  digest.Digest
	content []byte        // of a manifest or small blob
	loaded  chan struct{} // closed when content or err is there; nil for what need not be waited for
	err     error
	blob    *blobNode
	src     blobSource // of a large blob
	tokens  int        // of ahead, that it holds
}

func (f *fileAhead) role() string {
	if f.blob == nil {
		return "manifest"
	}
	return f.blob.role
}

func (f *fileAhead) descriptor() ocispec.Descriptor {
	if f.blob == nil {
		return ocispec.Descriptor{Digest: f.digest}
	}
	return f.blob.descriptor
}

// load reads a small blob.
func (f *fileAhead) load() {
	defer close(f.loaded)
	d := f.blob.descriptor
	var b bytes.Buffer
	b.Grow(int(d.Size) + bytes.MinRead)
	_, err := b.ReadFrom(&verifyingReader{r: f.src, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest})
	f.content, f.err = b.Bytes(), errors.Join(err, f.src.Close())
	f.src = nil // which holds the content too
	if f.content == nil {
		f.content = []byte{}
	}
}

// ahead is the files in the order of their digests, the next ones already being read.
type ahead struct {
	files  chan *fileAhead
	memory chan struct{} // a token for each aheadUnit bytes that are held
}

// What is read ahead holds at most aheadUnits units in memory.
const (
	aheadUnit  = 64 << 10
	aheadUnits = 16 << 20 / aheadUnit
)

// readAhead reads small blobs some way ahead of the writer: each takes the source two round trips.
func (a *archiveWriter) readAhead(ctx context.Context) *ahead {
	digests := make([]digest.Digest, 0, len(a.content))
	for d := range a.content {
		digests = append(digests, d)
	}
	slices.Sort(digests)
	ah := &ahead{files: make(chan *fileAhead, a.job.Concurrency), memory: make(chan struct{}, aheadUnits)}
	go func() {
		defer close(ah.files)
		for _, d := range digests {
			c := a.content[d]
			f := &fileAhead{digest: d, content: c.manifest, blob: c.blob}
			if c.blob != nil {
				f.src = a.job.open(ctx, c.blob)
				if c.blob.descriptor.Size <= wholeBlob {
					if !ah.reserve(ctx, f) {
						return
					}
					f.loaded = make(chan struct{})
					go f.load()
				}
			}
			select {
			case ah.files <- f:
			case <-ctx.Done():
				if f.loaded != nil {
					<-f.loaded
				}
				return
			}
		}
	}()
	return ah
}

// reserve waits until there is memory for a file.
func (ah *ahead) reserve(ctx context.Context, f *fileAhead) bool {
	for need := int(f.blob.descriptor.Size/aheadUnit) + 1; f.tokens < need; f.tokens++ {
		select {
		case ah.memory <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// release gives back the memory of a file that was written.
func (ah *ahead) release(f *fileAhead) {
	f.content = nil
	for ; f.tokens > 0; f.tokens-- {
		<-ah.memory
	}
}

// close waits for what is being read.
func (ah *ahead) close(cancel context.CancelFunc) {
	cancel()
	for f := range ah.files {
		if f.loaded != nil {
			<-f.loaded
		}
	}
}
