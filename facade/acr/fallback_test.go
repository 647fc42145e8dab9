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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// regions are two registries with the same content, which share nothing, and a client of both.
type regions struct {
	east, west *acrtest.Server
	client     *acr.Client
	blob       digest.Digest

	mu     sync.Mutex
	tokens map[string]map[string]bool // by host, what was sent there in a header
	next   http.RoundTripper
}

// RoundTrip notes the credentials of a request.
func (g *regions) RoundTrip(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); strings.HasPrefix(a, "Bearer ") {
		g.mu.Lock()
		if g.tokens[r.URL.Host] == nil {
			g.tokens[r.URL.Host] = map[string]bool{}
		}
		g.tokens[r.URL.Host][a] = true
		g.mu.Unlock()
	}
	return g.next.RoundTrip(r)
}

// strangers fails if a token was sent to two hosts.
func (g *regions) strangers(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for host, tokens := range g.tokens {
		for other, theirs := range g.tokens {
			for token := range tokens {
				if host != other && theirs[token] {
					t.Errorf("a token went to %s and %s", host, other)
				}
			}
		}
	}
	for _, s := range []*acrtest.Server{g.east, g.west} {
		s.Ledger().NoCredentialLeaked(t)
	}
}

func newRegions(t *testing.T, content []byte, opts ...acrtest.Option) *regions {
	t.Helper()
	admin := acrtest.WithAdmin("admin", "a password of both")
	opts = append(opts, admin)
	g := &regions{east: acrtest.New(t, opts...), west: acrtest.New(t, opts...), tokens: map[string]map[string]bool{}}
	pool := x509.NewCertPool()
	for _, s := range []*acrtest.Server{g.east, g.west} {
		pool.AppendCertsFromPEM(s.CA())
		g.blob = s.SeedBlob(t, "samples/app", content)
		s.SeedImage(t, "samples/app:v1")
		s.SeedImage(t, "samples/app:v2")
		s.SeedImage(t, "samples/app:v3")
	}
	base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == g.west.Host() || address == g.west.StorageHost() {
			return g.west.DialContext(ctx, network, address)
		}
		return g.east.DialContext(ctx, network, address)
	}}
	t.Cleanup(base.CloseIdleConnections)
	g.next = base
	o := &acr.ClientOptions{AllowedHosts: []string{g.east.Host(), g.west.Host()}, FallbackEndpoints: []string{g.west.Endpoint()}}
	o.Transport = &http.Client{Transport: g}
	o.Retry = policy.RetryOptions{RetryDelay: time.Millisecond, MaxRetryDelay: 5 * time.Millisecond}
	var err error
	if g.client, err = acr.NewClientWithPassword(g.east.Endpoint(), "admin", "a password of both", o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.client.CloseIdleConnections)
	return g
}

// memory is a destination.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

// TestPullGoesOnElsewhere: the endpoint of a pull goes away in the middle of it, and the other one serves the rest.
func TestPullGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	content := acrsuite.Content(24 << 20)
	for _, row := range []struct {
		name string
		opts []acrtest.Option
		pull func(t *testing.T, g *regions, gone func()) ([]byte, error)
	}{
		{"file", nil, func(t *testing.T, g *regions, gone func()) ([]byte, error) {
			t.Helper()
			dst := memory(make([]byte, len(content)))
			_, err := g.client.Repository("samples/app").DownloadBlob(t.Context(), g.blob, dst, &acr.DownloadOptions{Progress: func(p acr.Progress) {
				if p.Offset > 0 {
					gone()
				}
			}})
			return dst, err
		}},
		{"stream", nil, readAfter},
		{"sent by the registry itself", []acrtest.Option{acrtest.WithInlineBlobs()}, readAfter},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := newRegions(t, content, append(row.opts, acrtest.WithBandwidth(40<<20))...)
			var once sync.Once
			got, err := row.pull(t, g, func() { once.Do(g.east.Close) })
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%v, %d bytes", err, len(got))
			}
			if g.west.Ledger().Count("GetBlob") == 0 {
				t.Error("the other endpoint served nothing")
			}
			g.strangers(t)
		})
	}
}

// readAfter reads a blob as a stream, whose registry goes away after the first bytes.
func readAfter(t *testing.T, g *regions, gone func()) ([]byte, error) {
	t.Helper()
	reader, err := g.client.Repository("samples/app").GetBlob(t.Context(), g.blob, nil)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(reader, head); err != nil {
		return nil, err
	}
	gone()
	rest, err := io.ReadAll(reader)
	return slices.Concat(head, rest), errors.Join(err, reader.Close())
}

// TestReadsFallBack: lists and manifests come from the other endpoint after a refused connection and after 5xx, page by page, and for a
// minute the first one is not asked; an answer that another endpoint would give too is not asked for twice.
func TestReadsFallBack(t *testing.T) {
	t.Parallel()
	g := newRegions(t, acrsuite.Content(10))
	repository := g.client.Repository("samples/app")
	g.east.On("ListTags").From(2).Status(503)
	var names []string
	for tag, err := range repository.Tags(t.Context(), &acr.ListTagsOptions{PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tag.Name)
	}
	if strings.Join(names, " ") != "v1 v2 v3" || g.east.Ledger().Count("ListTags") != 3 || g.west.Ledger().Count("ListTags") != 2 {
		t.Errorf("%q, %d requests and %d at the other", names, g.east.Ledger().Count("ListTags"), g.west.Ledger().Count("ListTags"))
	}
	if _, err := repository.GetManifest(t.Context(), "v1"); err != nil || g.east.Ledger().Count("GetManifest") != 0 {
		t.Errorf("%v, %d requests to an endpoint that was down", err, g.east.Ledger().Count("GetManifest"))
	}
	g.east.Close()
	if _, err := acr.Collect(g.client.Repositories(t.Context(), nil)); err != nil {
		t.Error(err)
	}
	if _, err := repository.GetManifest(t.Context(), "missing"); !errors.Is(err, acr.ErrNotFound) {
		t.Error(err)
	}
	pinned, release := g.client.PinAddress(t.Context())
	defer release()
	if _, err := repository.GetManifest(pinned, "v1"); err == nil {
		t.Error("a pinned read went to another endpoint")
	}
	g.strangers(t)

	other := newRegions(t, acrsuite.Content(10))
	if _, err := other.client.Repository("samples/app").GetManifest(t.Context(), "missing"); !errors.Is(err, acr.ErrNotFound) || other.west.Ledger().Count() != 0 {
		t.Errorf("%v, %d requests to the other endpoint", err, other.west.Ledger().Count())
	}
}

// TestPushNeverMixes: the endpoint of a push goes away in the middle of it. The push fails, and nothing of it is sent to the other one.
func TestPushNeverMixes(t *testing.T) {
	t.Parallel()
	for _, kill := range []int32{1, 2, 3} { // while the layer is sent, before the manifest, before the tag
		g := newRegions(t, acrsuite.Content(10))
		repository := g.client.Repository("samples/app")
		var step atomic.Int32
		die := func(at int32) {
			if step.Add(1); at == kill {
				g.east.Close()
			}
		}
		err := func(ctx context.Context) error {
			layer, err := repository.UploadBlob(ctx, &dying{Reader: bytes.NewReader(acrsuite.Content(8 << 20)), after: 4 << 20, die: func() { die(1) }}, &acr.UploadOptions{ChunkSize: 1 << 20})
			if err != nil {
				return err
			}
			config, err := repository.UploadBlob(ctx, strings.NewReader("{}"), &acr.UploadOptions{Digest: digest.FromString("{}"), MediaType: ocispec.MediaTypeImageConfig})
			if err != nil {
				return err
			}
			die(2)
			layer.MediaType = ocispec.MediaTypeImageLayer
			manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}})
			if err != nil {
				return err
			}
			if _, err := repository.PutManifest(ctx, "new", manifest, nil); err != nil {
				return err
			}
			die(3)
			_, err = repository.Tag(ctx, "new", "newest", nil)
			return err
		}(t.Context())
		if err == nil || strings.Contains(err.Error(), "BLOB_UNKNOWN") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("killed at %d: %v", kill, err)
		}
		if n := g.west.Ledger().Count(); n > 0 {
			t.Errorf("killed at %d: %d requests of the push at the other endpoint", kill, n)
		}
		g.strangers(t)
	}
}

// dying is a reader that calls die when it has given so many bytes.
type dying struct {
	io.Reader
	after int
	die   func()
}

func (d *dying) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if d.after > 0 && d.after <= n {
		d.die()
	}
	d.after -= n
	return n, err
}

func TestFallbackEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{
		{"evil.example.com"}, {"http://myregistry.azurecr.io"}, {""}, {"myregistry.azurecr.io"},
		{"myregistry.eastus.geo.azurecr.io", "MYREGISTRY.eastus.geo.azurecr.io"},
	} {
		c, err := acr.NewClient("myregistry.azurecr.io", nil, &acr.ClientOptions{FallbackEndpoints: bad})
		if !errors.Is(err, acr.ErrInvalidArgument) || c != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
