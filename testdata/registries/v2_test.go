package registries_test

import (
	"bytes"
	"context"
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
	if stat, err := r.HeadBlob(ctx, d); err != nil || stat.Size != int64(len(content)) {
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
	if _, err := r.DownloadBlobFile(ctx, d, file, &acr.DownloadFileOptions{Concurrency: 3, PartSize: 1 << 20}); err != nil {
		return err
	}
	if got, err = os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("downloaded %d bytes of %d: %w", len(got), len(content), err)
	}
	return nil
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

func want(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return fmt.Errorf("got %w, want %w", err, target)
}
