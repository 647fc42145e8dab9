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
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/route"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// rights runs the steps that check the rights of the identity.
func (d *doctor) rights(ctx context.Context) {
	var once sync.Once
	var grant auth.Grant
	var err error
	d.granted = func(ctx context.Context) (auth.Grant, error) {
		once.Do(func() {
			grant, err = d.auth.Grant(ctx, "repository:"+d.options.Repository+":delete,metadata_read,metadata_write,pull,push")
		})
		return grant, err
	}
	d.step(ctx, DoctorCatalog, []string{DoctorToken}, d.catalog)
	d.step(ctx, DoctorPull, []string{DoctorToken}, d.pull)
	d.step(ctx, DoctorPush, []string{DoctorToken}, d.push)
	d.step(ctx, DoctorAnonymous, []string{DoctorChallenge}, d.anonymous)
	d.step(ctx, DoctorStorage, []string{DoctorPull}, d.storage)
}

// catalog lists one repository. Many identities may not: repository tokens, and most identities on
// registries with ABAC.
func (d *doctor) catalog(ctx context.Context, s *DoctorStep) {
	scopes := scopeCatalog("")
	grant, err := d.auth.Grant(ctx, scopes...)
	if err != nil {
		s.fail(opListRepositories, err)
		return
	}
	err = d.ask(ctx, opListRepositories, &grant, scopes, func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.ListRepositories(ctx, &gen.ListRepositoriesParams{N: new(gen.PageSize(1)), APIVersion: apiVersion()}, edit)
	}, s.list(opListRepositories, "repositories"))
	if err != nil {
		s.fail(opListRepositories, err)
		if errors.Is(err, ErrCatalogRole) || errors.Is(err, ErrAnonymous) {
			s.Status = DoctorWarn
		}
		return
	}
	s.Seen = "repositories can be listed"
}

// repositoryGrant returns the access token for the repository. Without one the step ends: it is skipped
// if no repository was given, and fails otherwise.
func (d *doctor) repositoryGrant(ctx context.Context, s *DoctorStep, op *operation) (grant auth.Grant, ok bool) {
	if d.options.Repository == "" {
		s.skip("no repository was given (DoctorOptions.Repository)")
		return grant, false
	}
	grant, err := d.granted(ctx)
	if err != nil {
		s.fail(op, err)
	}
	return grant, err == nil
}

// pull reads the granted actions from the access token, and lists one tag to confirm them.
func (d *doctor) pull(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	grant, ok := d.repositoryGrant(ctx, s, opListTagNames)
	if !ok {
		return
	}
	err := d.ask(ctx, opListTagNames, &grant, opListTagNames.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.ListTagNames(ctx, name, &gen.ListTagNamesParams{N: new(gen.PageSize(1))}, edit)
	}, s.list(opListTagNames, "tags"))
	actions, known := grant.Actions("repository", name)
	switch {
	case known && err == nil && !allows(actions, "pull"): // tags may be listed with less
		s.fail(opListTagNames, fmt.Errorf("%w: pull on %s", ErrMissingAction, name))
		s.Advice = "assign AcrPull to the identity (ABAC: Container Registry Repository Reader; repository token: content/read)"
	case errors.Is(err, ErrNotFound):
		s.fail(opListTagNames, err)
		s.Seen = "there is no repository " + name
		s.warn("check its name; the first push creates it")
	case err != nil:
		s.fail(opListTagNames, err)
		return
	default:
		s.Seen = "tags of " + name + " can be listed"
	}
	if known {
		s.Seen += "; granted: " + cmp.Or(strings.Join(actions, " "), "nothing")
	}
}

// push reads the right from the access token, or tries it.
func (d *doctor) push(ctx context.Context, s *DoctorStep) {
	name := d.options.Repository
	grant, ok := d.repositoryGrant(ctx, s, opStartUpload)
	if !ok {
		return
	}
	if d.options.TryPush {
		d.tryPush(ctx, s, &grant)
		return
	}
	switch actions, known := grant.Actions("repository", name); {
	case !known:
		s.skip("the access token does not state permissions; use DoctorOptions.TryPush")
	case allows(actions, "push") && allows(actions, "pull"): // uploads need both
		s.Seen = "granted on " + name
	default:
		s.Err, s.Seen = ErrMissingAction, "not granted on "+name
		s.warn("if the identity should push, assign AcrPush to it (ABAC: Container Registry Repository Writer; repository token: content/write and content/read)")
	}
}

// allows reports whether an action was granted.
func allows(actions []string, action string) bool {
	return slices.Contains(actions, action) || slices.Contains(actions, "*")
}

// tryPush starts an upload and cancels it.
func (d *doctor) tryPush(ctx context.Context, s *DoctorStep, grant *auth.Grant) {
	name := d.options.Repository
	var at *url.URL
	err := d.ask(ctx, opStartUpload, grant, opStartUpload.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.StartUploadWithBody(ctx, name, &gen.StartUploadParams{}, "application/octet-stream", nil, edit)
	}, func(resp *http.Response) (err error) {
		s.CorrelationID = correlationOf(resp)
		at, err = wire.UploadLocation(resp, d.client.login, name)
		return err
	})
	if err != nil {
		s.fail(opStartUpload, err)
		return
	}
	err = d.ask(ctx, opCancelUpload, grant, opCancelUpload.scopes(name), func(ctx context.Context, edit gen.RequestEditorFn) (*http.Response, error) {
		return d.client.gen.CancelUpload(ctx, name, "session", edit, func(_ context.Context, r *http.Request) error {
			r.URL = at
			return nil
		})
	}, s.correlate)
	if err != nil {
		s.fail(opCancelUpload, err)
		s.Seen = "an upload was started, but not canceled: " + s.Seen
		s.warn("pushing works; the registry deletes the upload by itself after some days")
		return
	}
	s.Seen = "an upload to " + name + " was started and canceled"
}

// anonymous finds out what anonymous callers may do.
func (d *doctor) anonymous(ctx context.Context, s *DoctorStep) {
	if d.auth.Kind() == kindAnonymous {
		s.skip("the client itself is anonymous")
		return
	}
	nobody, err := d.client.auth.ExamineAnonymous(d.witness, d.options.StepTimeout)
	if err != nil {
		s.fail(opDoctor, err)
		return
	}
	typ, name, scope := "registry", "catalog", "registry:catalog:*"
	if d.options.Repository != "" {
		typ, name = "repository", d.options.Repository
		scope = scopePull(name)[0]
	}
	grant, err := nobody.Grant(ctx, scope)
	const off = "off: callers must sign in"
	switch {
	case errors.Is(err, auth.ErrAnonymous):
		s.Seen = off
		return
	case err != nil:
		s.fail(opDoctor, err)
		s.Status = DoctorWarn // it does not affect this client
		return
	}
	s.CorrelationID = d.witness.correlation()
	switch actions, known := grant.Actions(typ, name); {
	case !known:
		s.Seen = "anyone gets an access token; it does not state its permissions"
	case len(actions) == 0:
		s.Seen = off
	default:
		s.Seen = "on: anyone may read"
	}
}

// maxIndexDepth limits how deep the search for a blob follows indexes.
const maxIndexDepth = 3

// adviseNoHost is what to do if the name of storage is not known.
const adviseNoHost = "the name of the registry's storage cannot be resolved: with private link, add its data endpoints (az acr show-endpoints) to the DNS zone"

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
	way := &route.Route{}
	resp, err := d.client.transport.Fetch(httptrace.WithClientTrace(ctx, way.Trace()), link, http.Header{"Range": {"bytes=0-0"}})
	status := 0
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		if status = resp.StatusCode; status < http.StatusMultipleChoices {
			err = readByte(resp.Body)
		}
	}
	switch {
	case err != nil:
		facts := way.Facts()
		broken := facts.BrokenAt(err)
		s.fail(opGetBlob, fmt.Errorf("blobs are served by %s: %w", host, err))
		s.Advice = cmp.Or(facts.AdviseOn(err, broken, host), s.Advice)
		if s.Advice == route.AdviseNoName {
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
