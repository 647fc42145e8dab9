package acr_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
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

// The first call with a pinned context signs in over the connection that it is sent over.
func TestPinSignsIn(t *testing.T) {
	t.Parallel()
	for _, identity := range []bool{true, false} {
		s := acrtest.New(t)
		s.SeedImage(t, "samples/app:v1")
		base := s.HTTPClient().Transport.(*http.Transport)
		t.Cleanup(base.CloseIdleConnections)
		direct := base.DialContext
		var dialled atomic.Int32
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			return direct(ctx, network, addr)
		}
		o := &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}}
		o.Transport = &http.Client{Transport: base}
		client, err := acr.NewClient(s.Endpoint(), s.Credential(), o)
		if !identity {
			user, password := s.Admin()
			client, err = acr.NewClientWithPassword(s.Endpoint(), user, password, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, release := client.PinAddress(t.Context())
		_, err = client.Repository("samples/app").HeadManifest(ctx, "v1")
		release()
		if n := dialled.Load(); err != nil || n != 1 {
			t.Errorf("identity %v: %v, %d connections, want 1", identity, err, n)
		}
	}
}

// failing is a transport that fails for one host.
type failing struct {
	http.RoundTripper
	host string
	err  error
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == f.host {
		return nil, f.err
	}
	return f.RoundTripper.RoundTrip(r)
}

// TestWhatFallsBack: which failures of an endpoint send a read to the other one, after how many requests, and after which time.
func TestWhatFallsBack(t *testing.T) {
	t.Parallel()
	unreachable := func(err error) func(*regions) {
		return func(g *regions) { g.next = failing{g.next, g.east.Host(), err} }
	}
	for _, row := range []struct {
		name       string
		happens    func(g *regions)
		east, west int // requests
		within     time.Duration
		fails      error
	}{
		{"an outage", func(g *regions) { g.east.On("ListTags").Always().Status(503) }, 2, 1, time.Second, nil},
		{"a long Retry-After", func(g *regions) { g.east.On("ListTags").Always().Status(503, 50*time.Second) }, 1, 1, time.Second, nil},
		{"a short Retry-After", func(g *regions) { g.east.On("ListTags").Nth(1).Status(503, time.Second) }, 2, 0, 2 * time.Second, nil},
		{"throttled", func(g *regions) { g.east.On("ListTags").First(4).Status(429, 2*time.Second) }, 5, 0, 10 * time.Second, nil},
		{"a lost reply", func(g *regions) { g.east.On("ListTags").Nth(1).DropReply() }, 2, 0, time.Second, nil},
		{"the reply breaks off", func(g *regions) { g.east.On("ListTags").Always().Truncate(20) }, 1, 1, time.Second, nil},
		{"the reply stalls", func(g *regions) { g.east.On("ListTags").Always().StallAfter(20) }, 1, 1, time.Minute, nil},
		{"no reply", func(g *regions) { g.east.On("ListTags").Always().Stall() }, 1, 1, 4 * time.Minute, nil},
		{"no name", unreachable(&net.DNSError{Err: "no such host", Name: "east", IsNotFound: true}), 0, 1, time.Second, nil},
		{"a broken resolver", unreachable(&net.DNSError{Err: "i/o timeout", Name: "east", IsTimeout: true}), 0, 1, 2 * time.Second, nil},
		{"a wrong certificate", unreachable(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), 0, 1, time.Second, nil},
		{"no tokens", func(g *regions) { g.east.On("GetAccessTokenWithBasic").Always().Status(503) }, 0, 1, 10 * time.Second, nil},
		{"tokens break off", func(g *regions) { g.east.On("GetAccessTokenWithBasic").Always().ResetAfter(20) }, 0, 1, 10 * time.Second, nil},
		{"no right", func(g *regions) {
			g.east.On("ListTags").Always().Status(403).Code("DENIED", "requested access to the resource is denied")
		}, 1, 0, time.Second, acr.ErrDenied},
		{"no repository", func(g *regions) {
			g.east.On("ListTags").Always().Status(404).Code("NAME_UNKNOWN", "repository name not known")
		}, 1, 0, time.Second, acr.ErrNameUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegions(t, acrsuite.Content(10), acrtest.WithMemoryNetwork())
				row.happens(g)
				began := time.Now()
				ctx := policy.WithRetryOptions(t.Context(), policy.RetryOptions{})
				tags, err := acr.Collect(g.client.Repository("samples/app").Tags(ctx, nil))
				if !errors.Is(err, row.fails) || err == nil && len(tags) != 3 {
					t.Errorf("%d tags, %v", len(tags), err)
				}
				if east, west := g.east.Ledger().Count("ListTags"), g.west.Ledger().Count("ListTags"); east != row.east || west != row.west {
					t.Errorf("%d requests and %d at the other endpoint, want %d and %d", east, west, row.east, row.west)
				}
				if took := time.Since(began); took > row.within {
					t.Errorf("it took %v", took)
				}
				g.strangers(t)
			})
		})
	}
}

// TestWritesAreReadBack: an endpoint that failed for a moment has taken a write. The next read goes there: the other replica does not
// have it yet.
func TestWritesAreReadBack(t *testing.T) {
	t.Parallel()
	g := newRegions(t, acrsuite.Content(10))
	repository := g.client.Repository("samples/app")
	g.east.On("GetManifest").First(2).Status(503)
	if _, err := repository.GetManifest(t.Context(), "v1"); err != nil || g.west.Ledger().Count("GetManifest") != 1 {
		t.Fatalf("%v, %d requests at the other endpoint", err, g.west.Ledger().Count("GetManifest"))
	}
	if _, err := repository.Tag(t.Context(), "v1", "new", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.GetManifest(t.Context(), "new"); err != nil {
		t.Error(err)
	}
}

// TestWritesStay: writes whose replies are lost are repeated at the same endpoint.
func TestWritesStay(t *testing.T) {
	t.Parallel()
	g := newRegions(t, acrsuite.Content(10))
	repository := g.client.Repository("samples/app")
	for _, operation := range []string{"PutManifest", "DeleteTag", "UpdateTagAttributes", "StartUpload", "UploadChunk", "CompleteUpload", "DeleteManifest"} {
		g.east.On(operation).Nth(1).DropReply()
	}
	content := acrsuite.Content(100_000)
	_, uploaded := repository.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 40_000})
	_, tagged := repository.Tag(t.Context(), "v1", "new", nil)
	_, updated := repository.Artifact("new").UpdateTagAttributes(t.Context(), acr.ChangeableAttributes{WriteEnabled: new(true)})
	if err := errors.Join(uploaded, tagged, updated, repository.Artifact("new").DeleteTag(t.Context()), repository.Artifact("v3").Delete(t.Context())); err != nil {
		t.Error(err)
	}
	if n := g.west.Ledger().Count(); n > 0 {
		t.Errorf("%d requests at the other endpoint", n)
	}
}

// TestStorageElsewhere: blobs come from another region's storage, because the registry redirects there or because its own storage
// stalls, and no token goes along.
func TestStorageElsewhere(t *testing.T) {
	t.Parallel()
	content := acrsuite.Content(3 << 20)
	for name, happens := range map[string]func(t *testing.T, g *regions){
		"redirected": func(t *testing.T, g *regions) {
			t.Helper()
			g.east.On("GetBlob").Always().Redirect(http.StatusTemporaryRedirect, linkTo(t, g.west, g.blob.String()))
		},
		"stalled": func(_ *testing.T, g *regions) { g.east.On("GetBlobContent").Always().StallAfter(1 << 20) },
		"broken":  func(_ *testing.T, g *regions) { g.east.On("GetBlobContent").Always().Status(503) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegions(t, content, acrtest.WithMemoryNetwork())
				happens(t, g)
				dst := memory(make([]byte, len(content)))
				if _, err := g.client.Repository("samples/app").DownloadBlob(t.Context(), g.blob, dst, &acr.DownloadOptions{Concurrency: 1}); err != nil || !bytes.Equal(dst, content) {
					t.Error(err)
				}
				reader, err := g.client.Repository("samples/app").GetBlob(t.Context(), g.blob, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, content) {
					t.Error(err)
				}
				if err := reader.Close(); err != nil {
					t.Error(err)
				}
				if g.west.Ledger().Count("GetBlobContent") < 2 {
					t.Error("the other storage served nothing")
				}
				g.strangers(t)
			})
		})
	}
}

// linkTo is a link to a blob in the storage of a registry.
func linkTo(t *testing.T, s *acrtest.Server, dgst string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint()+"/v2/samples/app/blobs/"+dgst, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(s.Admin())
	web := s.HTTPClient()
	defer web.CloseIdleConnections()
	web.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

// TestPinReads: reads stay at one address, and go to another endpoint if their own fails.
func TestPinReads(t *testing.T) {
	t.Parallel()
	g := newRegions(t, acrsuite.Content(10))
	ctx, release := g.client.PinReads(t.Context())
	defer release()
	if same, _ := g.client.PinReads(ctx); same != ctx {
		t.Error("it is pinned twice")
	}
	strict, releaseStrict := g.client.PinAddress(ctx)
	defer releaseStrict()
	if same, _ := g.client.PinReads(strict); same != strict {
		t.Error("PinReads loosens PinAddress")
	}
	repository := g.client.Repository("samples/app")
	g.east.On("GetManifest").From(2).Status(503)
	for i, ctx := range []context.Context{ctx, ctx, strict} {
		_, err := repository.GetManifest(ctx, "v1")
		if west := g.west.Ledger().Count("GetManifest"); (err != nil) != (i == 2) || west != min(i, 1) {
			t.Errorf("%d: %v, %d requests at the other endpoint", i, err, west)
		}
	}
	g.strangers(t)
}
