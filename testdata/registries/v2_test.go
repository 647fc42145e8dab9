package registries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// registries are who is asked, and what each of them is known not to do, by the name of the check, with the reason. A
// difference that is no longer one fails too.
var registries = []struct {
	name    string
	start   func(*testing.T) dialer
	differs map[string]string
}{
	{name: "emulator", start: startEmulator},
	{name: "distribution v3", start: startDistribution},
	{name: "Debian docker-registry", start: startDebian, differs: map[string]string{
		"tags by pages": "2.8 lists tags in no order and knows no pages of them",
	}},
}

type check struct {
	name string
	do   func(context.Context, *env) error
}

// checks each use a repository of their own.
var checks = []check{
	{"ping", func(ctx context.Context, e *env) error { return e.client.Ping(ctx) }},
	{"a small blob", func(ctx context.Context, e *env) error { return e.roundTrip(ctx, 1000, nil) }},
	{"an empty blob", func(ctx context.Context, e *env) error { return e.roundTrip(ctx, 0, nil) }},
	{"a blob in chunks, from a file", func(ctx context.Context, e *env) error {
		return e.roundTrip(ctx, 5<<20+1, &acr.UploadOptions{ChunkSize: 1 << 20})
	}},
	{"a blob in chunks, from a stream", uploadStream},
	{"a blob that is there is not sent again", uploadTwice},
	{"an upload goes on in another client", resumeUpload},
	{"a cancelled upload is gone", cancelUpload},
	{"a blob with another digest is refused", uploadWrongDigest},
	{"a blob that is not there", unknownBlob},
	{"a range of a blob", blobRange},
	{"a mounted blob", mountBlob},
	{"a deleted blob", deleteBlob},
	{"a manifest by tag and digest", manifestRoundTrip},
	{"an index", indexRoundTrip},
	{"a manifest that is not there", unknownManifest},
	{"a manifest whose blobs are missing", missingBlobs},
	{"a deleted manifest", deleteManifest},
	{"tags by pages", tagNames},
	{"repositories by pages", repositoryNames},
	{"referrers", referrers},
}

func TestV2(t *testing.T) {
	t.Parallel()
	all := slices.Concat(checks, moreChecks, brokenLines)
	for _, registry := range registries {
		t.Run(registry.name, func(t *testing.T) {
			t.Parallel()
			dial := registry.start(t)
			agreed := 0
			for i, check := range all {
				e := &env{dial: func(wrap wrapper) *acr.Client { return dial(t, wrap) }, dir: t.TempDir(), name: fmt.Sprintf("checks/n%02d", i)}
				e.client, e.other = dial(t, nil), dial(t, nil)
				e.repository = e.client.Repository(e.name)
				err := check.do(t.Context(), e)
				reason, known := registry.differs[check.name]
				switch {
				case known && err == nil:
					t.Errorf("%s: no longer differs (%s)", check.name, reason)
				case known:
					fmt.Fprintf(os.Stdout, "registries: %s: %s: differs, as is known: %s\n", registry.name, check.name, reason)
				case err != nil:
					t.Errorf("%s: %v", check.name, err)
				default:
					agreed++
				}
			}
			fmt.Fprintf(os.Stdout, "registries: %s: %d of %d checks pass, %d differ with a reason\n", registry.name, agreed, len(all), len(registry.differs))
		})
	}
}

// env is what a check works with.
type env struct {
	client, other *acr.Client
	dial          func(wrapper) *acr.Client
	repository    *acr.Repository
	name, dir     string
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// stream hides that a reader can do more than read.
type stream struct{ io.Reader }

func (e *env) roundTrip(ctx context.Context, n int, opts *acr.UploadOptions) error {
	content := noise(n)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), opts)
	if err != nil {
		return err
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

// holds demands that a repository has exactly this blob, in each way that it can be read.
func (e *env) holds(ctx context.Context, r *acr.Repository, d digest.Digest, content []byte) error {
	if want := digest.FromBytes(content); d != want {
		return fmt.Errorf("digest %s, want %s", d, want)
	}
	if stat, err := r.StatBlob(ctx, d); err != nil || stat.Size != int64(len(content)) {
		return fmt.Errorf("stat: %d bytes, want %d: %w", stat.Size, len(content), err)
	}
	blob, err := r.GetBlob(ctx, d, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(blob)
	if err := errors.Join(err, blob.Close()); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("read %d bytes of %d: %w", len(got), len(content), err)
	}
	file := filepath.Join(e.dir, "blob")
	if _, err := r.DownloadBlobFile(ctx, d, file, &acr.DownloadOptions{Concurrency: 3, PartSize: 1 << 20}); err != nil {
		return err
	}
	if got, err = os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("downloaded %d bytes of %d: %w", len(got), len(content), err)
	}
	return nil
}

func uploadStream(ctx context.Context, e *env) error {
	content := noise(5<<20 + 1)
	d, err := e.repository.UploadBlob(ctx, stream{bytes.NewReader(content)}, &acr.UploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		return err
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

func uploadTwice(ctx context.Context, e *env) error {
	content := noise(3 << 20)
	opts := &acr.UploadOptions{Digest: digest.FromBytes(content)}
	if _, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), opts); err != nil {
		return err
	}
	var last acr.Progress
	opts.Progress = func(p acr.Progress) { last = p }
	if _, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), opts); err != nil {
		return err
	}
	if !last.Skipped || last.Sent != 0 {
		return fmt.Errorf("%d bytes were sent again", last.Sent)
	}
	return nil
}

func resumeUpload(ctx context.Context, e *env) error {
	content := noise(3 << 20)
	acknowledged := make(chan acr.Checkpoint, 3)
	w, err := e.repository.StartUpload(ctx, &acr.UploadOptions{ChunkSize: 1 << 20, Checkpoint: func(cp acr.Checkpoint) { acknowledged <- cp }})
	if err != nil {
		return err
	}
	if _, err := w.Write(content[:1<<20+1]); err != nil { // a chunk, and a byte that stays with the writer
		return err
	}
	cp := <-acknowledged
	if cp.Offset != 1<<20 {
		return fmt.Errorf("a checkpoint at %d, want %d", cp.Offset, 1<<20)
	}
	resumed, err := e.other.Repository(e.name).ResumeUpload(ctx, cp, nil)
	if err != nil {
		return err
	}
	if _, err := resumed.Write(content[resumed.Offset():]); err != nil {
		return err
	}
	d, err := resumed.Commit()
	if err != nil {
		return err
	}
	_ = w.Cancel()
	return e.holds(ctx, e.repository, d.Digest, content)
}

func cancelUpload(ctx context.Context, e *env) error {
	w, err := e.repository.StartUpload(ctx, &acr.UploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		return err
	}
	if _, err := w.Write(noise(1 << 20)); err != nil {
		return err
	}
	cp, err := w.Checkpoint()
	if err != nil {
		return err
	}
	if err := w.Cancel(); err != nil {
		return err
	}
	_, err = e.repository.ResumeUpload(ctx, cp, nil)
	return want(err, acr.ErrUploadLost)
}

func uploadWrongDigest(ctx context.Context, e *env) error {
	_, err := e.repository.UploadBlob(ctx, strings.NewReader("one"), &acr.UploadOptions{Digest: digest.FromString("another"), TrustDigest: true})
	if errors.Is(err, acr.ErrDigestMismatch) { // found here, before the registry had to
		return nil
	}
	return want(err, acr.ErrDigestInvalid)
}

func unknownBlob(ctx context.Context, e *env) error {
	if _, err := e.repository.UploadBlob(ctx, strings.NewReader("something"), nil); err != nil {
		return err
	}
	if _, err := e.repository.StatBlob(ctx, digest.FromString("nothing")); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("stat: got %w", err)
	}
	_, err := e.repository.GetBlob(ctx, digest.FromString("nothing"), nil)
	return want(err, acr.ErrBlobUnknown)
}

func blobRange(ctx context.Context, e *env) error {
	content := noise(100_000)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	r, err := e.repository.GetBlobRange(ctx, d.Digest, 1000, 500)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content[1000:1500]) {
		return fmt.Errorf("%d bytes: %w", len(got), err)
	}
	return nil
}

func mountBlob(ctx context.Context, e *env) error {
	content := noise(1000)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	target := e.client.Repository(e.name + "/mounted")
	if _, err := target.MountBlob(ctx, d.Digest, e.name); err != nil {
		return err
	}
	return e.holds(ctx, target, d.Digest, content)
}

func deleteBlob(ctx context.Context, e *env) error {
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(noise(10)), nil)
	if err != nil {
		return err
	}
	if err := e.repository.DeleteBlob(ctx, d.Digest); err != nil {
		return err
	}
	_, err = e.repository.GetBlob(ctx, d.Digest, nil)
	return want(err, acr.ErrNotFound)
}

// image uploads a config and a layer and gives the manifest that names them.
func (e *env) image(ctx context.Context, architecture string, subject *ocispec.Descriptor) ([]byte, error) {
	config, err := e.repository.UploadBlob(ctx, strings.NewReader(fmt.Sprintf(`{"os":"linux","architecture":%q}`, architecture)),
		&acr.UploadOptions{MediaType: ocispec.MediaTypeImageConfig})
	if err != nil {
		return nil, err
	}
	layer, err := e.repository.UploadBlob(ctx, strings.NewReader("layer for "+architecture), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageLayer})
	if err != nil {
		return nil, err
	}
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer}, Subject: subject,
	})
}

// put stores the manifest of an image.
func (e *env) put(ctx context.Context, reference, architecture string, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte, error) {
	raw, err := e.image(ctx, architecture, subject)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	d, err := e.repository.PutManifest(ctx, reference, raw, nil)
	return d, raw, err
}

func (e *env) served(ctx context.Context, reference string, d ocispec.Descriptor, raw []byte) error {
	head, err := e.repository.HeadManifest(ctx, reference)
	if err != nil || head.Digest != d.Digest || head.Size != int64(len(raw)) || head.MediaType != d.MediaType {
		return fmt.Errorf("head of %s: %+v: %w", reference, head, err)
	}
	m, err := e.repository.GetManifest(ctx, reference)
	if err != nil || !bytes.Equal(m.Content, raw) || m.Descriptor.Digest != d.Digest {
		return fmt.Errorf("get of %s: %w", reference, err)
	}
	return nil
}

func manifestRoundTrip(ctx context.Context, e *env) error {
	d, raw, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	return errors.Join(e.served(ctx, "v1", d, raw), e.served(ctx, d.Digest.String(), d, raw))
}

func indexRoundTrip(ctx context.Context, e *env) error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		d, _, err := e.put(ctx, "", architecture, nil)
		if err != nil {
			return err
		}
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	d, err := e.repository.PutManifest(ctx, "v1", raw, nil)
	if err != nil {
		return err
	}
	return e.served(ctx, "v1", d, raw)
}

func unknownManifest(ctx context.Context, e *env) error {
	if _, _, err := e.put(ctx, "v1", "amd64", nil); err != nil {
		return err
	}
	if _, err := e.repository.HeadManifest(ctx, "nothing"); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("head: got %w", err)
	}
	_, err := e.repository.GetManifest(ctx, "nothing")
	return want(err, acr.ErrManifestUnknown)
}

func missingBlobs(ctx context.Context, e *env) error {
	raw, err := e.image(ctx, "amd64", nil)
	if err != nil {
		return err
	}
	raw = bytes.ReplaceAll(raw, []byte(digest.FromString("layer for amd64")), []byte(digest.FromString("no layer")))
	_, err = e.repository.PutManifest(ctx, "v1", raw, nil)
	return want(err, acr.ErrManifestBlobUnknown)
}

func deleteManifest(ctx context.Context, e *env) error {
	d, _, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	if err := e.repository.DeleteManifest(ctx, d.Digest); err != nil {
		return err
	}
	if _, err := e.repository.GetManifest(ctx, "v1"); !errors.Is(err, acr.ErrNotFound) {
		return fmt.Errorf("by tag: got %w", err)
	}
	_, err = e.repository.GetManifest(ctx, d.Digest.String())
	return want(err, acr.ErrNotFound)
}

func tagNames(ctx context.Context, e *env) error {
	tags := []string{"a", "b", "c", "d", "e"}
	for _, tag := range tags {
		if _, _, err := e.put(ctx, tag, "amd64", nil); err != nil {
			return err
		}
	}
	for size := range 6 {
		if got, err := acr.Collect(e.repository.TagNames(ctx, &acr.ListOptions{PageSize: size})); err != nil || !slices.Equal(got, tags) {
			return fmt.Errorf("in pages of %d: %q: %w", size, got, err)
		}
	}
	if got, err := acr.Collect(e.repository.TagNames(ctx, &acr.ListOptions{After: "c"})); err != nil || !slices.Equal(got, tags[3:]) {
		return fmt.Errorf("after c: %q: %w", got, err)
	}
	return nil
}

func repositoryNames(ctx context.Context, e *env) error {
	for _, sub := range []string{"", "/a", "/b"} {
		e.repository = e.client.Repository(e.name + sub)
		if _, _, err := e.put(ctx, "v1", "amd64", nil); err != nil {
			return err
		}
	}
	for _, size := range []int{0, 1, 2, 3} {
		var got []string
		for name, err := range e.client.RepositoryNames(ctx, &acr.ListOptions{PageSize: size}) {
			if err != nil {
				return fmt.Errorf("in pages of %d: %w", size, err)
			}
			if strings.HasPrefix(name, e.name) {
				got = append(got, name)
			}
		}
		if want := []string{e.name, e.name + "/a", e.name + "/b"}; !slices.Equal(got, want) {
			return fmt.Errorf("in pages of %d: %q, want %q", size, got, want)
		}
	}
	return nil
}

func referrers(ctx context.Context, e *env) error {
	subject, _, err := e.put(ctx, "v1", "amd64", nil)
	if err != nil {
		return err
	}
	referrer, _, err := e.put(ctx, "", "arm64", &subject)
	if err != nil {
		return err
	}
	found, err := acr.Collect(e.repository.Referrers(ctx, subject.Digest, nil))
	if err != nil || len(found) != 1 || found[0].Digest != referrer.Digest {
		return fmt.Errorf("%v: %w", found, err)
	}
	return nil
}

func want(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return fmt.Errorf("got %w, want %w", err, target)
}
