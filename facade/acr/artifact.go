package acr

import (
	"context"
	"iter"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/gen"
)

// Artifact is a handle for a tag with its manifest, or for a manifest by its digest. It is
// created with [Repository.Artifact]. Like a [Repository] it is cheap, has no state and is safe for
// concurrent use.
type Artifact struct {
	repository *Repository
	tag        string        // empty when the reference is a digest
	digest     digest.Digest // empty when the reference is a tag
	err        error         // what is wrong with the reference
}

// bad returns what is wrong with the handle: its repository, its reference, or that it was not
// made by Repository.Artifact.
func (a *Artifact) bad() error {
	if a == nil || a.repository == nil && a.err == nil {
		return unmade("Artifact")
	}
	return a.err
}

// Artifact returns a handle for a tag or digest of the repository. No request is sent. If the
// reference is invalid, the first method that is called fails with [ErrInvalidArgument].
func (r *Repository) Artifact(reference string) *Artifact {
	a := &Artifact{repository: r}
	a.tag, a.digest, a.err = parseReference(reference)
	if r.bad() != nil {
		a.err = r.bad()
	}
	return a
}

// Reference returns the tag or digest that the handle was created with.
func (a *Artifact) Reference() string {
	if a == nil {
		return ""
	}
	return a.tag + string(a.digest)
}

// ArtifactName is the name of a tag or manifest in a registry. Exactly one of Tag and Digest is
// set.
type ArtifactName struct {
	Registry   string // host, such as "myregistry.azurecr.io"
	Repository string
	Tag        string
	Digest     digest.Digest
}

// String returns the fully qualified reference that docker and other clients take, such as
// "myregistry.azurecr.io/library/hello:v1" or "myregistry.azurecr.io/library/hello@sha256:...".
func (n ArtifactName) String() string {
	if n.Digest != "" {
		return n.Registry + "/" + n.Repository + "@" + string(n.Digest)
	}
	return n.Registry + "/" + n.Repository + ":" + n.Tag
}

// Name returns what the handle was created with: registry, repository, and tag or digest. No
// request is sent; [Artifact.Digest] resolves a tag. The name of an invalid handle is empty.
func (a *Artifact) Name() ArtifactName {
	if a.bad() != nil {
		return ArtifactName{}
	}
	return ArtifactName{Registry: a.repository.client.login.Host, Repository: a.repository.name, Tag: a.tag, Digest: a.digest}
}

// Get returns the manifest. Requests and errors are those of [Repository.GetManifest].
func (a *Artifact) Get(ctx context.Context) (*Manifest, error) {
	if a.bad() != nil {
		return nil, a.bad()
	}
	return a.repository.GetManifest(ctx, a.Reference())
}

// Head returns the media type, digest and size of the manifest. Requests and errors are those of
// [Repository.HeadManifest].
func (a *Artifact) Head(ctx context.Context) (ocispec.Descriptor, error) {
	if a.bad() != nil {
		return ocispec.Descriptor{}, a.bad()
	}
	return a.repository.HeadManifest(ctx, a.Reference())
}

// Tag puts another tag on the manifest. Requests and errors are those of [Repository.Tag].
func (a *Artifact) Tag(ctx context.Context, tag string, opts *TagOptions) (ocispec.Descriptor, error) {
	if a.bad() != nil {
		return ocispec.Descriptor{}, a.bad()
	}
	return a.repository.Tag(ctx, a.Reference(), tag, opts)
}

// Digest returns the digest of the manifest. It costs one request for a tag, and none for a
// digest.
//
// Errors:
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name or reference is invalid
func (a *Artifact) Digest(ctx context.Context) (digest.Digest, error) {
	if err := a.bad(); err != nil {
		return "", err
	}
	if a.tag == "" {
		return a.digest, nil
	}
	t, err := a.TagProperties(ctx)
	if err != nil {
		return "", err
	}
	if checkDigest(t.Digest) != nil {
		return "", opGetTagProperties.malformed(nil, contradicts(ErrMalformedReply, "the tag has no digest"))
	}
	return t.Digest, nil
}

// ManifestProperties returns the properties of the manifest. It costs one request for a digest,
// and two for a tag.
//
// Errors:
//   - [ErrManifestUnknown] if the manifest does not exist (also matches [ErrNotFound])
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name or reference is invalid
func (a *Artifact) ManifestProperties(ctx context.Context) (ManifestProperties, error) {
	d, err := a.Digest(ctx)
	if err != nil {
		return ManifestProperties{}, err
	}
	r := a.repository
	params := &gen.GetManifestPropertiesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opGetManifestProperties, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetManifestProperties(ctx, r.name, d, params)
	}, decodeManifest(d))
}

// UpdateManifestAttributes changes attributes of the manifest and returns its properties. The
// attributes of its tags do not change. It costs one request for a digest, and two for a tag.
//
// Errors:
//   - [ErrManifestUnknown] if the manifest does not exist (also matches [ErrNotFound])
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if no attribute is set, or if an attribute, the repository name or the
//     reference is invalid
func (a *Artifact) UpdateManifestAttributes(ctx context.Context, attributes ChangeableAttributes) (ManifestProperties, error) {
	ctx = staying(ctx)
	if a.bad() != nil {
		return ManifestProperties{}, a.bad()
	}
	body, err := attributes.patchManifest()
	if err != nil {
		return ManifestProperties{}, err
	}
	d, err := a.Digest(ctx)
	if err != nil {
		return ManifestProperties{}, err
	}
	r := a.repository
	params := &gen.UpdateManifestAttributesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opUpdateManifestAttributes, r.name, func(ctx context.Context) (*http.Response, error) {
		if attributes.quarantine() { // the documentation of the quarantine has a token for a push, not for metadata
			ctx = call.With(ctx, func(k *call.Call) { k.Scopes = append(k.Scopes, scopePullPush(r.name)...) })
		}
		return r.client.gen.UpdateManifestAttributes(ctx, r.name, d, params, body)
	}, decodeManifest(d))
}

// Tags lists all tags of the manifest. If the artifact was created with a tag, the other tags
// of the same manifest are listed too. Requests and errors are those of [Repository.Tags] and,
// for a tag, one more request and the errors of [Artifact.Digest].
func (a *Artifact) Tags(ctx context.Context) iter.Seq2[TagProperties, error] {
	return func(yield func(TagProperties, error) bool) {
		d, err := a.Digest(ctx)
		if err != nil {
			yield(TagProperties{}, err)
			return
		}
		a.repository.Tags(ctx, &ListTagsOptions{Digest: d})(yield)
	}
}

// onTag fails if the reference is not a tag.
func (a *Artifact) onTag() error {
	if a.bad() == nil && a.tag == "" {
		return badArgument("reference", string(a.digest), "this call takes a tag, not a digest")
	}
	return a.bad()
}

// TagProperties returns the properties of the tag. It costs one request.
//
// Errors:
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the reference is a digest, or if the repository name or reference is
//     invalid
func (a *Artifact) TagProperties(ctx context.Context) (TagProperties, error) {
	if err := a.onTag(); err != nil {
		return TagProperties{}, err
	}
	r := a.repository
	params := &gen.GetTagPropertiesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opGetTagProperties, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetTagProperties(ctx, r.name, a.tag, params)
	}, a.decodeTag)
}

// UpdateTagAttributes changes attributes of the tag and returns its properties. The attributes
// of the manifest do not change. It costs one request.
//
// Errors:
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if no attribute is set, if a quarantine attribute is set (only manifests
//     have these), if the reference is a digest, or if the repository name or reference is invalid
func (a *Artifact) UpdateTagAttributes(ctx context.Context, attributes ChangeableAttributes) (TagProperties, error) {
	ctx = staying(ctx)
	if err := a.onTag(); err != nil {
		return TagProperties{}, err
	}
	body, err := attributes.patch()
	if err != nil {
		return TagProperties{}, err
	}
	r := a.repository
	params := &gen.UpdateTagAttributesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opUpdateTagAttributes, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.UpdateTagAttributes(ctx, r.name, a.tag, params, body)
	}, a.decodeTag)
}

// DeleteTag deletes the tag and keeps the manifest. It costs one request. If the response is
// lost and a retry finds the tag gone, DeleteTag returns nil.
//
// Errors:
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrLocked] if the tag is locked
//   - [ErrInvalidArgument] if the reference is a digest, or if the repository name or reference is
//     invalid
func (a *Artifact) DeleteTag(ctx context.Context) error {
	ctx = staying(ctx)
	if err := a.onTag(); err != nil {
		return err
	}
	params := &gen.DeleteTagParams{APIVersion: apiVersion()}
	return a.repository.take(ctx, opDeleteTag, func(ctx context.Context) (*http.Response, error) {
		return a.repository.client.gen.DeleteTag(ctx, a.repository.name, a.tag, params)
	})
}

// Delete deletes the manifest with all its tags, even if the artifact was created with one of
// them. It costs the requests of [Repository.DeleteManifest], and one more for a tag.
//
// Errors:
//   - [ErrManifestUnknown] if the manifest does not exist (also matches [ErrNotFound])
//   - [ErrTagUnknown] if the tag does not exist (also matches [ErrNotFound])
//   - [ErrLocked] if the manifest or one of its tags is locked
//   - [ErrInvalidArgument] if the repository name or reference is invalid
func (a *Artifact) Delete(ctx context.Context) error {
	ctx = staying(ctx)
	d, err := a.Digest(ctx)
	if err != nil {
		return err
	}
	return a.repository.DeleteManifest(ctx, d)
}
