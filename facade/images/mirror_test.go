package images_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func TestMirror(t *testing.T) {
	t.Parallel()
	source, from := newRegistry(t)
	target, to := newRegistry(t)
	ctx := t.Context()
	for _, image := range []string{"lib/web:1.2.0", "lib/web:1.10.0", "lib/web:2.0.0", "lib/web:2.1.0-rc.1", "lib/web:latest", "lib/db:v1", "lib/db:nightly", "other:v1"} {
		source.SeedImage(t, image)
	}
	source.SeedIndex(t, "lib/multi:v1", "amd64", "arm64")
	target.SeedImage(t, "mirror/db:v1") // another one
	rules := []images.MirrorRule{
		{From: "lib/web", To: "mirror/web", Versions: ">=1", Newest: 2},
		{From: "lib/*", To: "mirror/*", Tags: []string{"v*", "nightly", "latest"}, Except: []string{"night*"}},
	}
	run := func(opts *images.MirrorOptions, rules []images.MirrorRule) (got []string) {
		t.Helper()
		for m, err := range images.Mirror(ctx, images.OfClient(from), to, rules, opts) {
			if err != nil {
				t.Fatal(err)
			}
			if m.State == images.Failed {
				t.Error(m.Err)
			}
			got = append(got, fmt.Sprintf("%s>%s:%s %s", m.From, m.To, m.Tag, m.State))
		}
		return got
	}
	want := []string{
		"lib/web>mirror/web:1.10.0 mirrored", "lib/web>mirror/web:2.0.0 mirrored",
		"lib/db>mirror/db:v1 drifted", "lib/multi>mirror/multi:v1 mirrored", "lib/web>mirror/web:latest mirrored",
	}
	if got := run(&images.MirrorOptions{DryRun: true}, rules); !slices.Equal(got, want) || len(target.Repositories()) != 1 {
		t.Errorf("%q, repositories %q", got, target.Repositories())
	}
	if got := run(nil, rules); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := target.Tags("mirror/web"); !slices.Equal(got, []string{"1.10.0", "2.0.0", "latest"}) {
		t.Errorf("%q", got)
	}
	rules[1].Move = true
	want[2] = "lib/db>mirror/db:v1 mirrored"
	for _, i := range []int{0, 1, 3, 4} {
		want[i] = want[i][:len(want[i])-len("mirrored")] + "up to date"
	}
	if got := run(nil, rules); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	want[2] = "lib/db>mirror/db:v1 up to date"
	target.Ledger().Reset()
	if got := run(nil, rules); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := target.Ledger().Count("HeadManifest"); n != len(want) || n != target.Ledger().Count() {
		t.Errorf("%d requests for %d tags that are up to date", target.Ledger().Count(), len(want))
	}
	if got := run(&images.MirrorOptions{Copy: images.CopyOptions{Referrers: true}}, rules); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}

	before := source.Ledger().Count()
	for _, rule := range []images.MirrorRule{
		{From: "lib/web"}, {Tags: []string{"v1"}}, {From: "a/*/b/*", Tags: []string{"v1"}}, {From: "a", To: "b/*", Tags: []string{"v1"}},
		{From: "a", Tags: []string{"["}}, {From: "a", Tags: []string{"v1"}, Newest: 1}, {From: "a", Versions: "latest"}, {From: "a", Versions: ">=1", Newest: -1},
	} {
		for m, err := range images.Mirror(ctx, images.OfClient(from), to, []images.MirrorRule{rule}, nil) {
			if m != nil || !errors.Is(err, acr.ErrInvalidArgument) {
				t.Errorf("%+v: %v", rule, err)
			}
		}
	}
	if n := source.Ledger().Count(); n != before {
		t.Errorf("%d requests for rules that cannot be used", n-before)
	}
	for m, err := range images.Mirror(ctx, images.OfClient(from), to, []images.MirrorRule{{From: "lib/web", Tags: []string{"gone", "latest"}}}, nil) {
		if err != nil || m.Tag == "gone" && (m.State != images.Failed || !errors.Is(m.Err, acr.ErrNotFound)) || m.Tag == "latest" && m.State != images.Mirrored {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// Many tags a second time, with everything that belongs to them: nothing is sent, and the target is asked once for each
// tag and once for each manifest, though every image has two tags.
func TestMirrorAgain(t *testing.T) {
	t.Parallel()
	imageCount, tagsEach := acrsuite.UnderRace(20, 100), 2
	source, from := newRegistry(t)
	target, to := newRegistry(t)
	ctx := t.Context()
	for i := range imageCount {
		image := source.SeedImage(t, fmt.Sprintf("lib/web:v1.%d", i), fmt.Appendf(nil, "layer %d", i))
		if i%10 == 0 {
			source.SeedReferrer(t, "lib/web", image, "application/vnd.example.sbom")
		}
		if _, err := from.Repository("lib/web").Tag(ctx, fmt.Sprintf("v1.%d", i), fmt.Sprintf("v1.%d-again", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	manifests := len(source.Manifests("lib/web"))
	for _, referrers := range []bool{false, true} {
		for i, want := range []images.MirrorState{images.Mirrored, images.UpToDate} {
			target.Ledger().Reset()
			tags := 0
			rules := []images.MirrorRule{{From: "lib/web", To: fmt.Sprintf("mirror/%v", referrers), Tags: []string{"**"}}}
			for m, err := range images.Mirror(ctx, images.OfClient(from), to, rules, &images.MirrorOptions{Copy: images.CopyOptions{Referrers: referrers}}) {
				if err != nil || m.Err != nil {
					t.Fatal(m, err)
				}
				if tags++; m.State != want {
					t.Errorf("run %d: %s is %s", i, m.Tag, m.State)
				}
			}
			if tags != imageCount*tagsEach {
				t.Errorf("%d tags", tags)
			}
			if i == 0 {
				continue
			}
			heads, all := target.Ledger().Count("HeadManifest"), target.Ledger().Count()-target.Ledger().Count("GetAccessToken")
			most := tags
			if referrers {
				most += manifests
			}
			t.Logf("referrers %v: %d HEAD requests for %d tags and %d manifests", referrers, heads, tags, manifests)
			if heads > most || all != heads {
				t.Errorf("referrers %v: %d HEAD requests for %d tags and %d manifests, %d requests in all", referrers, heads, tags, manifests, all)
			}
		}
	}
}

// Where a registry lists referrers under tags, a wildcard does not select those: the target's lists are its own.
func TestMirrorReferrersTags(t *testing.T) {
	t.Parallel()
	source, from := newRegistry(t)
	target, to := newRegistry(t)
	d := source.SeedImage(t, "lib/web:v1")
	list, signature := "sha256-"+d.Encoded(), "sha256-"+d.Encoded()+".sig"
	source.SeedImage(t, "lib/web:"+list)
	source.SeedImage(t, "lib/web:"+signature)
	for _, c := range []struct {
		tags []string
		want []string
	}{{[]string{"**"}, []string{signature, "v1"}}, {[]string{list}, []string{list, signature, "v1"}}} {
		rules := []images.MirrorRule{{From: "lib/web", Tags: c.tags, Move: true}}
		for m, err := range images.Mirror(t.Context(), images.OfClient(from), to, rules, nil) {
			if err != nil || m.Err != nil {
				t.Errorf("%+v, %v", m, err)
			}
		}
		if got := target.Tags("lib/web"); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.tags, got)
		}
	}
}
