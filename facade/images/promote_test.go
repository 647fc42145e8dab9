package images_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

func TestPromote(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, referrers, cosign := s.whole()
	srv, client := newRegistry(t)
	ctx := t.Context()
	dev, prod := client.Repository("dev/app"), client.Repository("prod/app")
	pushLayout(t, s.dir(), "v1", dev, "v1", &images.CopyOptions{Referrers: true})
	if _, err := dev.Tag(ctx, "v1", "v1.0", nil); err != nil {
		t.Fatal(err)
	}
	opts := &images.PromoteOptions{AllTags: true, DryRun: true, Protect: &images.ProtectOptions{Referrers: true}}
	if plan, err := images.Promote(ctx, dev, "v1", prod, "stable", opts); err != nil || plan.Root.Digest != root.Digest || len(srv.Tags("prod/app")) != 0 {
		t.Errorf("%v, %v", plan, err)
	}
	opts.DryRun = false
	for range 2 {
		report, err := images.Promote(ctx, dev, "v1", prod, "stable", opts)
		if err != nil {
			t.Fatal(err)
		}
		if report.Protection == nil || len(report.Protection.Manifests) != 9 {
			t.Errorf("%+v", report.Protection)
		}
	}
	s.inRegistry(client, "prod/app", map[string]ocispec.Descriptor{"stable": root, "v1": root, "v1.0": root, cosign: referrers[3]}, referrers...)

	// Another image under the same tag.
	srv.SeedImage(t, "dev/app:v2")
	if _, err := images.Promote(ctx, dev, "v2", prod, "stable", nil); !errors.Is(err, acr.ErrTagExists) {
		t.Errorf("%v", err)
	}
	// A registry that does not list a referrer: the tag is not set.
	srv.On("ListReferrers").Path("/fresh/").Always().ReplyBody(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	_, err := images.Promote(ctx, dev, "v1", client.Repository("fresh/app"), "stable", nil)
	if !errors.Is(err, images.ErrIncomplete) || slices.Contains(srv.Tags("fresh/app"), "stable") {
		t.Errorf("%v, tags %q", err, srv.Tags("fresh/app"))
	}
}

func TestProtect(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	srv.SeedIndex(t, "team/app:v1", "amd64", "arm64")
	r := client.Repository("team/app")
	p, err := images.Protect(ctx, r, "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Manifests) != 3 || p.Manifests[2] != p.Digest || p.Tag != "v1" {
		t.Errorf("%+v", p)
	}
	for _, d := range p.Manifests {
		if err := r.DeleteManifest(ctx, d); !errors.Is(err, acr.ErrLocked) {
			t.Errorf("%s can be deleted: %v", d, err)
		}
	}
	if err := r.Artifact("v1").DeleteTag(ctx); !errors.Is(err, acr.ErrLocked) {
		t.Error(err)
	}
	if loose, err := images.Drift(ctx, r, p); err != nil || loose != nil {
		t.Errorf("%v, %v", loose, err)
	}
	if _, err := r.Artifact(string(p.Manifests[0])).UpdateManifestAttributes(ctx, acr.ChangeableAttributes{DeleteEnabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	if loose, err := images.Drift(ctx, r, p); err != nil || len(loose) != 1 || loose[0].String() != string(p.Manifests[0])+": not locked against deletion" {
		t.Errorf("%v, %v", loose, err)
	}
	if err := images.Unprotect(ctx, r, p); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteManifest(ctx, p.Manifests[1]); err != nil {
		t.Error(err)
	}
	srv.SeedImage(t, "team/app:v1")
	loose, err := images.Drift(ctx, r, p)
	text := marshal(t, loose)
	for _, want := range []string{"gone", "moved to sha256:", "not locked against change"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s, %v", want, text, err)
		}
	}
	if err := images.Unprotect(ctx, r, p); err != nil {
		t.Errorf("what is gone: %v", err)
	}

	// A registry that accepts a lock without effect.
	srv.On("UpdateManifestAttributes").Do(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		read := req.Clone(req.Context())
		read.Method, read.Body, read.ContentLength = http.MethodGet, http.NoBody, 0
		next.ServeHTTP(w, read)
	})
	if p, err := images.Protect(ctx, r, "v1", nil); err == nil || p == nil || p.Tag != "" {
		t.Errorf("%+v, %v", p, err)
	}
	moves, err := images.Protect(ctx, r, "v1", &images.ProtectOptions{AllowMoves: true})
	if err != nil {
		t.Fatal(err)
	}
	if loose, err := images.Drift(ctx, r, moves); err != nil || len(loose) != 0 {
		t.Errorf("%v, %v", loose, err)
	}
}

// A tag that is moved while its image is locked, or whose lock does not hold, is not protected.
func TestProtectTag(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		instead func(srv *acrtest.Server, r *http.Request)
		want    string
	}{
		"moved": {func(srv *acrtest.Server, _ *http.Request) { srv.SeedImage(t, "team/app:v1") }, "tag v1 was moved to sha256:"},
		"not locked": {func(_ *acrtest.Server, r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
		}, "the lock of tag v1"},
	} {
		srv, client := newRegistry(t)
		srv.SeedIndex(t, "team/app:v1", "amd64", "arm64")
		srv.On("UpdateTagAttributes").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			read := r.Clone(r.Context())
			c.instead(srv, read)
			next.ServeHTTP(w, read)
		})
		r := client.Repository("team/app")
		p, err := images.Protect(t.Context(), r, "v1", nil)
		if !errors.Is(err, images.ErrNotProtected) || !strings.Contains(err.Error(), c.want) || p == nil || p.Tag != "v1" || len(p.Manifests) != 3 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if err := images.Unprotect(t.Context(), r, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tag, err := r.Artifact("v1").TagProperties(t.Context()); err != nil || !tag.Attributes.DeleteEnabled || !tag.Attributes.WriteEnabled {
			t.Errorf("%s: the tag is still locked: %+v, %v", name, tag, err)
		}
	}
}

// A push to a registry with two replicas stays at one; the other one is waited for.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const lag = time.Hour
	s := newStock(t)
	root, _, _ := s.whole()
	srv := acrtest.New(t, acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(lag))
	// Only connections of the library's own, or of an *http.Transport, can be kept at one address.
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	ctx := t.Context()
	report, err := images.Push(ctx, s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{Referrers: true})
	if err != nil {
		t.Fatal(err)
	}
	replicas := map[string]int{}
	for _, r := range srv.Ledger().Requests() {
		if r.Origin == acrtest.LoginOrigin && !strings.HasPrefix(r.Path, "/oauth2/") {
			replicas[r.Replica]++
		}
	}
	if len(replicas) != 1 || report.Root.Digest != root.Digest {
		t.Errorf("the push was spread: %v", replicas)
	}
	var at []*acr.Repository
	for _, region := range []string{"eastus", "westeurope"} {
		o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{strings.TrimPrefix(srv.RegionalEndpoint(region), "https://")}}
		c, err := acr.NewClient(srv.RegionalEndpoint(region), srv.Credential(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		at = append(at, c.Repository("team/app"))
	}
	err = images.WaitReadable(ctx, root.Digest, 600*time.Millisecond, at...)
	if !errors.Is(err, images.ErrNotReadable) {
		t.Errorf("%v", err)
	}
	srv.Advance(lag)
	if err := images.WaitReadable(ctx, root.Digest, 10*time.Second, at...); err != nil {
		t.Error(err)
	}
	if err := images.WaitReadable(ctx, "sha256:12", time.Second, at...); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
	if err := images.WaitReadable(ctx, root.Digest, 0, at...); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
}

// A pull reads one replica from the tag to the last blob: it finds the image whole or not at all.
func TestPullReplicas(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.whole()
	srv := acrtest.New(t, acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(time.Hour))
	whole := 0
	for i := range 20 {
		client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		r := client.Repository("team/app")
		if i == 0 {
			pushLayout(t, s.dir(), "v1", r, "v1", nil)
		}
		if i%3 == 0 { // so that the next connection is one to the other replica
			conn, err := srv.DialContext(t.Context(), "tcp", srv.Host())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		}
		_, err = images.Pull(t.Context(), r, "v1", t.TempDir(), nil)
		switch e, _ := errors.AsType[*images.CopyError](err); {
		case err == nil:
			whole++
		case !errors.Is(err, acr.ErrNotFound) || e == nil || e.Role != "reference":
			t.Errorf("%v", err)
		}
	}
	if whole == 0 {
		t.Error("no pull went to the replica that has it")
	}
}

// A promotion reads back what it put, at the replica that it put it to, and only then sets the tag.
func TestPromoteReplicas(t *testing.T) {
	t.Parallel()
	const lag = time.Hour
	s := newStock(t)
	root, _, cosign := s.whole()
	srv := acrtest.New(t, acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(lag))
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	dev, prod := client.Repository("dev/app"), client.Repository("prod/app")
	pushLayout(t, s.dir(), "v1", dev, "v1", &images.CopyOptions{Referrers: true})
	srv.Advance(lag)
	srv.Ledger().Reset()
	if _, err := images.Promote(t.Context(), dev, "v1", prod, "v1", nil); err != nil {
		t.Fatal(err)
	}
	replicas, put, read := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range srv.Ledger().Requests() {
		if r.Origin == acrtest.LoginOrigin && !strings.HasPrefix(r.Path, "/oauth2/") {
			replicas[r.Replica] = true
		}
		switch {
		case r.Repository != prod.Name():
		case r.Operation == "PutManifest" && (r.Reference == "v1" || r.Reference == cosign):
			if missing := len(put) - len(read); missing != 0 || len(put) != 9 {
				t.Errorf("%s was set when %d of %d manifests had not been read back", r.Reference, missing, len(put))
			}
		case r.Operation == "PutManifest":
			put[r.Reference] = true
		case r.Operation == "HeadManifest" && put[r.Reference]:
			read[r.Reference] = true
		}
	}
	if len(replicas) != 1 {
		t.Errorf("the promotion was spread: %v", replicas)
	}
	// One that loses a manifest in between sets no tag.
	srv.On("HeadManifest").Path("/lost/app/manifests/" + string(root.Digest)).Nth(2).Status(http.StatusNotFound)
	_, err = images.Promote(t.Context(), dev, "v1", client.Repository("lost/app"), "v1", nil)
	if e, ok := errors.AsType[*images.CopyError](err); !errors.Is(err, images.ErrIncomplete) || !ok || e.Side != images.AtTarget || e.Descriptor.Digest != root.Digest {
		t.Errorf("%v", err)
	}
	if tags := srv.Tags("lost/app"); len(tags) != 0 {
		t.Errorf("%q", tags)
	}
}

// A lock that cannot be read back is one that Unprotect knows of, and no lock is ever loosened.
func TestProtectHalfway(t *testing.T) {
	t.Parallel()
	srv, client := newRegistry(t)
	ctx := t.Context()
	srv.SeedIndex(t, "team/app:v1", "amd64", "arm64")
	r := client.Repository("team/app")
	for _, operation := range []string{"GetManifestProperties", "GetTagProperties"} {
		line := srv.On(operation).Always().Status(403)
		p, err := images.Protect(ctx, r, "v1", nil)
		line.Remove()
		if err == nil || p == nil || (p.Tag != "") != (operation == "GetTagProperties") {
			t.Fatalf("%s: %+v, %v", operation, p, err)
		}
		if err := images.Unprotect(ctx, r, p); err != nil {
			t.Fatal(err)
		}
		for m, err := range r.Manifests(ctx, nil) {
			if err != nil || !m.Attributes.DeleteEnabled || !m.Attributes.WriteEnabled {
				t.Errorf("%s: %s is still locked: %+v, %v", operation, m.Digest, m.Attributes, err)
			}
		}
		if tag, err := r.Artifact("v1").TagProperties(ctx); err != nil || !tag.Attributes.DeleteEnabled || !tag.Attributes.WriteEnabled {
			t.Errorf("%s: the tag is still locked: %+v, %v", operation, tag, err)
		}
	}
	if _, err := r.Artifact("v1").UpdateTagAttributes(ctx, acr.ChangeableAttributes{WriteEnabled: new(false)}); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Protect(ctx, r, "v1", &images.ProtectOptions{AllowMoves: true}); err != nil {
		t.Fatal(err)
	}
	if tag, err := r.Artifact("v1").TagProperties(ctx); err != nil || tag.Attributes.WriteEnabled {
		t.Errorf("a lock of somebody else was taken back: %+v, %v", tag, err)
	}
}
