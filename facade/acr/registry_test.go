package acr_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// putIndex puts an empty index, made unlike any other by its note, under a tag.
func putIndex(t testing.TB, r *acr.Repository, tag, note string) acr.ManifestProperties {
	t.Helper()
	content := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"note":%q}}`, note)
	d, err := r.PutManifest(t.Context(), tag, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return acr.ManifestProperties{Digest: d.Digest, MediaType: d.MediaType}
}

// TestRepository: what can be known of a repository and done to it, under a name with slashes.
func TestRepository(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	ctx := t.Context()
	r := c.Repository("library/deep/hello_world")
	if _, err := r.Properties(ctx); !errors.Is(err, acr.ErrNameUnknown) || !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("before it is there: %v", err)
	}
	for i := range 3 {
		putIndex(t, r, fmt.Sprintf("v%d", i), fmt.Sprint(i))
	}
	p, err := r.Properties(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := acr.Attributes{DeleteEnabled: true, WriteEnabled: true, ListEnabled: true, ReadEnabled: true}
	if p.Name != r.Name() || p.Registry != srv.Host() || p.ManifestCount != 3 || p.TagCount != 3 || p.CreatedTime.IsZero() || p.LastUpdateTime.IsZero() || p.Attributes != all {
		t.Errorf("%+v", p)
	}
	p, err = r.UpdateAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false), DeleteEnabled: new(false)})
	if err != nil || p.Attributes != (acr.Attributes{ListEnabled: true, ReadEnabled: true}) {
		t.Errorf("%+v %v", p.Attributes, err)
	}
	if _, err := r.Delete(ctx); !errors.Is(err, acr.ErrLocked) {
		t.Errorf("locked, and yet: %v", err)
	}
	if _, err := r.UpdateAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(true), DeleteEnabled: new(true)}); err != nil {
		t.Error(err)
	}
	gone, err := r.Delete(ctx)
	if err != nil || len(gone.Manifests) != 3 || len(gone.Tags) != 3 {
		t.Errorf("%+v %v", gone, err)
	}
	if _, err := r.Delete(ctx); !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}

// TestLists: pages, orders, filters and keys, with and without an empty page at the end.
func TestLists(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]acrtest.Option{"plain": nil, "trailing empty page": {acrtest.WithTrailingEmptyPage()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t, opts...)
			c := acrsuite.NewClient(t, srv)
			ctx := t.Context()
			r := c.Repository("library/hello")
			var want []string
			for i := range 6 {
				putIndex(t, r, fmt.Sprintf("v%d", i), fmt.Sprint(i/2)) // two tags for each manifest
				want = append(want, fmt.Sprintf("v%d", i))
				srv.Advance(time.Minute)
			}
			names := func(tags []acr.TagProperties, err error) []string {
				t.Helper()
				if err != nil {
					t.Error(err)
				}
				var out []string
				for _, tag := range tags {
					out = append(out, tag.Name)
				}
				return out
			}
			same := func(what string, want, got []string) {
				t.Helper()
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", what, diff)
				}
			}
			for _, size := range []int{0, 1, 2, 3, 4, 6, 7} {
				same(fmt.Sprintf("pages of %d", size), want, names(acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{PageSize: size}))))
				byName, err := acr.Collect(r.TagNames(ctx, &acr.ListOptions{PageSize: size}))
				if err != nil {
					t.Error(err)
				}
				same("names", want, byName)
			}
			backwards := slices.Clone(want)
			slices.Reverse(backwards)
			same("newest first", backwards, names(acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{PageSize: 2, Order: acr.OrderByUpdateDescending}))))
			same("oldest first", want, names(acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{PageSize: 2, Order: acr.OrderByUpdateAscending}))))
			same("after", want[3:], names(acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{PageSize: 2, After: "v2"}))))
			d, err := r.Artifact("v3").Digest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			same("of one manifest", want[2:4], names(acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{PageSize: 1, Digest: d}))))
			same("of an artifact", want[2:4], names(acr.Collect(r.Artifact("v2").Tags(ctx))))

			manifests, err := acr.Collect(r.Manifests(ctx, &acr.ListManifestsOptions{PageSize: 2, Order: acr.OrderByUpdateDescending}))
			if err != nil || len(manifests) != 3 {
				t.Fatalf("%v %v", manifests, err)
			}
			for i, m := range manifests {
				same("tags of a manifest", want[4-2*i:6-2*i], m.Tags)
			}

			putIndex(t, c.Repository("library/another"), "v1", "")
			repositories, err := acr.Collect(c.Repositories(ctx, &acr.ListOptions{PageSize: 1}))
			if err != nil {
				t.Error(err)
			}
			same("repositories", []string{"library/another", "library/hello"}, repositories)
			byCatalog, err := acr.Collect(c.RepositoryNames(ctx, &acr.ListOptions{PageSize: 1, After: "library/another"}))
			if err != nil {
				t.Error(err)
			}
			same("catalog", []string{"library/hello"}, byCatalog)
		})
	}
}

// TestArtifact: tag and manifest are two things, locked and deleted apart.
func TestArtifact(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	ctx := t.Context()
	r := acrsuite.NewClient(t, srv).Repository("library/hello")
	m := putIndex(t, r, "v1", "x")
	putIndex(t, r, "v2", "x")
	a := r.Artifact("v1")

	if _, err := r.Artifact("v9").Digest(ctx); !errors.Is(err, acr.ErrTagUnknown) || !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("an unknown tag: %v", err)
	}
	if _, err := r.Artifact(string(acrsuite.GoodDigest)).ManifestProperties(ctx); !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("an unknown digest: %v", err)
	}
	tag, err := a.TagProperties(ctx)
	if err != nil || tag.Name != "v1" || tag.Digest != m.Digest || tag.Repository != "library/hello" || tag.CreatedTime.IsZero() {
		t.Errorf("%+v %v", tag, err)
	}
	p, err := a.ManifestProperties(ctx)
	if err != nil || p.Digest != m.Digest || p.MediaType != m.MediaType || len(p.Tags) != 2 || p.CreatedTime.IsZero() {
		t.Errorf("%+v %v", p, err)
	}

	tag, err = a.UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(false)})
	if err != nil || tag.Attributes.DeleteEnabled || !tag.Attributes.WriteEnabled {
		t.Errorf("%+v %v", tag.Attributes, err)
	}
	if err := a.DeleteTag(ctx); !errors.Is(err, acr.ErrLocked) {
		t.Errorf("locked tag: %v", err)
	}
	p, err = a.UpdateManifestAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false)})
	if err != nil || p.Attributes.WriteEnabled || !p.Attributes.DeleteEnabled {
		t.Errorf("%+v %v", p.Attributes, err)
	}
	if err := r.DeleteManifest(ctx, m.Digest); !errors.Is(err, acr.ErrLocked) {
		t.Errorf("locked manifest: %v", err)
	}
	if _, err := a.UpdateManifestAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(true)}); err != nil {
		t.Error(err)
	}
	if _, err := a.UpdateTagAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true)}); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(ctx); err != nil {
		t.Error(err)
	}
	if _, err := r.HeadManifest(ctx, "v2"); err != nil {
		t.Errorf("the manifest went with one tag: %v", err)
	}
	if err := r.Artifact("v2").Delete(ctx); err != nil {
		t.Error(err)
	}
	if _, err := r.HeadManifest(ctx, string(m.Digest)); !errors.Is(err, acr.ErrManifestUnknown) {
		t.Errorf("deleted, and yet: %v", err)
	}
}

// TestManifestRoundTrip: a manifest comes back byte for byte, under every reference it was put under.
func TestManifestRoundTrip(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t, acrtest.WithoutBlobCheck())
	ctx := t.Context()
	r := acrsuite.NewClient(t, srv).Repository("library/hello")
	for _, content := range []string{acrsuite.ImageManifest, indexManifest, strings.Replace(acrsuite.ImageManifest, "vnd.oci.image.manifest.v1", "vnd.docker.distribution.manifest.v2", 1)} {
		d, err := r.PutManifest(ctx, "", []byte(content), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Tag(ctx, string(d.Digest), "again", nil); err != nil {
			t.Fatal(err)
		}
		for _, reference := range []string{"again", string(d.Digest)} {
			m, err := r.GetManifest(ctx, reference)
			if err != nil || string(m.Content) != content {
				t.Errorf("%s: %v", reference, err)
				continue
			}
			head, err := r.HeadManifest(ctx, reference)
			if diff := cmp.Diff(m.Descriptor, head); diff != "" || err != nil {
				t.Errorf("%s: %v %s", reference, err, diff)
			}
			if diff := cmp.Diff(d, head); diff != "" {
				t.Error(diff)
			}
		}
	}
	_, err := r.GetManifest(ctx, "nothing")
	if e, ok := errors.AsType[*acr.Error](err); !ok || e.Code != acr.ErrManifestUnknown || e.CorrelationID == "" || len(e.Details) != 1 || !bytes.Contains(e.Details[0].Detail, []byte("nothing")) {
		t.Errorf("%v", err)
	}
	if _, err := r.Tag(ctx, "again", "v2", &acr.TagOptions{IfAbsent: true}); err != nil {
		t.Error(err)
	}
	if _, err := r.PutManifest(ctx, "v2", []byte(acrsuite.ImageManifest), &acr.PutManifestOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) {
		t.Errorf("%v", err)
	}
}

// TestManifestNeedsBlobs: a manifest whose blobs are missing is refused with advice.
func TestManifestNeedsBlobs(t *testing.T) {
	t.Parallel()
	r := acrsuite.NewClient(t, acrsuite.NewServer(t)).Repository("library/hello")
	_, err := r.PutManifest(t.Context(), "v1", []byte(acrsuite.ImageManifest), nil)
	if !errors.Is(err, acr.ErrManifestBlobUnknown) || !strings.Contains(err.Error(), "upload the blobs") {
		t.Errorf("%v", err)
	}
}

// TestSoftDelete: what was deleted is listed, and comes back.
func TestSoftDelete(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t, acrtest.WithSoftDelete(7))
	c := acrsuite.NewClient(t, srv)
	ctx := t.Context()
	r := c.Repository("library/hello")
	m := putIndex(t, r, "v1", "x")
	putIndex(t, r, "v2", "y")
	if err := r.DeleteManifest(ctx, m.Digest); err != nil {
		t.Fatal(err)
	}
	putIndex(t, c.Repository("library/gone"), "v1", "x")
	if _, err := c.Repository("library/gone").Delete(ctx); err != nil {
		t.Fatal(err)
	}
	repositories, err := acr.Collect(c.DeletedRepositories(ctx, nil))
	if err != nil || !slices.Contains(repositories, "library/gone") {
		t.Errorf("%v %v", repositories, err)
	}
	manifests, err := acr.Collect(r.DeletedManifests(ctx, nil))
	if err != nil || len(manifests) != 1 || manifests[0].Digest != m.Digest || manifests[0].DeletedAt.IsZero() {
		t.Errorf("%+v %v", manifests, err)
	}
	tags, err := acr.Collect(r.DeletedTags(ctx, nil))
	if err != nil || len(tags) != 1 || tags[0].Name != "v1" || tags[0].Digest != m.Digest || tags[0].DeletedAt.IsZero() || tags[0].Repository != "library/hello" {
		t.Errorf("%+v %v", tags, err)
	}
	if err := r.RestoreManifest(ctx, m.Digest, &acr.RestoreManifestOptions{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Artifact("v1").Digest(ctx); err != nil || d != m.Digest {
		t.Errorf("%s %v", d, err)
	}
	if err := r.RestoreManifest(ctx, acrsuite.GoodDigest, &acr.RestoreManifestOptions{Force: true}); !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
