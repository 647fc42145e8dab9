package images_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// bigLayer is the size of TestBigLayer's layer. "go test -run TestBigLayer -v ./facade/images -images.big=10240" takes some
// minutes and 40 GiB of disk.
var bigLayer = flag.Int64("images.big", 160, "MiB of the layer that TestBigLayer copies")

// mostMemory is what no copy may need more of, whatever the size of its layers.
const mostMemory = 96 << 20

// A layer of any size is pushed, pulled, copied to another registry and to an archive, and pushed from there, within the same
// memory. Each is done by a process of its own, which has none of the emulator's memory. What arrives is what went in: the
// emulator accepts no blob of another digest.
func TestBigLayer(t *testing.T) { //nolint:paralleltest // it needs the disk to itself
	if raceDetector {
		t.Skip("the race detector needs memory of its own")
	}
	one := acrtest.New(t, acrtest.WithDirectory(t.TempDir()))
	two := acrtest.New(t, acrtest.WithDirectory(t.TempDir()))
	work := t.TempDir()
	in, out, archive := filepath.Join(work, "in"), filepath.Join(work, "out"), filepath.Join(work, "image.tar")
	root := writeBigLayout(t, in, *bigLayer<<20)
	for _, task := range []bigTask{
		{Do: "push", Path: in, To: placeIn(one, "team/app")},
		{Do: "pull", From: placeIn(one, "team/app"), Path: out},
		{Do: "push", Path: out, To: placeIn(two, "from/directory")},
		{Do: "copy", From: placeIn(one, "team/app"), To: placeIn(two, "from/registry")},
		{Do: "archive", From: placeIn(one, "team/app"), Path: archive},
		{Do: "push", Path: archive, To: placeIn(two, "from/archive")},
	} {
		r := task.run(t, one, two)
		t.Logf("%-7s of %d MiB: %.1f s, %.1f MB of memory", task.Do, *bigLayer, r.Took.Seconds(), float64(r.Memory)/1e6)
		if r.Memory > mostMemory {
			t.Errorf("%s took %d bytes of memory, %d are allowed", task.Do, r.Memory, mostMemory)
		}
		if task.Do != "push" {
			continue
		}
		if d, err := newClient(t, task.To.server).Repository(task.To.Repository).HeadManifest(t.Context(), "v1"); err != nil || d.Digest != root {
			t.Errorf("%s: %v, %v", task.To.Repository, d, err)
		}
		if err := os.RemoveAll(task.Path); err != nil { // for the space
			t.Error(err)
		}
	}
}

// bigTask is what a process of its own does.
type bigTask struct {
	Do       string
	From, To bigPlace
	Path     string
}

// bigPlace is a repository of an emulator of the parent.
type bigPlace struct {
	Endpoint, User, Password, Repository string

	server *acrtest.Server
}

func placeIn(srv *acrtest.Server, repository string) bigPlace {
	user, password := srv.Admin()
	return bigPlace{srv.Endpoint(), user, password, repository, srv}
}

// bigResult is what a process of its own says.
type bigResult struct {
	Took   time.Duration
	Memory int64 // 0 where the system does not tell
	Err    string
}

// run does the task in a process of its own.
func (b bigTask) run(t *testing.T, trusted ...*acrtest.Server) bigResult {
	t.Helper()
	var ca []byte
	for _, srv := range trusted {
		ca = append(ca, srv.CA()...)
	}
	pem := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, pem, ca)
	r := acrsuite.RunChild[bigResult](t, b, "SSL_CERT_FILE="+pem)
	if r.Err != "" {
		t.Fatalf("%s: %s", b.Do, r.Err)
	}
	return r
}

// doBigTask does the task of a process of its own.
func doBigTask(b bigTask) (r bigResult) {
	began := time.Now()
	if err := b.do(context.Background()); err != nil {
		r.Err = err.Error()
	}
	r.Took, r.Memory = time.Since(began), acrsuite.PeakMemory()
	return r
}

// repository is the repository, by the library's own transport.
func (p *bigPlace) repository() (*acr.Repository, error) {
	if p.Endpoint == "" {
		return nil, nil
	}
	host := strings.TrimPrefix(p.Endpoint, "https://")
	c, err := acr.NewClientWithPassword(p.Endpoint, p.User, p.Password, &acr.ClientOptions{AllowedHosts: []string{host}})
	if err != nil {
		return nil, err
	}
	return c.Repository(p.Repository), nil
}

func (b *bigTask) do(ctx context.Context) error {
	from, fromErr := b.From.repository()
	to, toErr := b.To.repository()
	err := errors.Join(fromErr, toErr)
	if err != nil {
		return err
	}
	switch b.Do {
	case "push":
		_, err = images.Push(ctx, b.Path, "v1", to, "v1", nil)
	case "pull":
		_, err = images.Pull(ctx, from, "v1", b.Path, nil)
	case "copy":
		_, err = images.Copy(ctx, images.Of(from), "v1", images.Of(to), "v1", nil)
	case "archive":
		var f *os.File
		if f, err = os.Create(b.Path); err != nil {
			return err
		}
		err = errors.Join(images.WriteArchive(ctx, f, images.Of(from), []string{"v1"}, nil), f.Close())
	}
	return err
}

// writeBigLayout writes a layout with an image of one very large layer, some large ones, and many of a size that is kept in
// memory while it is sent.
func writeBigLayout(t *testing.T, dir string, size int64) digest.Digest {
	t.Helper()
	s := newStock(t)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{writeLayer(t, dir, "0", size)},
	}
	for i := range 4 {
		m.Layers = append(m.Layers, writeLayer(t, dir, fmt.Sprint("large ", i), 48<<20))
	}
	for i := range 40 {
		m.Layers = append(m.Layers, writeLayer(t, dir, fmt.Sprint("small ", i), 2<<20))
	}
	root := s.json(ocispec.MediaTypeImageManifest, m)
	s.name(root, "v1")
	for name, content := range s.files() {
		writeFile(t, filepath.Join(dir, name), content)
	}
	return root.Digest
}

// writeLayer writes a layer that begins with a text, as a sparse file.
func writeLayer(t *testing.T, dir, text string, size int64) ocispec.Descriptor {
	t.Helper()
	hash := sha256.New()
	_, _ = hash.Write([]byte(text))
	if _, err := io.CopyN(hash, zeros{}, size-int64(len(text))); err != nil {
		t.Fatal(err)
	}
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.NewDigest(digest.SHA256, hash), Size: size}
	name := filepath.Join(dir, ocispec.ImageBlobsDir, "sha256", layer.Digest.Encoded())
	writeFile(t, name, []byte(text))
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return layer
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
