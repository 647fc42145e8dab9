package acr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// PutManifestOptions are the choices of PutManifest and Tag.
type PutManifestOptions struct {
	// MediaType of the manifest. Empty: its own mediaType member, which is then required.
	MediaType string

	// IfAbsent refuses to move a tag that another manifest has: ErrTagExists. It costs a request, and does not shut out a writer that puts
	// the same tag in the same moment: registries have no condition for that. False: the tag moves.
	IfAbsent bool

	// BlobWait is how long to try again while the registry says that it lacks a blob or manifest that this one names: for blobs uploaded a
	// moment ago to a geo-replicated registry, whose replicas learn of them one after another. 0: not at all; at most a minute counts.
	BlobWait time.Duration
}

const maxBlobWait = time.Minute

// PutManifest stores a manifest, byte for byte, under a tag, under its digest, or, where the reference is empty, under whatever digest it
// has, and gives its descriptor. The blobs and manifests that it names must be there.
//
// It usually costs one request. IfAbsent and BlobWait cost more, and so does a manifest with a subject on a registry that does not confirm
// it: the client asks once whether the registry has a referrers API, and where it has none adds the manifest to the subject's referrers tag
// (three requests), as the OCI distribution spec asks of clients.
//
// Errors: ErrManifestMalformed, ErrInvalidArgument (over 4 MiB), ErrDigestMismatch, ErrTagExists, ErrManifestBlobUnknown, ErrLocked,
// ErrInvalidArgument.
func (r *Repository) PutManifest(ctx context.Context, reference string, content []byte, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	if opts == nil {
		opts = &PutManifestOptions{}
	}
	p, err := r.preparePut(reference, content, opts)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	there := false // then only its subject's referrers may lack it
	if opts.IfAbsent && p.tag != "" {
		if there, err = p.holds(ctx); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	var header http.Header
	if !there {
		if header, err = p.send(ctx, min(opts.BlobWait, maxBlobWait)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := p.settle(ctx, header); err != nil {
		return ocispec.Descriptor{}, err
	}
	return p.descriptor, nil
}

// manifestPut is one manifest on its way.
type manifestPut struct {
	repository *Repository
	reference  string // as sent: the digest where none was given
	tag        string // empty when it goes under its digest
	descriptor ocispec.Descriptor
	content    []byte
	subject    *ocispec.Descriptor
}

// preparePut checks everything that can be known before anything is sent.
func (r *Repository) preparePut(reference string, content []byte, opts *PutManifestOptions) (*manifestPut, error) {
	if r.err != nil {
		return nil, r.err
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

// subjectOf is the subject that a manifest names, or nil.
func subjectOf(content []byte) (*ocispec.Descriptor, error) {
	var m struct {
		Subject *ocispec.Descriptor `json:"subject"`
	}
	// A manifest of a kind of its own need not be JSON: then it has none.
	if json.Unmarshal(content, &m) != nil || m.Subject == nil {
		return nil, nil //nolint:nilnil,nilerr // none is not an error
	}
	if err := checkDigest(m.Subject.Digest); err != nil {
		return nil, malformedManifest("subject: %s", plain(err))
	}
	return m.Subject, nil
}

// holds tells whether the manifest is under its tag already, and refuses a tag that another has.
func (p *manifestPut) holds(ctx context.Context) (there bool, err error) {
	found, err := p.repository.HeadManifest(ctx, p.tag)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !p.is(found.Digest):
		return false, opPutManifest.fail(contradicts(ErrTagExists, "%s is on %s", p.tag, found.Digest))
	default:
		return true, nil
	}
}

// is tells whether the digest, of whatever algorithm, is the manifest's.
func (p *manifestPut) is(d digest.Digest) bool {
	return checkDigest(d) == nil && computedAs(d, p.content) == d
}

// send puts the manifest, again where the registry lacks a blob that it may be about to learn of, and gives the answer's header. Where
// the answer is lost, the registry is asked whether the manifest arrived.
func (p *manifestPut) send(ctx context.Context, patience time.Duration) (http.Header, error) {
	deadline := time.Now().Add(patience)
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		try, tries := withTries(ctx)
		header, err := p.once(try)
		if err == nil {
			return header, nil
		}
		if tries.Doubtful && ctx.Err() == nil {
			if there, headErr := p.repository.HeadManifest(ctx, p.reference); headErr == nil && p.is(there.Digest) {
				return http.Header{}, nil
			}
		}
		if !errors.Is(err, ErrManifestBlobUnknown) || time.Until(deadline) < pause {
			return nil, err
		}
		if waitErr := pauseFor(ctx, pause); waitErr != nil {
			return nil, opPutManifest.fail(fmt.Errorf("%w while waiting for blobs to appear: %w", waitErr, err)) // both can be found
		}
	}
}

// pauseFor waits, but not beyond the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
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
	if stored := digest.Digest(header.Get(headerDigest)); stored != "" {
		if !p.is(stored) {
			return opPutManifest.fail(contradicts(ErrDigestMismatch, "the registry stored %s instead of %s", quote(string(stored)), p.descriptor.Digest))
		}
	}
	if p.subject == nil || digest.Digest(header.Get("OCI-Subject")) == p.subject.Digest {
		return nil
	}
	if err := p.repository.noteReferrer(ctx, p.subject.Digest, p.descriptor, p.content); err != nil {
		return opPutManifest.fail(fmt.Errorf("%s is stored, but not listed as a referrer of its subject: %w", p.descriptor.Digest, err))
	}
	return nil
}
