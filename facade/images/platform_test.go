package images_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// buildKit is an index as BuildKit makes them: two variants of arm, each image with an attestation, and a nested index.
func (s *stock) buildKit() (root ocispec.Descriptor, children map[string]ocispec.Descriptor) {
	s.t.Helper()
	children = map[string]ocispec.Descriptor{}
	var list []ocispec.Descriptor
	for _, name := range []string{"amd64", "arm/v6", "arm/v7"} {
		architecture, variant, _ := strings.Cut(name, "/")
		d := s.image(architecture, "shared layer", "layer for "+name)
		d.Platform.Variant = variant
		a := s.image("unknown", "attestation for "+name)
		a.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		a.Annotations = map[string]string{"vnd.docker.reference.digest": string(d.Digest), "vnd.docker.reference.type": "attestation-manifest"}
		children[name], children["attestation of "+name] = d, a
		list = append(list, d, a)
	}
	riscv := s.image("riscv64", "layer for riscv64")
	s390x := s.image("s390x", "layer for s390x")
	children["riscv64"], children["s390x"] = riscv, s390x
	children["nested"] = s.index(riscv, s390x)
	root = s.index(append(list, children["nested"])...)
	s.name(root, "v1")
	children["signature"] = s.referrer(root, "application/vnd.example.signature", "signature of all")
	children["signature of amd64"] = s.referrer(children["amd64"], "application/vnd.example.signature", "signature of amd64")
	s.name(children["signature"], "")
	s.name(children["signature of amd64"], "")
	return root, children
}

func linux(names ...string) (list []ocispec.Platform) {
	for _, name := range names {
		architecture, variant, _ := strings.Cut(name, "/")
		list = append(list, ocispec.Platform{OS: "linux", Architecture: architecture, Variant: variant})
	}
	return list
}

// Without KeepIndex the one image that matches takes the place of the index, with its own digest.
func TestCopyOnePlatform(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, children := s.buildKit()
	from := openLayout(t, s.dir(), nil)
	_, client := newRegistry(t)
	to := images.Of(client.Repository("team/app"))
	for tag, name := range map[string]string{"a": "amd64", "b": "arm/v7", "c": "s390x"} {
		report, err := images.Copy(t.Context(), from, "v1", to, tag, &images.CopyOptions{Platforms: linux(name), Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{tag: children[name]})
		if report.Root.Digest != children[name].Digest || report.Root.Platform != nil {
			t.Errorf("%+v", report.Root)
		}
		if !slices.ContainsFunc(report.Nodes, func(n images.Node) bool { return n.Action == images.Leave && n.Descriptor.Digest == root.Digest }) {
			t.Errorf("the report does not say that the index was left out: %s", marshal(t, report))
		}
	}
	if _, err := client.Repository("team/app").HeadManifest(t.Context(), string(children["signature of amd64"].Digest)); err != nil {
		t.Errorf("the signature of the image was left behind: %v", err)
	}
	for name, want := range map[string]error{"mips": images.ErrNoPlatform, "arm": images.ErrAmbiguous} {
		_, err := images.Copy(t.Context(), from, "v1", to, "x", &images.CopyOptions{Platforms: linux(name)})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(want, images.ErrNoPlatform) && !strings.Contains(err.Error(), "linux/amd64, linux/arm/v6, linux/arm/v7, linux/riscv64, linux/s390x") {
			t.Errorf("the error does not list what there is: %v", err)
		}
	}
	if _, err := images.Copy(t.Context(), from, string(children["amd64"].Digest), to, "single", &images.CopyOptions{Platforms: linux("mips")}); err != nil {
		t.Errorf("a single image: %v", err)
	}
}

// With KeepIndex there is a new index that names what was selected and nothing else, attestations included.
func TestCopySomePlatforms(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, children := s.buildKit()
	from := openLayout(t, s.dir(), nil)
	_, client := newRegistry(t)
	r := client.Repository("team/app")
	opts := &images.CopyOptions{Platforms: linux("amd64", "s390x"), KeepIndex: true, Referrers: true}
	report, err := images.Copy(t.Context(), from, "v1", images.Of(r), "some", opts)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.GetManifest(t.Context(), "some")
	if err != nil {
		t.Fatal(err)
	}
	index, err := m.Index()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 3 || index.Manifests[0].Digest != children["amd64"].Digest || index.Manifests[1].Digest != children["attestation of amd64"].Digest {
		t.Errorf("%+v", index.Manifests)
	}
	nested, err := r.GetManifest(t.Context(), string(index.Manifests[2].Digest))
	if err != nil {
		t.Fatal(err)
	}
	var inner ocispec.Index
	if err := json.Unmarshal(nested.Content, &inner); err != nil || len(inner.Manifests) != 1 || inner.Manifests[0].Digest != children["s390x"].Digest {
		t.Errorf("%+v, %v", inner, err)
	}
	if report.Root.Digest != m.Descriptor.Digest || report.Root.Digest == root.Digest {
		t.Errorf("%s", report.Root.Digest)
	}
	left := map[string]bool{}
	for _, n := range report.Nodes {
		if n.Action == images.Leave {
			left[string(n.Descriptor.Digest)] = true
		}
	}
	for _, name := range []string{"arm/v6", "attestation of arm/v7", "riscv64", "nested", "signature"} {
		if !left[string(children[name].Digest)] {
			t.Errorf("the report does not say that %s was left out", name)
		}
	}
	if !left[string(root.Digest)] || len(left) != 8 {
		t.Errorf("%d were left out: %v", len(left), left)
	}
	s.inRegistry(client, "team/app", nil, children["amd64"], children["attestation of amd64"], children["s390x"], children["signature of amd64"])
	// The same selection makes the same index.
	again, err := images.Copy(t.Context(), from, "v1", images.Of(r), "some", opts)
	if err != nil || again.Root.Digest != report.Root.Digest || again.Bytes.Sent != 0 {
		t.Errorf("%s, %+v, %v", again.Root.Digest, again.Bytes, err)
	}
	// All of them leave the index as it is.
	opts.Platforms = linux("amd64", "arm", "riscv64", "s390x")
	if whole, err := images.Copy(t.Context(), from, "v1", images.Of(r), "all", opts); err != nil || whole.Root.Digest != root.Digest {
		t.Errorf("%v, %v", whole, err)
	}
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"all": root}, children["signature"])
}

// A layout that was pulled for one platform holds an index without its other images, as "docker save" writes it.
func TestCopySparseLayout(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	_, children := s.buildKit()
	for _, name := range []string{"arm/v6", "arm/v7", "attestation of arm/v6", "attestation of arm/v7", "nested", "riscv64", "s390x"} {
		delete(s.blobs, children[name].Digest)
	}
	from := openLayout(t, s.dir(), nil)
	srv, client := newRegistry(t)
	to := images.Of(client.Repository("team/app"))
	_, err := images.Copy(t.Context(), from, "v1", to, "v1", nil)
	e, ok := errors.AsType[*images.CopyError](err)
	if !errors.Is(err, images.ErrIncomplete) || !ok || e.Side != images.FromSource {
		t.Errorf("%v", err)
	}
	srv.Ledger().AtMost(t, 0)
	if _, err := images.Copy(t.Context(), from, "v1", to, "v1", &images.CopyOptions{Platforms: linux("amd64")}); err != nil {
		t.Errorf("one platform: %v", err)
	}
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": children["amd64"]})
	if _, err := client.Repository("team/app").GetManifest(t.Context(), string(children["arm/v7"].Digest)); !errors.Is(err, acr.ErrNotFound) {
		t.Error(err)
	}
}
