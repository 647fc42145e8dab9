package acr

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// maxIndexDepth is how far down the search for a blob goes.
const maxIndexDepth = 3

var errNoBlob = errors.New("the manifest names no blob")

// storage reads one byte of a blob, from wherever the registry sends its readers.
func (d *doctor) storage(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	if d.options.Reference == "" {
		s.skip("no tag or digest was named (DoctorOptions.Reference)")
		return
	}
	grant, err := d.granted(ctx)
	if err != nil {
		s.fail(opGetBlob, err)
		return
	}
	dgst, err := d.blob(ctx, &grant)
	if errors.Is(err, errNoBlob) {
		s.skip(err.Error())
		return
	}
	if err != nil {
		s.fail(opGetManifest, err)
		return
	}
	resp, err := d.send(ctx, opGetBlob, &grant, opGetBlob.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.GetBlob(ctx, name, dgst, &gen.GetBlobParams{}, edit)
	})
	if err != nil {
		s.fail(opGetBlob, err)
		return
	}
	s.CorrelationID = correlationOf(resp)
	if !wire.IsRedirect(resp.StatusCode) {
		if err = readByte(resp); err != nil {
			s.fail(opGetBlob, err)
			return
		}
		s.Seen = "blobs come from the registry itself"
		return
	}
	link, err := d.client.transport.BlobLink(resp)
	if err != nil {
		s.fail(opGetBlob, err)
		s.Advice = "the registry sends readers where this client does not go: look for a proxy in between, and at ClientOptions.StrictStorage"
		return
	}
	d.fetch(ctx, s, link)
}

// fetch reads one byte behind a link of the registry.
func (d *doctor) fetch(ctx context.Context, s *DoctorStep, link *wire.Link) {
	host := "storage"
	if u, err := url.Parse(link.String()); err == nil {
		o := wire.OriginOf(u)
		host = net.JoinHostPort(o.Host, o.Port)
	}
	way := &route{}
	resp, err := d.client.transport.Fetch(httptrace.WithClientTrace(ctx, way.trace()), link, http.Header{"Range": {"bytes=0-0"}})
	if err == nil && resp.StatusCode < http.StatusMultipleChoices {
		if err = readByte(resp); err == nil {
			s.Seen = "blobs come from " + host
			return
		}
	}
	if err != nil {
		facts := way.facts()
		broken := facts.brokenAt(err)
		s.fail(opGetBlob, fmt.Errorf("blobs come from %s: %w", host, err))
		s.Advice = cmp.Or(facts.adviseOn(err, broken, host), s.Advice)
		if s.Advice == adviseNoName {
			s.Advice = adviseNoHost
		}
		return
	}
	wire.Drain(resp)
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable { // the blob is empty
		s.Seen = "blobs come from " + host
		return
	}
	s.fail(opGetBlob, fmt.Errorf("%s, where blobs come from, answers %s (request id %s)", host, resp.Status, resp.Header.Get("X-Ms-Request-Id")))
	s.Advice = "storage does not take the registry's link: look for a proxy or service endpoint policy in between, and check the registry's state in the portal"
}

// readByte takes one byte of a body, which may have none.
func readByte(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// blob finds a blob behind the reference: the config or first layer of the manifest, or of the first one of an index. A digest that is
// of no manifest is taken for a blob's.
func (d *doctor) blob(ctx context.Context, grant *auth.Grant) (digest.Digest, error) {
	name, reference := d.options.Repository, d.options.Reference
	_, given, _ := parseReference(reference)
	for range maxIndexDepth {
		resp, err := d.send(ctx, opGetManifest, grant, opGetManifest.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
			return d.client.gen.GetManifest(ctx, name, reference, &gen.GetManifestParams{Accept: acceptManifests}, edit)
		})
		if errors.Is(err, ErrNotFound) && given != "" && reference == d.options.Reference {
			return given, nil
		}
		if err != nil {
			return "", err
		}
		body, err := readBody(resp, nil, maxManifestSize)
		_ = resp.Body.Close()
		if err != nil {
			return "", err
		}
		var m struct {
			Config    ocispec.Descriptor   `json:"config"`
			Layers    []ocispec.Descriptor `json:"layers"`
			Blobs     []ocispec.Descriptor `json:"blobs"`
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return "", fmt.Errorf("%w: %w", ErrMalformedReply, err)
		}
		for _, next := range append(append([]ocispec.Descriptor{m.Config}, m.Layers...), m.Blobs...) {
			if checkDigest(next.Digest) == nil {
				return next.Digest, nil
			}
		}
		if len(m.Manifests) == 0 || checkDigest(m.Manifests[0].Digest) != nil {
			return "", errNoBlob
		}
		reference = m.Manifests[0].Digest.String()
	}
	return "", errNoBlob
}
