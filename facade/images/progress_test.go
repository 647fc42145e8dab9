package images_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

func TestCopyProgress(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", strings.Repeat("0123456789abcdef", 1<<18), "small"), "v1") // 4 MiB
	srv, client := newRegistry(t, acrtest.WithBandwidth(8<<20))
	ctx := t.Context()
	var events []images.Progress
	opts := &images.CopyOptions{Progress: func(p images.Progress) { events = append(events, p) }}
	report, err := images.Push(ctx, s.dir(), "v1", client.Repository("team/app"), "v1", opts)
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if !last.Done || last.Ready != 4 || last.Nodes != 4 || last.Bytes != report.Bytes || last.Bytes.Done() != last.Bytes.Total {
		t.Errorf("%+v, %+v", last, report.Bytes)
	}
	if len(events) < 2 || !slices.IsSortedFunc(events, func(a, b images.Progress) int { return int(a.Bytes.Done() - b.Bytes.Done()) }) {
		t.Errorf("%d events: %+v", len(events), events)
	}
	// A copy that fails is never done.
	srv.On("PutManifest").Status(403)
	events = nil
	if _, err := images.Push(ctx, s.dir(), "v1", client.Repository("team/other"), "v1", opts); err == nil || events[len(events)-1].Done {
		t.Errorf("%v, %+v", err, events)
	}
}

// A callback that panics ends the copy, and its panic comes out of it.
func TestCopyProgressPanics(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.multi()
	_, client := newRegistry(t)
	defer func() {
		if v := recover(); v != "enough" {
			t.Errorf("recovered %v", v)
		}
	}()
	_, err := images.Push(t.Context(), s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{Progress: func(images.Progress) { panic("enough") }})
	t.Errorf("the copy returned: %v", err)
}

// F44: a push that could not be kept at one replica waits until the other one knows the blobs.
func TestCopyWaitsForReplicas(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, _ := s.multi()
	_, client := newRegistry(t, acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(400*time.Millisecond))
	pushLayout(t, s.dir(), "v1", client.Repository("team/app"), "v1", nil)
	if err := images.WaitReadable(t.Context(), root.Digest, time.Minute, client.Repository("team/app")); err != nil {
		t.Error(err)
	}
}

// Errors name the side, the repository and the node.
func TestCopyErrors(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, platforms := s.multi()
	srv, client := newRegistry(t)
	ctx := t.Context()
	pushLayout(t, s.dir(), "v1", client.Repository("dev/app"), "v1", nil)
	other, to := newRegistry(t)
	layer := describe("shared layer")
	for name, c := range map[string]struct {
		fault func() *acrtest.Fault
		side  images.Side
		role  string
		node  ocispec.Descriptor
	}{
		"a layer at the source":    {func() *acrtest.Fault { return srv.On("GetBlob").Path(string(layer.Digest)) }, images.FromSource, "layer", layer},
		"a layer at the target":    {func() *acrtest.Fault { return other.On("StartUpload").When(hasQuery("digest", string(layer.Digest))) }, images.AtTarget, "layer", layer},
		"an image at the source":   {func() *acrtest.Fault { return srv.On("GetManifest").Path(string(platforms[0].Digest)) }, images.FromSource, "manifest", platforms[0]},
		"an image at the target":   {func() *acrtest.Fault { return other.On("PutManifest").Path(string(platforms[1].Digest)) }, images.AtTarget, "image", platforms[1]},
		"the index at the target":  {func() *acrtest.Fault { return other.On("PutManifest").Path("/v1") }, images.AtTarget, "index", root},
		"a question at the target": {func() *acrtest.Fault { return other.On("HeadManifest").Path(string(root.Digest)) }, images.AtTarget, "index", root},
	} {
		c.fault().Status(403).Code("DENIED", "no\x1b[31m\nway")
		_, err := images.Copy(ctx, images.Of(client.Repository("dev/app")), "v1", images.Of(to.Repository("prod/app")), "v1", nil)
		e, ok := errors.AsType[*images.CopyError](err)
		if !ok || e.Side != c.side || e.Role != c.role || e.Descriptor.Digest != c.node.Digest {
			t.Errorf("%s: %v", name, err)
			continue
		}
		place := images.Of(client.Repository("dev/app")).String()
		if c.side == images.AtTarget {
			place = images.Of(to.Repository("prod/app")).String()
		}
		if want := "images: " + string(c.side) + " " + place + ": " + c.role + " " + string(c.node.Digest) + ": acr: "; !strings.HasPrefix(err.Error(), want) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %q does not begin with %q", name, err, want)
		}
		if _, ok := errors.AsType[*acr.Error](err); !ok && c.side == images.AtTarget {
			t.Errorf("%s: the registry's answer is lost: %v", name, err)
		}
		srv.ClearFaults()
		other.ClearFaults()
		if _, err := to.Repository("prod/app").Delete(ctx); err != nil && !errors.Is(err, acr.ErrNotFound) {
			t.Fatal(err)
		}
	}
}
