package images_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// region is a transport to two registries that stand for regions. East is gone once its host has answered so many requests of a method.
type region struct {
	http.RoundTripper
	east, west   *acrtest.Server
	method, host string
	left         atomic.Int64
	gone         atomic.Bool
}

func (g *region) RoundTrip(r *http.Request) (*http.Response, error) {
	inEast := r.URL.Host == g.east.Host() || r.URL.Host == g.east.StorageHost()
	if inEast && g.gone.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	resp, err := g.RoundTripper.RoundTrip(r)
	if inEast && r.Method == g.method && r.URL.Host == g.host && !strings.HasPrefix(r.URL.Path, "/oauth2/") {
		g.gone.Store(g.left.Add(-1) <= 0)
	}
	return resp, err
}

// regional returns two registries with the same image, which stand for two regions, and a client of the first one that falls back to the
// second.
func regional(t *testing.T) (*region, *acr.Client) {
	t.Helper()
	admin := acrtest.WithAdmin("admin", "a password of both")
	g := &region{east: acrtest.New(t, admin), west: acrtest.New(t, admin)}
	g.east.SeedImage(t, "samples/app:v1", make([]byte, 3<<20), make([]byte, 2<<20))
	layout := filepath.Join(t.TempDir(), "layout")
	if _, err := images.Pull(t.Context(), newClient(t, g.east).Repository("samples/app"), "v1", layout, nil); err != nil {
		t.Fatal(err)
	}
	g.west.SeedLayout(t, "samples/app", layout)
	g.RoundTripper = g.east.HTTPClient().Transport // one CA signs for all emulators
	o := &acr.ClientOptions{AllowedHosts: []string{g.east.Host(), g.west.Host()}, FallbackEndpoints: []string{g.west.Endpoint()}}
	o.Transport = &http.Client{Transport: g}
	o.Retry.RetryDelay = time.Millisecond
	client, err := acr.NewClientWithPassword(g.east.Endpoint(), "admin", "a password of both", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return g, client
}

// TestRegionGoesAwayDuringPull: the other region serves the rest of an image that is pulled or copied.
func TestRegionGoesAwayDuringPull(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pull", "copy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, client := regional(t)
			g.method, g.host = http.MethodGet, g.east.StorageHost()
			g.east.On("GetBlobContent").Always().Truncate(1 << 10)
			from := client.Repository("samples/app")
			srv, target := newRegistry(t)
			var err error
			if name == "pull" {
				_, err = images.Pull(t.Context(), from, "v1", filepath.Join(t.TempDir(), "layout"), nil)
			} else {
				_, err = images.Copy(t.Context(), images.Of(from), "v1", images.Of(target.Repository("samples/copy")), "v1", nil)
			}
			if err != nil || g.west.Ledger().Count("GetBlobContent") == 0 {
				t.Errorf("%v, %d blobs of the other region", err, g.west.Ledger().Count("GetBlobContent"))
			}
			if name == "copy" && len(srv.Manifests("samples/copy")) != 1 {
				t.Error("the image did not arrive")
			}
			if _, err := images.Pull(t.Context(), from, "v1", filepath.Join(t.TempDir(), "again"), nil); err != nil {
				t.Errorf("while the region is away: %v", err)
			}
		})
	}
}

// TestRegionGoesAwayDuringPush: the push fails, and nothing of it reaches the other region.
func TestRegionGoesAwayDuringPush(t *testing.T) {
	t.Parallel()
	for uploads := range int64(3) {
		t.Run(fmt.Sprintf("after %d blobs", uploads+1), func(t *testing.T) {
			t.Parallel()
			g, client := regional(t)
			layout := filepath.Join(t.TempDir(), "layout")
			if _, err := images.Pull(t.Context(), client.Repository("samples/app"), "v1", layout, nil); err != nil {
				t.Fatal(err)
			}
			g.method, g.host = http.MethodPost, g.east.Host()
			g.left.Store(uploads + 1)
			_, err := images.Push(t.Context(), layout, "v1", client.Repository("samples/other"), "v1", &images.CopyOptions{Concurrency: 1})
			if n := g.west.Ledger().Count(); err == nil || n > 0 || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%v, %d requests of the push at the other region", err, n)
			}
		})
	}
}

// TestWaitReadableAsksOneRegion: what another region has does not count.
func TestWaitReadableAsksOneRegion(t *testing.T) {
	t.Parallel()
	g, client := regional(t)
	g.east.On("GetManifest").Always().Status(503)
	image := g.east.Manifests("samples/app")[0]
	if err := images.WaitReadable(t.Context(), image, time.Minute, client.Repository("samples/app")); err == nil || g.west.Ledger().Count() > 0 {
		t.Errorf("%v, %d requests at the other region", err, g.west.Ledger().Count())
	}
}
