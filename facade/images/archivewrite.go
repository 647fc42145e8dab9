package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WriteArchive writes images of a source to w as one tar archive of an OCI layout. OpenArchive and
// Push read it, and so do "skopeo copy oci-archive:", containerd and regclient. It has every
// manifest and blob once. The archive has no times and no owners, so the same images always give
// the same bytes.
//
// The name of an image in the archive is its tag; an image that is given by digest has no name.
// opts may set Platforms, KeepIndex, Referrers, AllTags, Foreign and Concurrency.
//
// Nothing is written to disk. While one blob is written, the next small blobs are read ahead, at
// most 16 MB. If WriteArchive fails, the archive in w is incomplete.
//
// Errors:
//   - [acr.ErrInvalidArgument] if there is no reference, w is nil, or a reference or an option is
//     invalid
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
	if isNil(w) {
		return refuse("w", "it is nil")
	}
	if len(references) == 0 {
		return refuse("references", "an archive needs at least one")
	}
	for _, reference := range references { // all of them, before anything is sent for the first
		if _, err := newJob(from, reference, nowhere{}, "", &o); err != nil {
			return err
		}
	}
	ctx, release := pin(ctx, from, nil)
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
	if err := j.checkBlobs(ctx); err != nil {
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
