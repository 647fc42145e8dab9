package images_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// whole is an image with everything that can belong to it: an index of two images and a nested index, referrers of the index, of an
// image and of a referrer, and a signature under cosign's tag.
func (s *stock) whole() (root ocispec.Descriptor, referrers []ocispec.Descriptor, cosign string) {
	s.t.Helper()
	amd, arm, riscv := s.image("amd64", "shared layer", "layer for amd64"), s.image("arm64", "shared layer", "layer for arm64"), s.image("riscv64", "layer for riscv64")
	root = s.index(amd, arm, s.index(riscv))
	sbom := s.referrer(root, "application/vnd.example.sbom", "sbom of the index")
	referrers = []ocispec.Descriptor{
		sbom, s.referrer(sbom, "application/vnd.example.signature", "signature of the sbom"),
		s.referrer(arm, "application/vnd.example.signature", "signature for arm64"),
		s.image("unknown", "what cosign signs"),
	}
	cosign = "sha256-" + root.Digest.Encoded() + ".sig"
	s.name(root, "v1")
	for _, r := range referrers[:3] {
		s.name(r, "")
	}
	s.name(referrers[3], cosign)
	return root, referrers, cosign
}

// inRegistry demands that a repository has all of this, byte for byte, and that each tag stands for what it should.
func (s *stock) inRegistry(client *acr.Client, repository string, tags map[string]ocispec.Descriptor, needed ...ocispec.Descriptor) {
	s.t.Helper()
	r := client.Repository(repository)
	for tag, want := range tags {
		needed = append(needed, want)
		if d, err := r.HeadManifest(s.t.Context(), tag); err != nil || d.Digest != want.Digest {
			s.t.Errorf("%s:%s is %s (%v), want %s", repository, tag, d.Digest, err, want.Digest)
		}
	}
	for _, d := range s.below(needed...) {
		got, err := readAll(images.Of(r).Fetch(s.t.Context(), s.describe(d)))
		if err != nil || !bytes.Equal(got, s.blobs[d]) {
			s.t.Errorf("%s: %s is not there as it should be: %v", repository, d, err)
		}
	}
}

// Out of a directory into a registry, from there to another one, back into a directory and into an archive.
func TestCopyAround(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, cosign := s.whole()
	srv, client := newRegistry(t)
	_, other := newRegistry(t)
	ctx := t.Context()
	opts := &images.CopyOptions{Referrers: true}
	all := append([]ocispec.Descriptor{root}, referrers...)

	pushed, err := images.Push(ctx, s.dir(), "v1", client.Repository("team/app"), "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]ocispec.Descriptor{"v1": root, cosign: referrers[3]}
	s.inRegistry(client, "team/app", tags, all...)
	if pushed.Root.Digest != root.Digest || pushed.Bytes.Sent != pushed.Bytes.Total || pushed.Bytes.Done() != s.size(all...) {
		t.Errorf("%+v, %d bytes there are", pushed.Bytes, s.size(all...))
	}
	if last := pushed.Tags[len(pushed.Tags)-1]; last.Tag != "v1" || last.From != "" || last.To != root.Digest || len(pushed.Tags) != 2 {
		t.Errorf("%+v", pushed.Tags)
	}

	copied, err := images.Copy(ctx, images.Of(client.Repository("team/app")), "v1", images.Of(other.Repository("mirror/app")), "v2", opts)
	if err != nil {
		t.Fatal(err)
	}
	s.inRegistry(other, "mirror/app", map[string]ocispec.Descriptor{"v2": root, cosign: referrers[3]}, all...)
	if copied.Bytes.Sent != s.size(all...) {
		t.Errorf("%+v", copied.Bytes)
	}

	dir := t.TempDir()
	if _, err := images.Pull(ctx, other.Repository("mirror/app"), "v2", dir, opts); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, all...)
	l := openLayout(t, dir, nil)
	if d, err := l.Resolve(ctx, "v2"); err != nil || d.Digest != root.Digest {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := l.Resolve(ctx, cosign); err != nil || d.Digest != referrers[3].Digest {
		t.Errorf("%v, %v", d, err)
	}
	if freed, err := l.Prune(ctx); err != nil || freed != 0 {
		t.Errorf("something that was pulled is not in index.json: %d bytes, %v", freed, err)
	}
	noTemporaryFiles(t, dir)

	// And again: nothing moves.
	srv.Ledger().Reset()
	again, err := images.Push(ctx, dir, "v2", client.Repository("team/app"), "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	if again.Bytes.Present != again.Bytes.Total || again.Bytes.Sent != 0 {
		t.Errorf("%+v", again.Bytes)
	}
	manifests := 0
	for _, n := range again.Nodes {
		if n.Action != images.Present {
			t.Errorf("%+v", n)
		}
		if n.Role != "layer" && n.Role != "config" {
			manifests++
		}
	}
	if n := srv.Ledger().Count("HeadManifest"); n > manifests+len(again.Tags) {
		t.Errorf("%d HEAD requests for %d manifests and %d tags", n, manifests, len(again.Tags))
	}
	srv.Ledger().AtMost(t, manifests+len(again.Tags))
}

// size is the number of bytes of the manifests and all that they name.
func (s *stock) size(needed ...ocispec.Descriptor) (n int64) {
	s.t.Helper()
	for _, d := range s.below(needed...) {
		n += int64(len(s.blobs[d]))
	}
	return n
}

// Without Referrers only the image itself is copied.
func TestCopyImageAlone(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, cosign := s.whole()
	_, client := newRegistry(t)
	pushLayout(t, s.archive(nil), "v1", client.Repository("team/app"), "latest", nil)
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"latest": root})
	for _, reference := range []string{string(referrers[0].Digest), cosign} {
		if _, err := client.Repository("team/app").HeadManifest(t.Context(), reference); !errors.Is(err, acr.ErrNotFound) {
			t.Errorf("%s: %v", reference, err)
		}
	}
}

// Each manifest is put once, after those that it names: the registry refuses none.
func TestCopyPutsInOrder(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	_, _, cosign := s.whole()
	srv, client := newRegistry(t)
	srv.On("PutManifest").Always().When(func(r *http.Request) bool { // an index that did not wait for its images would come before them
		return r.Header.Get("Content-Type") == ocispec.MediaTypeImageManifest
	}).Delay(100 * time.Millisecond)
	report, err := images.Push(t.Context(), s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range srv.Ledger().Requests("PutManifest") {
		if r.Status != http.StatusCreated || names[r.Reference] {
			t.Errorf("%s", r)
		}
		if r.Reference == "v1" && !names[cosign] {
			t.Error("the image has its tag before its signature has")
		}
		names[r.Reference] = true
	}
	if !names["v1"] || len(names) < 4 || len(names) > len(report.Nodes) {
		t.Errorf("%d manifests were put", len(names))
	}
}

// Within one registry blobs are mounted: not a byte of them moves.
func TestCopyMounts(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, _ := s.whole()
	srv, client := newRegistry(t)
	ctx := t.Context()
	opts := &images.CopyOptions{Referrers: true}
	pushLayout(t, s.dir(), "v1", client.Repository("dev/app"), "v1", opts)
	srv.Ledger().Reset()
	report, err := images.Copy(ctx, images.Of(client.Repository("dev/app")), "v1", images.Of(client.Repository("prod/app")), "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	s.inRegistry(client, "prod/app", map[string]ocispec.Descriptor{"v1": root}, referrers...)
	var moved int64
	for _, r := range srv.Ledger().Requests("StartUpload", "UploadChunk", "CompleteUpload") {
		moved += r.BytesIn
	}
	if moved != 0 || report.Bytes.Mounted == 0 {
		t.Errorf("%d bytes of blobs were sent: %+v", moved, report.Bytes)
	}
	for _, n := range report.Nodes {
		if blob := n.Role == "layer" || n.Role == "config"; blob && n.Action != images.Mount || !blob && n.Action != images.Send {
			t.Errorf("%+v", n)
		}
	}
}

func TestCopyAllTags(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	index, platforms := s.multi()
	s.name(index, "stable")
	s.name(index, "registry.example.com/team/app:v1.0")
	s.name(platforms[0], "other")
	_, client := newRegistry(t)
	ctx := t.Context()
	opts := &images.CopyOptions{AllTags: true}
	report, err := images.Push(ctx, s.dir(), "v1", client.Repository("dev/app"), "latest", opts)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Tags); n != 4 || report.Tags[3].Tag != "latest" {
		t.Errorf("%+v", report.Tags)
	}
	s.inRegistry(client, "dev/app", map[string]ocispec.Descriptor{"v1": index, "stable": index, "v1.0": index, "latest": index})
	if _, err := images.Copy(ctx, images.Of(client.Repository("dev/app")), "latest", images.Of(client.Repository("prod/app")), "latest", opts); err != nil {
		t.Fatal(err)
	}
	s.inRegistry(client, "prod/app", map[string]ocispec.Descriptor{"v1": index, "stable": index, "v1.0": index, "latest": index})
}

func TestCopyIfAbsent(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(one, "one")
	s.name(two, "two")
	dir := s.dir()
	srv, client := newRegistry(t)
	ctx := t.Context()
	r := client.Repository("team/app")
	opts := &images.CopyOptions{IfAbsent: true, Protect: &images.ProtectOptions{}}
	for range 2 { // the same image again is no move
		report, err := images.Push(ctx, dir, "one", r, "v1", opts)
		if err != nil {
			t.Fatal(err)
		}
		if report.Protection == nil || report.Protection.Tag != "v1" {
			t.Errorf("%+v", report.Protection)
		}
	}
	srv.Ledger().Reset()
	_, err := images.Push(ctx, dir, "two", r, "v1", opts)
	e, ok := errors.AsType[*images.CopyError](err)
	if !errors.Is(err, acr.ErrTagExists) || !ok || e.Side != images.AtTarget || e.Name != "v1" {
		t.Errorf("the tag moved: %v", err)
	}
	if n := srv.Ledger().Count("StartUpload", "PutManifest"); n != 0 {
		t.Errorf("%d requests before the refusal", n)
	}
	if err := r.Artifact("v1").DeleteTag(ctx); !errors.Is(err, acr.ErrLocked) {
		t.Errorf("the tag is not locked: %v", err)
	}
	l := openLayout(t, t.TempDir()+"/l", &images.LayoutOptions{Create: true})
	from := openLayout(t, dir, nil)
	if _, err := images.Copy(ctx, from, "one", l, "v1", opts2()); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Copy(ctx, from, "two", l, "v1", opts2()); !errors.Is(err, acr.ErrTagExists) {
		t.Errorf("the name moved: %v", err)
	}
	if _, err := images.Copy(ctx, from, "two", l, "v1", nil); err != nil {
		t.Errorf("the name did not move: %v", err)
	}
}

func opts2() *images.CopyOptions { return &images.CopyOptions{IfAbsent: true} }

// What an interrupted copy or a clean-up left half is mended.
func TestCopyHeals(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, platforms := s.multi()
	dir := s.dir()
	ctx := t.Context()
	for name, spoil := range map[string]func(r *acr.Repository) error{
		"an image of the index is gone": func(r *acr.Repository) error { return r.DeleteManifest(ctx, platforms[0].Digest) },
		"a layer is gone": func(r *acr.Repository) error {
			return r.DeleteBlob(ctx, digest.FromString("layer for amd64"))
		},
		"index and layer are gone": func(r *acr.Repository) error {
			return errors.Join(r.DeleteManifest(ctx, root.Digest), r.DeleteBlob(ctx, digest.FromString("layer for arm64")))
		},
		"everything is gone": func(r *acr.Repository) error { _, err := r.Delete(ctx); return err },
	} {
		_, client := newRegistry(t)
		r := client.Repository("team/app")
		pushLayout(t, dir, "v1", r, "v1", nil)
		if err := spoil(r); err != nil {
			t.Fatal(err)
		}
		if _, err := images.Push(ctx, dir, "v1", r, "v1", &images.CopyOptions{CheckBlobs: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
	}
}

func TestCopyBetweenLayouts(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, cosign := s.whole()
	ctx := t.Context()
	from, dir := openLayout(t, s.dir(), nil), t.TempDir()
	to := openLayout(t, dir, &images.LayoutOptions{Create: true})
	if _, err := images.Copy(ctx, from, "v1", to, "copy", &images.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, append(referrers, root)...)
	if d, err := to.Resolve(ctx, cosign); err != nil || d.Digest != referrers[3].Digest {
		t.Errorf("%v, %v", d, err)
	}
	// A damaged blob is replaced, an unnamed copy is entered without a name.
	writeFile(t, filepath.Join(dir, "blobs", "sha256", digest.FromString("shared layer").Encoded()), []byte("SHARED LAYER"))
	again := openLayout(t, dir, nil)
	report, err := images.Copy(ctx, from, "v1", again, "copy", nil)
	if err != nil || report.Bytes.Sent != int64(len("shared layer")) {
		t.Errorf("%+v, %v", report.Bytes, err)
	}
	s.holds(dir, root)
	only := openLayout(t, t.TempDir()+"/l", &images.LayoutOptions{Create: true})
	if _, err := images.Copy(ctx, from, "v1", only, "", nil); err != nil {
		t.Fatal(err)
	}
	if d, err := only.Resolve(ctx, ""); err != nil || d.Digest != root.Digest {
		t.Errorf("%v, %v", d, err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _, _ := s.whole()
	srv, client := newRegistry(t)
	ctx := t.Context()
	opts := &images.CopyOptions{Referrers: true}
	from, to := openLayout(t, s.dir(), nil), images.Of(client.Repository("team/app"))
	plan, err := images.Plan(ctx, from, "v1", to, "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Ledger().None(t, func(r acrtest.Request) bool {
		return r.Origin == acrtest.LoginOrigin && r.Method != "GET" && r.Method != "HEAD" && !strings.HasPrefix(r.Path, "/oauth2/")
	})
	copied, err := images.Copy(ctx, from, "v1", to, "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := marshal(t, plan), marshal(t, copied); !bytes.Equal(a, b) {
		t.Errorf("planned\n%s\ndone\n%s", a, b)
	}
	var read images.Report
	if err := json.Unmarshal(marshal(t, plan), &read); err != nil || read.Root.Digest != root.Digest {
		t.Error(err)
	}
	again, err := images.Plan(ctx, to, "v1", images.Of(client.Repository("other")), "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(again.Nodes, func(n images.Node) bool { return n.Action == images.Mount }) {
		t.Errorf("no blob would be mounted: %s", marshal(t, again))
	}
}

func TestCopyArguments(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	l, r := openLayout(t, newStock(t).dir(), nil), images.Of(client.Repository("team/app"))
	for name, c := range map[string]struct {
		from images.Source
		to   images.Target
		tag  string
		opts images.CopyOptions
		want error
	}{
		"no source":                          {nil, r, "v1", images.CopyOptions{}, acr.ErrInvalidArgument},
		"no target":                          {r, nil, "v1", images.CopyOptions{}, acr.ErrInvalidArgument},
		"a digest for a tag":                 {l, r, "sha256:" + strings.Repeat("0", 64), images.CopyOptions{}, errdef.ErrInvalidReference},
		"a bad tag":                          {l, r, "..", images.CopyOptions{}, errdef.ErrInvalidReference},
		"negative concurrency":               {l, r, "v1", images.CopyOptions{Concurrency: -1}, acr.ErrInvalidArgument},
		"an index without platforms":         {l, r, "v1", images.CopyOptions{KeepIndex: true}, acr.ErrInvalidArgument},
		"a lock on a layout":                 {r, l, "v1", images.CopyOptions{Protect: &images.ProtectOptions{}}, acr.ErrInvalidArgument},
		"mounting into a layout":             {r, l, "v1", images.CopyOptions{MountFrom: []string{"x"}}, acr.ErrInvalidArgument},
		"another repository's full tag":      {l, r, "example.com/x:v1", images.CopyOptions{}, errdef.ErrInvalidReference},
		"a platform without an architecture": {l, r, "v1", images.CopyOptions{Platforms: []ocispec.Platform{{OS: "linux"}}}, acr.ErrInvalidArgument},
	} {
		_, err := images.Copy(ctx, c.from, "v1", c.to, c.tag, &c.opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if e, ok := errors.AsType[*images.CopyError](err); errors.Is(err, errdef.ErrInvalidReference) && (!ok || e.Side != images.AtTarget || e.Name != c.tag) {
			t.Errorf("%s: it does not say where: %v", name, err)
		}
	}
	if _, err := images.Copy(ctx, r, "", l, "v1", nil); !errors.Is(err, errdef.ErrMissingReference) || !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(err.Error(), "source") {
		t.Error(err)
	}
	srv.Ledger().AtMost(t, 0)
	if _, err := images.Push(ctx, t.TempDir(), "v1", client.Repository("x"), "v1", nil); !errors.Is(err, images.ErrNotLayout) {
		t.Error(err)
	}
}
