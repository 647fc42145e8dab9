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
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// maxIndexDepth limits how deep the search for a blob follows indexes.
const maxIndexDepth = 3

var errNoBlob = errors.New("the manifest refers to no blob")

// storage reads one byte of a blob, from where the registry redirects readers.
func (d *doctor) storage(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	if d.options.Reference == "" {
		s.skip("no tag or digest was given (DoctorOptions.Reference)")
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
		if errors.Is(err, ErrNotFound) {
			s.Advice = "check the tag or digest that was given (DoctorOptions.Reference)"
		}
		return
	}
	var link *transport.Link // nil if the registry serves blobs itself
	err = d.ask(ctx, opGetBlob, &grant, opGetBlob.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.GetBlob(ctx, name, dgst, &gen.GetBlobParams{}, edit)
	}, func(resp *http.Response) (err error) {
		s.CorrelationID = correlationOf(resp)
		if !wire.IsRedirect(resp.StatusCode) {
			return readByte(resp.Body)
		}
		link, err = d.client.transport.BlobLink(resp)
		return err
	})
	switch {
	case err != nil:
		s.fail(opGetBlob, err)
	case link == nil:
		s.Seen = "blobs are served by the registry itself"
	default:
		d.fetch(ctx, s, link)
	}
}

// fetch reads one byte from a storage link.
func (d *doctor) fetch(ctx context.Context, s *DoctorStep, link *transport.Link) {
	host := "storage"
	if u, err := url.Parse(link.String()); err == nil {
		o := wire.OriginOf(u)
		host = net.JoinHostPort(o.Host, o.Port)
	}
	way := &route{}
	resp, err := d.client.transport.Fetch(httptrace.WithClientTrace(ctx, way.trace()), link, http.Header{"Range": {"bytes=0-0"}})
	status := 0
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		if status = resp.StatusCode; status < http.StatusMultipleChoices {
			err = readByte(resp.Body)
		}
	}
	switch {
	case err != nil:
		facts := way.facts()
		broken := facts.brokenAt(err)
		s.fail(opGetBlob, fmt.Errorf("blobs are served by %s: %w", host, err))
		s.Advice = cmp.Or(facts.adviseOn(err, broken, host), s.Advice)
		if s.Advice == adviseNoName {
			s.Advice = adviseNoHost
		}
	case status < http.StatusMultipleChoices, status == http.StatusRequestedRangeNotSatisfiable: // the latter: the blob is empty
		s.Seen = "blobs are served by " + host
	default:
		answer := host + ", which serves blobs, returned " + resp.Status
		if id := resp.Header.Get("X-Ms-Request-Id"); id != "" {
			answer += " (request id " + id + ")"
		}
		s.fail(opGetBlob, errors.New(answer))
		s.Advice = "storage does not accept the registry's link: look for a proxy or service endpoint policy in between, and check the registry's state in the portal"
	}
}

// readByte reads one byte of a body, which may be empty.
func readByte(body io.Reader) error {
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// blob finds a blob of the reference: the config or first layer of the manifest, or of the first
// manifest of an index. A digest that does not belong to a manifest is treated as that of a blob.
func (d *doctor) blob(ctx context.Context, grant *auth.Grant) (digest.Digest, error) {
	name, reference := d.options.Repository, d.options.Reference
	_, given, _ := parseReference(reference)
	for range maxIndexDepth {
		var body []byte
		err := d.ask(ctx, opGetManifest, grant, opGetManifest.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
			return d.client.gen.GetManifest(ctx, name, reference, &gen.GetManifestParams{Accept: acceptManifests}, edit)
		}, func(resp *http.Response) (err error) {
			body, err = readBody(resp, nil, maxManifestSize)
			return err
		})
		if errors.Is(err, ErrNotFound) && given != "" && reference == d.options.Reference {
			return given, nil
		}
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
