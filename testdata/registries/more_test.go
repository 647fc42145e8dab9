package registries_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// moreChecks are about options, and about what must not be there.
var moreChecks = []check{
	{"a blob of one chunk to the byte", func(ctx context.Context, e *env) error {
		return e.roundTrip(ctx, 2<<20, &acr.UploadOptions{ChunkSize: 1 << 20})
	}},
	{"a blob known by sha512", uploadSHA512},
	{"a blob mounted on the way", uploadMountFrom},
	{"a mount of what is not there", mountNothing},
	{"an upload that goes on by option", resumeByOption},
	{"a writer that is read from", readFrom},
	{"a blob read at offsets", readAt},
	{"a blob into memory, in parallel", downloadParallel},
	{"the same blob by many at once", manyAtOnce},
	{"a deletion of what is not there", deleteNothing},
	{"a second tag", secondTag},
	{"a manifest under another digest", manifestWrongDigest},
	{"a manifest of Docker's type", dockerManifest},
	{"referrers of a type", referrersOfType},
}

func uploadSHA512(ctx context.Context, e *env) error {
	content := noise(100_000)
	d := digest.SHA512.FromBytes(content)
	if _, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{Digest: d}); err != nil {
		return err
	}
	blob, err := e.repository.GetBlob(ctx, d, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(blob)
	if err := errors.Join(err, blob.Close()); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("read %d bytes of %d: %w", len(got), len(content), err)
	}
	return nil
}

func uploadMountFrom(ctx context.Context, e *env) error {
	content := noise(100_000)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	var last acr.Progress
	target := e.client.Repository(e.name + "/target")
	if _, err := target.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{
		Digest: d.Digest, MountFrom: []string{e.name + "/nowhere", e.name}, Progress: func(p acr.Progress) { last = p },
	}); err != nil {
		return err
	}
	if !last.Mounted || last.Sent != 0 {
		return fmt.Errorf("%d bytes were sent, mounted: %v", last.Sent, last.Mounted)
	}
	return e.holds(ctx, target, d.Digest, content)
}

func mountNothing(ctx context.Context, e *env) error {
	_, err := e.repository.MountBlob(ctx, digest.FromString("nothing"), e.name+"/nowhere")
	return want(err, acr.ErrNotMounted)
}

// resumeByOption leaves an UploadBlob at its fourth chunk, and goes on with what its checkpoint said.
func resumeByOption(ctx context.Context, e *env) error {
	content := noise(6 << 20)
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	l := &line{method: http.MethodPatch, nth: 4, refuse: true, then: leave}
	var cp acr.Checkpoint
	opts := &acr.UploadOptions{ChunkSize: 1 << 20, Checkpoint: func(c acr.Checkpoint) { cp = c }}
	_, err := e.over(l).UploadBlob(leaving, bytes.NewReader(content), opts)
	if err := errors.Join(want(err, context.Canceled), l.broke()); err != nil || cp.Offset == 0 {
		return fmt.Errorf("left at %d: %w", cp.Offset, err)
	}
	counted := &line{method: http.MethodPatch, nth: -1}
	d, err := e.over(counted).UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 1 << 20, Resume: &cp})
	if err != nil {
		return err
	}
	if sent := counted.seen.Load(); sent > 5 {
		return fmt.Errorf("%d chunks were sent after the checkpoint at %d", sent, cp.Offset)
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

func readFrom(ctx context.Context, e *env) error {
	content := noise(2<<20 + 7)
	w, err := e.repository.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		return err
	}
	if n, err := io.Copy(w, stream{bytes.NewReader(content)}); err != nil || n != int64(len(content)) {
		return fmt.Errorf("copied %d bytes: %w", n, err)
	}
	d, err := w.Commit()
	if err != nil {
		return err
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

func readAt(ctx context.Context, e *env) error {
	content := noise(6 << 20)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	r, err := e.repository.BlobReaderAt(ctx, d.Digest)
	if err != nil {
		return err
	}
	if r.Size() != d.Size {
		return fmt.Errorf("size %d, want %d", r.Size(), d.Size)
	}
	for _, at := range []int64{5 << 20, 0, 4<<20 - 3, d.Size - 5} {
		got := make([]byte, 5)
		if _, err := r.ReadAt(got, at); err != nil || !bytes.Equal(got, content[at:at+5]) {
			return fmt.Errorf("at %d: %w", at, err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 5), d.Size-2); n != 2 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("past the end: %d bytes, %w", n, err)
	}
	return nil
}

// memory is an io.WriterAt.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if end := off + int64(len(p)); end > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, end-int64(len(m.b)))...)
	}
	return copy(m.b[off:], p), nil
}

func downloadParallel(ctx context.Context, e *env) error {
	content := noise(9<<20 + 11)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	for _, opts := range []*acr.DownloadOptions{nil, {Concurrency: 1}, {Concurrency: 8, PartSize: 1 << 20, Size: d.Size}} {
		m := &memory{}
		if _, err := e.repository.DownloadBlob(ctx, d.Digest, m, opts); err != nil || !bytes.Equal(m.b, content) {
			return fmt.Errorf("%+v: %d bytes of %d: %w", opts, len(m.b), len(content), err)
		}
	}
	return nil
}

func manyAtOnce(ctx context.Context, e *env) error {
	content := noise(1 << 20)
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 256 << 10})
			if err == nil {
				_, err = e.repository.DownloadBlob(ctx, d.Digest, &memory{}, nil)
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func deleteNothing(ctx context.Context, e *env) error {
	if _, _, err := e.put(ctx, "v1", "amd64", nil); err != nil {
		return err
	}
	if err := e.repository.DeleteManifest(ctx, digest.FromString("nothing")); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("manifest: got %w, want ErrNotFound", err)
	}
	return want(e.repository.DeleteBlob(ctx, digest.FromString("nothing")), acr.ErrNotFound)
}

func secondTag(ctx context.Context, e *env) error {
	d, raw, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	if _, err := e.repository.Tag(ctx, "v1", "v2", nil); err != nil {
		return err
	}
	other, _, err := e.put(ctx, "v3", "arm64", nil)
	if err != nil {
		return err
	}
	if _, err := e.repository.Tag(ctx, other.Digest.String(), "v2", &acr.TagOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) {
		return fmt.Errorf("a tag that is taken: got %w", err)
	}
	return e.served(ctx, "v2", d, raw)
}

func manifestWrongDigest(ctx context.Context, e *env) error {
	raw, err := e.image(ctx, "amd64", nil)
	if err != nil {
		return err
	}
	_, err = e.repository.PutManifest(ctx, digest.FromString("another").String(), raw, nil)
	return want(err, acr.ErrDigestMismatch)
}

func dockerManifest(ctx context.Context, e *env) error {
	const dockerType = "application/vnd.docker.distribution.manifest.v2+json"
	raw, err := e.image(ctx, "amd64", nil)
	if err != nil {
		return err
	}
	text := strings.NewReplacer(
		ocispec.MediaTypeImageManifest, dockerType,
		ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json",
		ocispec.MediaTypeImageLayer, "application/vnd.docker.image.rootfs.diff.tar",
	).Replace(string(raw))
	d, err := e.repository.PutManifest(ctx, "v1", []byte(text), nil)
	if err != nil {
		return err
	}
	if d.MediaType != dockerType {
		return fmt.Errorf("media type %s", d.MediaType)
	}
	return e.served(ctx, "v1", d, []byte(text))
}

func referrersOfType(ctx context.Context, e *env) error {
	subject, _, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	for _, architecture := range []string{"arm64", "riscv64"} {
		if _, _, err := e.put(ctx, "", architecture, &subject); err != nil {
			return err
		}
	}
	for artifactType, n := range map[string]int{"": 2, ocispec.MediaTypeImageConfig: 2, "application/vnd.other": 0} {
		found, err := acr.Collect(e.repository.Referrers(ctx, subject.Digest, &acr.ReferrersOptions{ArtifactType: artifactType}))
		if err != nil || len(found) != n {
			return fmt.Errorf("of type %q: %d, want %d: %w", artifactType, len(found), n, err)
		}
	}
	none, err := acr.Collect(e.repository.Referrers(ctx, digest.FromString("nothing"), nil))
	if err != nil || len(none) != 0 {
		return fmt.Errorf("of what is not there: %v: %w", none, err)
	}
	return nil
}
