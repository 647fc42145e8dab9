package images_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

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
		pushLayout(t, s.dir(), name, dev, tag, nil)
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

// What belongs to an image by a tag's name has that tag before the image has any, whatever the names of its tags.
func TestCopySignatureComesFirst(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _, cosign := s.whole()
	for _, name := range []string{"1.0", "latest", "stable"} { // before and after cosign's in the order of names
		s.name(root, name)
	}
	srv, client := newRegistry(t)
	pushLayout(t, s.dir(), "v1", client.Repository("team/app"), "canary", &images.CopyOptions{Referrers: true, AllTags: true})
	var set []string
	for _, r := range srv.Ledger().Requests("PutManifest") {
		if !strings.Contains(r.Reference, ":") {
			set = append(set, r.Reference)
		}
	}
	if want := []string{cosign, "1.0", "latest", "stable", "v1", "canary"}; !slices.Equal(set, want) {
		t.Errorf("the tags were set in the order %q, want %q", set, want)
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
	late := hooked{memory: s.memory(root), at: "shared layer", once: &sync.Once{}, hook: func() {
		if err := other.Tag(t.Context(), describe("another"), "v1"); err != nil {
			t.Error(err)
		}
	}}
	if _, err := images.Copy(t.Context(), late, "v1", other, "v1", &images.CopyOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) || other.tags["v1"].Digest != describe("another").Digest {
		t.Errorf("%v", err)
	}
}

// A tag whose manifest is in quarantine does not move with IfAbsent, though the registry does not find the manifest by the tag.
func TestCopyIfAbsentQuarantine(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	srv, client := newRegistry(t)
	r, ctx := client.Repository("prod/app"), t.Context()
	was := srv.SeedImage(t, "prod/app:v1")
	if _, err := r.Artifact(string(was)).UpdateManifestAttributes(ctx, acr.ChangeableAttributes{QuarantineState: new("Quarantined")}); err != nil {
		t.Fatal(err)
	}
	pushLayout(t, s.dir(), "v1", client.Repository("dev/app"), "v1", nil)
	_, pushed := images.Push(ctx, s.dir(), "v1", r, "v1", &images.CopyOptions{IfAbsent: true})
	_, promoted := images.Promote(ctx, client.Repository("dev/app"), "v1", r, "v1", nil)
	for how, err := range map[string]error{"pushed": pushed, "promoted": promoted} {
		if e, ok := errors.AsType[*images.CopyError](err); !errors.Is(err, acr.ErrTagExists) || !ok || e.Side != images.AtTarget || e.Name != "v1" {
			t.Errorf("%s: %v", how, err)
		}
	}
	if tag, err := r.Artifact("v1").TagProperties(ctx); err != nil || tag.Digest != was {
		t.Errorf("the tag is on %s, not on %s: %v", tag.Digest, was, err)
	}
	pushLayout(t, s.dir(), "v1", r, "v1", nil)
	if tag, err := r.Artifact("v1").TagProperties(ctx); err != nil || tag.Digest != root.Digest {
		t.Errorf("without IfAbsent the tag is on %s: %v", tag.Digest, err)
	}
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
		pushLayout(t, s.dir(), "v1", r, tag, nil)
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
	pushLayout(t, s.dir(), "list", r, "sha256-"+root.Digest.Encoded(), nil)
	report, err := images.Copy(t.Context(), images.Of(r), "v1", newMemory(), "v1", &images.CopyOptions{Referrers: true})
	if err != nil || slices.ContainsFunc(report.Nodes, func(n images.Node) bool { return n.Role == "referrer" && n.Action != images.Leave }) {
		t.Errorf("%+v, %v", report, err)
	}
	var read images.Report
	if err := json.Unmarshal(marshal(t, report), &read); err != nil {
		t.Error(err)
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
		pushLayout(t, s.dir(), "v1", dev, "v1", opts)
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
