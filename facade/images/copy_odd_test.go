package images_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// manifestOf adds an image manifest with the layers.
func (s *stock) manifestOf(config ocispec.Descriptor, layers ...ocispec.Descriptor) ocispec.Descriptor {
	s.t.Helper()
	return s.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
}

// around pushes an image, copies it to another registry, pulls it, and writes it to an archive. It returns the errors of those
// that could begin.
func (s *stock) around(opts *images.CopyOptions, root ocispec.Descriptor) map[string]error {
	s.t.Helper()
	s.name(root, "v1")
	from := openLayout(s.t, s.dir(), nil)
	ctx := s.t.Context()
	seeded, client := newRegistry(s.t, acrtest.WithoutBlobCheck())
	_, other := newRegistry(s.t)
	seeded.SeedLayout(s.t, "seeded/app", from.Path())
	source := images.Of(client.Repository("seeded/app"))
	dir := s.t.TempDir()
	layout := openLayout(s.t, dir, &images.LayoutOptions{Create: true})
	errs := map[string]error{}
	_, errs["layout to registry"] = images.Copy(ctx, from, "v1", images.Of(other.Repository("pushed/app")), "v1", opts)
	_, errs["registry to registry"] = images.Copy(ctx, source, "v1", images.Of(other.Repository("copied/app")), "v1", opts)
	_, errs["registry to layout"] = images.Copy(ctx, source, "v1", layout, "v1", opts)
	_, errs["layout to layout"] = images.Copy(ctx, from, "v1", openLayout(s.t, s.t.TempDir(), &images.LayoutOptions{Create: true}), "v1", opts)
	errs["layout to archive"] = images.WriteArchive(ctx, io.Discard, from, []string{"v1"}, opts)
	errs["registry to archive"] = images.WriteArchive(ctx, io.Discard, source, []string{"v1"}, opts)
	if errs["registry to layout"] == nil {
		s.noHalfLayout(dir, "around")
	}
	return errs
}

// Odd images that are right: one blob as config, layer and image; empty layers; a layer that is an image of the same index; a
// manifest of the largest size.
func TestCopyOddImages(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(s *stock) ocispec.Descriptor{
		"config and layer are one blob": func(s *stock) ocispec.Descriptor {
			b := s.blob(ocispec.MediaTypeImageConfig, []byte("{}"))
			return s.manifestOf(b, b, b)
		},
		"empty layers": func(s *stock) ocispec.Descriptor {
			empty := s.blob(ocispec.MediaTypeImageLayer, nil)
			return s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), empty, empty)
		},
		"an empty config": func(s *stock) ocispec.Descriptor { return s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, nil)) },
		"a layer that is an image": func(s *stock) ocispec.Descriptor {
			image := s.image("amd64", "layer")
			layer := image
			layer.MediaType, layer.Platform = ocispec.MediaTypeImageLayer, nil
			return s.index(image, s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), layer))
		},
		"an image whose size the index leaves out": func(s *stock) ocispec.Descriptor {
			d := s.image("amd64", "layer")
			d.Size = 0
			return s.index(d)
		},
		"a manifest of 4 MiB": func(s *stock) ocispec.Descriptor {
			m := ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
				Config: s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Annotations: map[string]string{"a": ""},
			}
			m.Annotations["a"] = strings.Repeat("x", 4<<20-len(marshal(s.t, m)))
			return s.json(m.MediaType, m)
		},
		"annotations with control characters": func(s *stock) ocispec.Descriptor {
			d := s.image("amd64", "layer")
			d.Annotations = map[string]string{"a\x00\x1b[31m\n": "\u202e\x07"}
			return s.index(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t)
			for what, err := range s.around(nil, make(s)) {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A descriptor that says 0 bytes of something does not get around the limits on memory and size, wherever it is read.
func TestCopySizeOfNothing(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	layer := s.blob(ocispec.MediaTypeImageLayer, []byte("not empty"))
	layer.Size = 0
	for what, err := range s.around(nil, s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), layer)) {
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.FromSource || e.Descriptor.Digest != layer.Digest || !errors.Is(err, acr.ErrSizeMismatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	srv, client := newRegistry(t)
	srv.SeedBlob(t, "team/app", []byte("not empty"))
	r := images.Of(client.Repository("team/app"))
	if _, err := readAll(r.Fetch(t.Context(), layer)); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("fetched: %v", err)
	}
	if err := images.Of(client.Repository("team/other")).Push(t.Context(), layer, strings.NewReader("not empty")); !errors.Is(err, acr.ErrSizeMismatch) {
		t.Errorf("pushed: %v", err)
	}
}

// A manifest is put under a tag only if its content can be verified.
func TestPushReferenceDigest(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	d := s.index()
	_, client := newRegistry(t)
	r := images.Of(client.Repository("team/app"))
	for _, wrong := range []digest.Digest{"", "sha256:00", digest.SHA384.FromBytes(s.blobs[d.Digest]), "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		e := d
		e.Digest = wrong
		if err := r.PushReference(t.Context(), e, bytes.NewReader(s.blobs[d.Digest]), "v1"); !errors.Is(err, errdef.ErrInvalidDigest) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := r.PushReference(t.Context(), d, bytes.NewReader(s.blobs[d.Digest]), "v1"); err != nil {
		t.Error(err)
	}
}

// Layers that are not to be distributed are copied if the source has them, and left out if not.
func TestCopyForeignIfThere(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	there, absent := s.blob(foreign, []byte("windows base")), describe("windows update")
	absent.MediaType, absent.URLs = foreign, []string{"https://example.com/update"}
	there.URLs = absent.URLs
	root := s.manifestOf(s.blob(ocispec.MediaTypeImageConfig, []byte("{}")), there, absent, s.blob(ocispec.MediaTypeImageLayer, []byte("layer")))
	opts := &images.CopyOptions{Foreign: true}
	s.name(root, "v1")
	from := openLayout(t, s.dir(), nil)
	_, client := newRegistry(t, acrtest.WithoutBlobCheck())
	r := images.Of(client.Repository("team/app"))
	for range 2 {
		plan, err := images.Plan(t.Context(), from, "v1", r, "v1", opts)
		if err != nil {
			t.Fatal(err)
		}
		report, err := images.Copy(t.Context(), from, "v1", r, "v1", opts)
		if err != nil || report.Bytes.Done() != report.Bytes.Total || !bytes.Equal(marshal(t, plan), marshal(t, report)) {
			t.Errorf("%+v, %+v, %v", plan, report, err)
		}
	}
	dir := t.TempDir()
	report, err := images.Pull(t.Context(), client.Repository("team/app"), "v1", dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc(slices.Clone(report.Nodes), func(n images.Node) bool { return n.Action != images.Leave })
	if len(left) != 1 || left[0].Descriptor.Digest != absent.Digest {
		t.Errorf("%+v", left)
	}
	if err := images.WriteArchive(t.Context(), io.Discard, r, []string{"v1"}, opts); err != nil {
		t.Error(err)
	}
}

// An index whose media type the source does not know is one all the same.
func TestCopyWithoutMediaType(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, platforms := s.multi()
	s.entries[0].MediaType = ""
	from := openLayout(t, s.dir(), nil)
	srv, client := newRegistry(t)
	r := images.Of(client.Repository("team/app"))
	report, err := images.Copy(t.Context(), from, "v1", r, "arm64", &images.CopyOptions{Platforms: linux("arm64")})
	if err != nil || report.Root.Digest != platforms[1].Digest {
		t.Errorf("%+v, %v", report.Root, err)
	}
	for range 2 {
		srv.Ledger().Reset()
		if report, err = images.Copy(t.Context(), from, "v1", r, "v1", nil); err != nil || report.Root.MediaType != root.MediaType {
			t.Errorf("%+v, %v", report.Root, err)
		}
	}
	if n := srv.Ledger().Count("PutManifest", "HeadBlob"); n != 0 {
		t.Errorf("%d requests for what is there", n)
	}
}

// The tags of the digest are those of the image that is copied, also if the tag that names it moves meanwhile.
func TestCopyAllTagsOfTheDigest(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(one, "one")
	s.name(two, "two")
	srv, client := newRegistry(t)
	_, other := newRegistry(t)
	dev := client.Repository("dev/app")
	ctx := t.Context()
	for tag, name := range map[string]string{"v1": "one", "v1.0": "one", "next": "two"} {
		if _, err := images.Push(ctx, s.dir(), name, dev, tag, nil); err != nil {
			t.Fatal(err)
		}
	}
	srv.On("GetManifest").Path("/v1").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if _, err := dev.Tag(ctx, "next", "v1", nil); err != nil {
			t.Error(err)
		}
	})
	report, err := images.Copy(ctx, images.Of(dev), "v1", images.Of(other.Repository("prod/app")), "v1", &images.CopyOptions{AllTags: true})
	if err != nil {
		t.Fatal(err)
	}
	s.inRegistry(other, "prod/app", map[string]ocispec.Descriptor{"v1": one, "v1.0": one})
	if len(report.Tags) != 2 {
		t.Errorf("%+v", report.Tags)
	}
}

// Names of a layout that are no tags are refused before anything is sent.
func TestCopyAllTagsInvalid(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	s.name(root, "My App\x1b[31m")
	srv, client := newRegistry(t)
	_, err := images.Push(t.Context(), s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{AllTags: true})
	if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Role != "tag" || !errors.Is(err, errdef.ErrInvalidReference) {
		t.Errorf("%v", err)
	}
	oneLine(t, err)
	srv.Ledger().AtMost(t, 0)
}

// A tree whose indexes lack manifests is read by many goroutines at once.
func TestTreeLacksMuch(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	var indexes []ocispec.Descriptor
	for i := range 16 {
		children := []ocispec.Descriptor{s.image("amd64", fmt.Sprint("layer ", i))}
		for k := range 16 {
			lacking := describe(fmt.Sprint(i, k))
			lacking.MediaType = ocispec.MediaTypeImageManifest
			children = append(children, lacking)
		}
		indexes = append(indexes, s.index(children...))
	}
	s.name(s.index(indexes...), "v1")
	from := openLayout(t, s.dir(), nil)
	for range 10 {
		tree, err := images.Tree(t.Context(), from, "v1")
		if err != nil || strings.Count(tree.String(), " missing") != 256 {
			t.Fatalf("%v, %s", err, tree)
		}
	}
}

// Two images that lack the same layer are healed one after the other: it is sent once, and counted once.
func TestCopyHealsTogether(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	dir := s.dir()
	srv, client := newRegistry(t)
	r := client.Repository("team/app")
	shared := digest.FromString("shared layer")
	var both sync.WaitGroup
	both.Add(2)
	deleted := sync.OnceValue(func() error { return r.DeleteBlob(t.Context(), shared) })
	srv.On("PutManifest").First(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		both.Done()
		both.Wait()
		if err := deleted(); err != nil {
			t.Error(err)
		}
		next.ServeHTTP(w, r)
	})
	report, err := images.Push(t.Context(), dir, "v1", r, "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
	if report.Bytes.Done() != report.Bytes.Total || report.Bytes.Total != s.size(root) {
		t.Errorf("%+v, %d bytes there are", report.Bytes, s.size(root))
	}
	if n := len(slices.DeleteFunc(srv.Ledger().Requests("StartUpload"), func(q acrtest.Request) bool { return !strings.Contains(q.Query, shared.Encoded()) })); n != 2 {
		t.Errorf("the layer was sent %d times, want once more", n)
	}
}

// Registries that say yes and lose it, decline to mount, or are short of something, get the image all the same.
func TestCopyUnreliableTarget(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	dir := s.dir()
	layer := digest.FromString("shared layer")
	for name, faults := range map[string]func(srv *acrtest.Server){
		"201, but lost": func(srv *acrtest.Server) {
			srv.On("StartUpload").When(hasQuery("digest", string(layer))).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set(acrtest.FaultHeader, "lost")
				w.Header().Set("Docker-Content-Digest", string(layer))
				w.Header().Set("Location", "/v2/team/app/blobs/"+string(layer))
				w.WriteHeader(http.StatusCreated)
			})
		},
		"413": func(srv *acrtest.Server) { srv.On("StartUpload").First(2).Status(413) },
		"429": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(2).Status(429, time.Millisecond)
			srv.On("HeadManifest").First(1).Status(429, time.Millisecond)
		},
		"503": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(1).Status(503)
			srv.On("PutManifest").First(2).Status(503)
		},
		"lost replies": func(srv *acrtest.Server) {
			srv.On("StartUpload").First(2).DropReply()
			srv.On("PutManifest").First(2).DropReply()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newRegistry(t)
			faults(srv)
			report, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			if report.Bytes.Done() != report.Bytes.Total {
				t.Errorf("%+v", report.Bytes)
			}
			s.inRegistry(client, "team/app", map[string]ocispec.Descriptor{"v1": root})
		})
	}
	t.Run("declined mounts", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		if _, err := images.Push(t.Context(), dir, "v1", client.Repository("dev/app"), "v1", nil); err != nil {
			t.Fatal(err)
		}
		srv.On("StartUpload").When(hasQuery("from", "dev/app")).Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.URL.RawQuery = ""
			next.ServeHTTP(w, r)
		})
		report, err := images.Promote(t.Context(), client.Repository("dev/app"), "v1", client.Repository("prod/app"), "v1", nil)
		if err != nil || report.Bytes.Mounted != 0 || report.Bytes.Done() != report.Bytes.Total {
			t.Errorf("%+v, %v", report.Bytes, err)
		}
		s.inRegistry(client, "prod/app", map[string]ocispec.Descriptor{"v1": root})
		if n := srv.Uploads("prod/app"); n != 0 {
			t.Errorf("%d uploads are left open", n)
		}
	})
	t.Run("no quota", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		srv.On("StartUpload").From(3).Status(403).Code("DENIED", "the storage quota of the registry is used up")
		_, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || !strings.Contains(err.Error(), "quota") || len(srv.Tags("team/app")) != 0 {
			t.Errorf("%v, tags %q", err, srv.Tags("team/app"))
		}
	})
	t.Run("a locked tag", func(t *testing.T) {
		t.Parallel()
		srv, client := newRegistry(t)
		was := srv.SeedImage(t, "team/app:v1")
		if _, err := client.Repository("team/app").Artifact("v1").UpdateTagAttributes(t.Context(), acr.ChangeableAttributes{WriteEnabled: new(false)}); err != nil {
			t.Fatal(err)
		}
		_, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Name != "v1" || !errors.Is(err, acr.ErrLocked) {
			t.Errorf("%v", err)
		}
		if d, err := client.Repository("team/app").HeadManifest(t.Context(), "v1"); err != nil || d.Digest != was {
			t.Errorf("%v, %v", d, err)
		}
	})
}

// What belongs to an image by a tag's name may be anything: the image itself, an index that it is in, an index of others.
func TestCopyStrangeAttachedTags(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image, alone := s.image("amd64", "layer"), s.image("arm64", "another")
	root := s.index(image)
	strange := s.index(alone)
	tag := func(d ocispec.Descriptor, suffix string) string { return "sha256-" + d.Digest.Encoded() + suffix }
	s.name(root, "v1")
	s.name(root, tag(root, ".sig"))     // itself
	s.name(root, tag(image, ".att"))    // what it is in
	s.name(strange, tag(image, ".sig")) // an index
	s.name(image, tag(alone, ".sig"))   // in a circle
	_, client := newRegistry(t)
	r := images.Of(client.Repository("team/app"))
	opts := &images.CopyOptions{Referrers: true}
	tags := map[string]ocispec.Descriptor{"v1": root, tag(root, ".sig"): root, tag(image, ".att"): root, tag(image, ".sig"): strange, tag(alone, ".sig"): image}
	for range 2 {
		if _, err := images.Copy(t.Context(), openLayout(t, s.dir(), nil), "v1", r, "v1", opts); err != nil {
			t.Fatal(err)
		}
		s.inRegistry(client, "team/app", tags)
	}
	dir := t.TempDir()
	if _, err := images.Pull(t.Context(), client.Repository("team/app"), "v1", dir, opts); err != nil {
		t.Fatal(err)
	}
	s.noHalfLayout(dir, "pulled")
	for name, d := range tags {
		if got, err := openLayout(t, dir, nil).Resolve(t.Context(), name); err != nil || got.Digest != d.Digest {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := images.Tree(t.Context(), r, "v1"); err != nil {
		t.Error(err)
	}
}

// Without a referrers API, the referrers tag may stand for something else than a list of referrers. Then nobody can say what
// belongs to the image.
func TestCopyStrangeReferrersTag(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.image("amd64", "layer")
	s.name(root, "v1")
	srv, client := newRegistry(t)
	r := client.Repository("team/app")
	srv.On("ListReferrers").Always().Status(404).Code("NOT_FOUND", "no such thing")
	for _, tag := range []string{"v1", "sha256-" + root.Digest.Encoded()} {
		if _, err := images.Push(t.Context(), s.dir(), "v1", r, tag, nil); err != nil {
			t.Fatal(err)
		}
	}
	to := newMemory()
	_, err := images.Copy(t.Context(), images.Of(r), "v1", to, "v1", &images.CopyOptions{Referrers: true})
	if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.FromSource || !strings.Contains(err.Error(), "sha256-") || len(to.tags) != 0 {
		t.Errorf("%v", err)
	}
	if _, err := images.Copy(t.Context(), images.Of(r), "v1", to, "v1", nil); err != nil {
		t.Error(err)
	}
	// An index that is no list: what it names does not refer to the image.
	list := s.index(s.image("arm64", "not a referrer"))
	s.name(list, "list")
	if _, err := images.Push(t.Context(), s.dir(), "list", r, "sha256-"+root.Digest.Encoded(), nil); err != nil {
		t.Fatal(err)
	}
	report, err := images.Copy(t.Context(), images.Of(r), "v1", newMemory(), "v1", &images.CopyOptions{Referrers: true})
	if err != nil || slices.ContainsFunc(report.Nodes, func(n images.Node) bool { return n.Role == "referrer" && n.Action != images.Leave }) {
		t.Errorf("%+v, %v", report, err)
	}
	var read images.Report
	if err := json.Unmarshal(marshal(t, report), &read); err != nil {
		t.Error(err)
	}
}

// An upload that is refused before anything was read of the source is refused by the target, and the error says so.
func TestCopyRefusedUnread(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	large := strings.Repeat("a layer that is streamed ", 100<<10)
	s.name(s.image("amd64", large), "v1")
	dir := s.dir()
	_, from := newRegistry(t)
	if _, err := images.Push(t.Context(), dir, "v1", from.Repository("dev/app"), "v1", nil); err != nil {
		t.Fatal(err)
	}
	srv, client := newRegistry(t)
	srv.On("StartUpload").Always().Status(403).Code("DENIED", "no way")
	for what, source := range map[string]images.Source{"layout": openLayout(t, dir, nil), "registry": images.Of(from.Repository("dev/app"))} {
		_, err := images.Copy(t.Context(), source, "v1", images.Of(client.Repository("team/app")), "v1", &images.CopyOptions{Concurrency: 1})
		e, ok := errors.AsType[*images.CopyError](err)
		if !ok || e.Side != images.AtTarget || e.Descriptor.Digest != digest.FromString(large) || !strings.Contains(err.Error(), "no way") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What belongs to an image may change while it is copied: what is gone before it was read is left out, and what is gone before
// its blobs were read is an incomplete image, which gets no tag.
func TestCopyReferrersChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		operation, path string
		want            error
	}{
		{"ListReferrers", "", nil},
		{"GetBlob", digest.FromString("sbom").String(), images.ErrIncomplete},
	} {
		s := newStock(t)
		root := s.image("amd64", "layer")
		sbom := s.referrer(root, "application/vnd.example.sbom", "sbom")
		s.name(root, "v1")
		s.name(sbom, "")
		srv, client := newRegistry(t)
		dev := client.Repository("dev/app")
		opts := &images.CopyOptions{Referrers: true}
		if _, err := images.Push(t.Context(), s.dir(), "v1", dev, "v1", opts); err != nil {
			t.Fatal(err)
		}
		srv.On(c.operation).Path(c.path).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if c.want == nil {
				next.ServeHTTP(w, r)
			}
			if err := errors.Join(dev.DeleteManifest(t.Context(), sbom.Digest), dev.DeleteBlob(t.Context(), digest.FromString("sbom"))); err != nil {
				t.Error(err)
			}
			if c.want != nil {
				next.ServeHTTP(w, r)
			}
		})
		target, to := newRegistry(t)
		report, err := images.Copy(t.Context(), images.Of(dev), "v1", images.Of(to.Repository("prod/app")), "v1", opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.operation, err)
		}
		if c.want != nil {
			if tags := target.Tags("prod/app"); len(tags) != 0 {
				t.Errorf("%q", tags)
			}
			continue
		}
		if !slices.ContainsFunc(report.Nodes, func(n images.Node) bool { return n.Descriptor.Digest == sbom.Digest && n.Action == images.Leave }) {
			t.Errorf("%+v", report.Nodes)
		}
	}
}

// A tag that somebody sets while an image is pushed does not move with IfAbsent, wherever it is; nor does that of a promotion.
func TestCopyIfAbsentLate(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	from := openLayout(t, s.dir(), nil)
	srv, client := newRegistry(t)
	if _, err := images.Copy(t.Context(), from, "v1", images.Of(client.Repository("dev/app")), "v1", nil); err != nil {
		t.Fatal(err)
	}
	other := newMemory()
	for name, push := range map[string]func(repository string) error{
		"push": func(repository string) error {
			_, err := images.Copy(t.Context(), from, "v1", images.Of(client.Repository(repository)), "v1", &images.CopyOptions{IfAbsent: true})
			return err
		},
		"promote": func(repository string) error {
			_, err := images.Promote(t.Context(), client.Repository("dev/app"), "v1", client.Repository(repository), "v1", nil)
			return err
		},
		"mirror": func(repository string) error {
			for m, err := range images.Mirror(t.Context(), images.OfClient(client), client, []images.MirrorRule{{From: "dev/app", To: repository, Tags: []string{"v1"}}}, nil) {
				if err != nil || m.State != images.Drifted {
					return errors.Join(err, fmt.Errorf("%+v", m))
				}
			}
			return acr.ErrTagExists
		},
	} {
		repository := "prod/" + name
		var was digest.Digest
		srv.On("PutManifest").Path("/" + repository + "/").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			was = srv.SeedImage(t, repository+":v1")
			next.ServeHTTP(w, r)
		})
		if err := push(repository); !errors.Is(err, acr.ErrTagExists) {
			t.Errorf("%s: %v", name, err)
		}
		if d, err := client.Repository(repository).HeadManifest(t.Context(), "v1"); err != nil || d.Digest != was {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	late := hooked{memory: newMemory(), at: "shared layer", once: &sync.Once{}, hook: func() {
		if err := other.Tag(t.Context(), describe("another"), "v1"); err != nil {
			t.Error(err)
		}
	}}
	late.blobs, late.tags["v1"] = s.blobs, root
	if _, err := images.Copy(t.Context(), late, "v1", other, "v1", &images.CopyOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) || other.tags["v1"].Digest != describe("another").Digest {
		t.Errorf("%v", err)
	}
}
