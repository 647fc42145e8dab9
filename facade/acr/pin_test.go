package acr_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// movingClient returns a client of a registry of two replicas that share nothing. Its name resolves to the first one once after moved is
// set, and to the other one from then on. No connection is used twice.
func movingClient(t *testing.T, first, second *acrtest.Server, name string, moved *atomic.Bool) *acr.Client {
	t.Helper()
	base := first.HTTPClient().Transport.(*http.Transport)
	base.DisableKeepAlives = true
	t.Cleanup(base.CloseIdleConnections)
	direct := base.DialContext
	var lookups atomic.Int64
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == name+":443" && moved.Load() && lookups.Add(1) > 1 {
			return second.DialContext(ctx, network, addr)
		}
		return direct(ctx, network, addr)
	}
	o := &acr.ClientOptions{ClientOptions: first.ClientOptions()}
	o.Transport = &http.Client{Transport: base}
	client, err := acr.NewClient("https://"+name, first.Credential(), o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pushImage mounts one blob, uploads another and puts the manifest that names both.
func pushImage(ctx context.Context, r *acr.Repository, from string) error {
	config, err := r.UploadBlob(ctx, strings.NewReader("{}"), &acr.UploadOptions{MediaType: ocispec.MediaTypeImageConfig})
	if err != nil {
		return err
	}
	layer, err := r.MountBlob(ctx, ocispec.DescriptorEmptyJSON.Digest, from)
	if err != nil {
		return err
	}
	layer.MediaType = ocispec.MediaTypeImageLayer
	manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return err
	}
	if _, err := r.PutManifest(ctx, "v1", manifest, nil); err != nil {
		return err
	}
	_, err = r.HeadManifest(ctx, "v1")
	return err
}

// A push whose every call has the pinned context stays at one replica, though it pushes to two registries at once.
func TestPinAddress(t *testing.T) {
	t.Parallel()
	const name, otherName = "moving.azurecr.io", "other.azurecr.io"
	for _, pinned := range []bool{true, false} {
		first, second := acrtest.New(t, acrtest.WithLoginServer(name)), acrtest.New(t, acrtest.WithLoginServer(name))
		third, fourth := acrtest.New(t, acrtest.WithLoginServer(otherName)), acrtest.New(t, acrtest.WithLoginServer(otherName))
		var moved atomic.Bool
		clients := []*acr.Client{movingClient(t, first, second, name, &moved), movingClient(t, third, fourth, otherName, &moved)}
		ctx := t.Context()
		for i, c := range clients {
			if _, err := c.Repository("push/base").UploadBlob(ctx, strings.NewReader("{}"), nil); err != nil {
				t.Fatal(err)
			}
			if err := pushImage(ctx, c.Repository("push/here"), "push/base"); err != nil { // now there are tokens for it
				t.Fatal(err)
			}
			if !pinned {
				continue
			}
			var release, nothing func()
			ctx, release = c.PinAddress(ctx) //nolint:fatcontext // one pin a client
			defer release()
			var same context.Context
			if same, nothing = c.PinAddress(ctx); same != ctx {
				t.Error("client", i, "is pinned twice")
			}
			nothing() // does not end the outer one
		}
		moved.Store(true)
		for i, c := range clients {
			elsewhere := []*acrtest.Server{second, fourth}[i]
			err := pushImage(ctx, c.Repository("push/here"), "push/base")
			switch n := elsewhere.Ledger().Count(); {
			case pinned && (err != nil || n > 0):
				t.Errorf("client %d, pinned: %v, %d requests at the other replica", i, err, n)
			case !pinned && n == 0:
				t.Errorf("client %d: the name did not move", i)
			}
		}
	}
}
