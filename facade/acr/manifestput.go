package acr

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// PutManifestOptions are the options of [Repository.PutManifest].
type PutManifestOptions struct {
	// MediaType is the media type of the manifest. Default: the member mediaType of the manifest,
	// which is then required.
	MediaType string

	// IfAbsent fails with [ErrTagExists] if another manifest has the tag. It costs one more
	// request, and a second one if the registry finds no manifest by the tag. The second one,
	// [Artifact.TagProperties], also finds a tag whose manifest is in quarantine; if the identity
	// lacks the right metadata/read, such a tag counts as absent and moves. Two clients that put
	// the same tag at the same moment may both succeed, because registries offer no conditional
	// push. Default: the tag moves.
	IfAbsent bool

	// BlobWait is how long to retry if the registry reports that a blob or manifest named in the
	// manifest is missing, at most one minute. Use it after uploads to a geo-replicated registry,
	// whose replicas learn of them one after another. Default: no retry.
	BlobWait time.Duration
}

const maxBlobWait = time.Minute

// PutManifest stores the exact bytes of a manifest under a tag or under its digest, and returns
// its descriptor. If reference is empty, the manifest is stored under its digest. The blobs and
// manifests that it names must exist.
//
// It usually costs one request. IfAbsent and BlobWait cost more.
//
// If the manifest has a subject and the registry does not confirm it in the response, the client
// asks whether the registry has a referrers API. That costs one more request each time, until one
// answer is yes. If the registry has none, the client adds the manifest to the subject's referrers
// tag (see [Repository.Referrers]), as the OCI distribution specification requires. That costs four
// requests and a quarter of a second, in which the client makes sure that no other client has
// overwritten its entry.
//
// Errors:
//   - [ErrManifestMalformed] if the manifest contradicts itself or its media type
//   - [ErrInvalidArgument] if an argument is invalid, or if the manifest is larger than 4 MiB
//   - [ErrDigestMismatch] if reference is a digest and the content has another one
//   - [ErrTagExists] if IfAbsent is set and another manifest has the tag
//   - [ErrManifestBlobUnknown] if a blob or manifest that it names does not exist
//   - [ErrLocked] if the tag or repository is locked
func (r *Repository) PutManifest(ctx context.Context, reference string, content []byte, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	ctx = staying(ctx)
	o := given(opts)
	p, err := r.preparePut(reference, content, &o)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	there := false // then only its subject's referrers may lack it
	if o.IfAbsent && p.tag != "" {
		if there, err = p.holds(ctx); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	var header http.Header
	if !there {
		if header, err = p.send(ctx, min(o.BlobWait, maxBlobWait)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := p.settle(ctx, header); err != nil {
		return ocispec.Descriptor{}, err
	}
	return p.descriptor, nil
}

// PutImage stores an image manifest: it sets the schema version and, if the media type is empty,
// the media type of OCI, encodes the manifest and calls [Repository.PutManifest]. The returned
// descriptor has the digest of the encoded manifest.
//
// Errors are those of PutManifest, and [ErrInvalidArgument] if the config or a layer has no
// valid digest.
func (r *Repository) PutImage(ctx context.Context, reference string, image ocispec.Manifest, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	image.SchemaVersion = schemaVersion
	image.MediaType = cmp.Or(image.MediaType, ocispec.MediaTypeImageManifest)
	image.Layers = append([]ocispec.Descriptor{}, image.Layers...) // never null
	if err := checkNamed("Config", image.Config); err != nil {
		return ocispec.Descriptor{}, err
	}
	return r.putEncoded(ctx, reference, image, "Layers", image.Layers, opts)
}

// PutIndex stores an image index, as [Repository.PutImage] stores an image manifest. The manifests
// that it names must exist.
//
// Errors are those of [Repository.PutManifest], and [ErrInvalidArgument] if a manifest has no
// valid digest.
func (r *Repository) PutIndex(ctx context.Context, reference string, index ocispec.Index, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	index.SchemaVersion = schemaVersion
	index.MediaType = cmp.Or(index.MediaType, ocispec.MediaTypeImageIndex)
	index.Manifests = append([]ocispec.Descriptor{}, index.Manifests...) // never null
	return r.putEncoded(ctx, reference, index, "Manifests", index.Manifests, opts)
}

// schemaVersion is that of all manifests of OCI, and of those of Docker that this package
// accepts.
const schemaVersion = 2

// putEncoded encodes a manifest, of which it checks what it names, and stores it.
func (r *Repository) putEncoded(ctx context.Context, reference string, manifest any, member string, names []ocispec.Descriptor, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	for i, d := range names {
		if err := checkNamed(member+"["+strconv.Itoa(i)+"]", d); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return ocispec.Descriptor{}, badArgument("manifest", "", err.Error())
	}
	return r.PutManifest(ctx, reference, content, opts)
}

// checkNamed fails if a manifest that names the descriptor could not be stored.
func checkNamed(argument string, d ocispec.Descriptor) error {
	if err := checkDigest(d.Digest); err != nil {
		return badArgument(argument, string(d.Digest), "it has no valid digest: use the descriptor that UploadBlob or PutManifest returned")
	}
	return notNegative(argument+".Size", d.Size)
}

// manifestPut is a manifest that is being stored.
type manifestPut struct {
	repository *Repository
	reference  string // as sent: the digest where none was given
	tag        string // empty when it goes under its digest
	descriptor ocispec.Descriptor
	content    []byte
	subject    *ocispec.Descriptor
}

// preparePut makes all checks that need no request.
func (r *Repository) preparePut(reference string, content []byte, opts *PutManifestOptions) (*manifestPut, error) {
	if r.bad() != nil {
		return nil, r.bad()
	}
	p := &manifestPut{repository: r, reference: reference, content: content}
	d := digest.FromBytes(content)
	if reference == "" {
		p.reference = d.String()
	} else {
		tag, want, err := parseReference(reference)
		if err != nil {
			return nil, err
		}
		if want != "" {
			if d = computedAs(want, content); d != want {
				return nil, opPutManifest.fail(contradicts(ErrDigestMismatch, "the content has the digest %s instead of %s", d, want))
			}
		}
		p.tag = tag
	}
	if len(content) > maxManifestSize {
		return nil, badArgument("manifest", "", fmt.Sprintf("it has %d bytes, the limit is %d", len(content), maxManifestSize))
	}
	mediaType, err := checkManifest(content, opts.MediaType)
	if err != nil {
		return nil, opPutManifest.fail(err)
	}
	if isSchema1(mediaType) || !wire.IsVisible(mediaType) {
		return nil, badArgument("MediaType", mediaType, "unsupported manifest media type")
	}
	p.descriptor = ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	if p.subject, err = subjectOf(content); err != nil {
		return nil, opPutManifest.fail(err)
	}
	return p, nil
}

// subjectOf returns the subject of a manifest, or nil.
func subjectOf(content []byte) (*ocispec.Descriptor, error) {
	// A manifest of a kind of its own need not be JSON: then it has none.
	raw, ok := member(content, "subject")
	if !ok || string(raw) == "null" {
		return nil, nil //nolint:nilnil // none is not an error
	}
	d := new(ocispec.Descriptor)
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, malformedManifest("subject: %v", err)
	}
	if err := checkDigest(d.Digest); err != nil {
		return nil, malformedManifest("subject: %s", plain(err))
	}
	return d, nil
}

// member returns a member of a JSON object by its exact name: encoding/json would also take one
// of another case.
func member(document []byte, name string) (json.RawMessage, bool) {
	var all map[string]json.RawMessage
	if json.Unmarshal(document, &all) != nil {
		return nil, false
	}
	raw, ok := all[name]
	return raw, ok
}

// holds reports whether the tag already points to the manifest. It fails if the tag points to
// another one.
func (p *manifestPut) holds(ctx context.Context) (there bool, err error) {
	found, err := p.repository.HeadManifest(ctx, p.tag)
	on := found.Digest
	if errors.Is(err, ErrNotFound) {
		on, err = p.quarantined(ctx)
	}
	switch {
	case err != nil, on == "":
		return false, err
	case !p.hasDigest(on):
		return false, opPutManifest.fail(contradicts(ErrTagExists, "%s is on %s", p.tag, on))
	default:
		return true, nil
	}
}

// quarantined returns the digest that a tag points to if the registry does not find the manifest by the tag: a manifest in quarantine
// is found by its digest only. It returns "" if there is no such tag, or if nobody can tell: the registry is not one of Azure, or the
// identity may not read metadata. It fails if the answer may be another one later.
func (p *manifestPut) quarantined(ctx context.Context) (digest.Digest, error) {
	tag, err := p.repository.Artifact(p.tag).TagProperties(ctx)
	refusal, refused := errors.AsType[*Error](err)
	switch {
	case err == nil && checkDigest(tag.Digest) == nil:
		return tag.Digest, nil
	case err == nil, errors.Is(err, ErrMalformedReply), errors.Is(err, ErrUntrusted):
		return "", nil
	case refused && refusal.StatusCode < http.StatusInternalServerError && !errors.Is(err, ErrThrottled):
		return "", nil
	default:
		return "", err
	}
}

// hasDigest reports whether the digest, of any algorithm, is the manifest's.
func (p *manifestPut) hasDigest(d digest.Digest) bool {
	return checkDigest(d) == nil && computedAs(d, p.content) == d
}

// send puts the manifest and returns the response's header. If the registry reports a missing
// blob, send retries for the time of patience. If the response is lost, send asks the registry
// whether the manifest arrived, unless a later try was told that a blob is missing: a manifest that
// was there before would hide that.
func (p *manifestPut) send(ctx context.Context, patience time.Duration) (http.Header, error) {
	deadline := time.Now().Add(patience)
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		try, tries := withTries(ctx)
		header, err := p.once(try)
		if err == nil {
			return header, nil
		}
		incomplete := errors.Is(err, ErrManifestBlobUnknown)
		if tries.Doubtful && !incomplete && ctx.Err() == nil {
			if there, headErr := p.repository.HeadManifest(ctx, p.reference); headErr == nil && p.hasDigest(there.Digest) {
				return http.Header{}, nil
			}
		}
		if !incomplete || time.Until(deadline) < pause {
			return nil, err
		}
		if waitErr := wait.Sleep(ctx, pause); waitErr != nil {
			return nil, opPutManifest.fail(fmt.Errorf("%w while waiting for blobs to appear: %w", waitErr, err)) // both can be found
		}
	}
}

// once sends the manifest.
func (p *manifestPut) once(ctx context.Context) (http.Header, error) {
	resp, err := p.repository.do(ctx, opPutManifest, func(ctx context.Context) (*http.Response, error) {
		body := transport.NewBody(bytes.NewReader(p.content), 0, int64(len(p.content)))
		return p.repository.client.gen.PutManifestWithBody(ctx, p.repository.name, p.reference, p.descriptor.MediaType, body)
	})
	if err != nil {
		return nil, err
	}
	wire.Drain(resp)
	return resp.Header, nil
}

// settle compares what the registry says it stored, and sees to the referrers of the subject.
func (p *manifestPut) settle(ctx context.Context, header http.Header) error {
	stored, err := statedDigest(header, headerDigest)
	if err == nil && stored != "" && !p.hasDigest(stored) {
		err = contradicts(ErrDigestMismatch, "the registry stored %s instead of %s", stored, p.descriptor.Digest)
	}
	if err != nil {
		return opPutManifest.fail(err)
	}
	if p.subject == nil || header.Get("OCI-Subject") == string(p.subject.Digest) {
		return nil
	}
	if err := p.repository.noteReferrer(ctx, p.subject.Digest, p.descriptor, p.content); err != nil {
		return opPutManifest.fail(fmt.Errorf("%s is stored, but not listed as a referrer of its subject: %w", p.descriptor.Digest, err))
	}
	return nil
}
