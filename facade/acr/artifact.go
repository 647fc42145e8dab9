package acr

import (
	"context"
	"iter"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/gen"
)

// Artifact is a handle on what a reference of a repository names: a tag and the manifest behind it, or a manifest by its digest. It is made
// by Repository.Artifact, and as cheap as a Repository.
type Artifact struct {
	repository *Repository
	tag        string        // empty when the reference is a digest
	digest     digest.Digest // empty when the reference is a tag
	err        error         // what is wrong with the reference
}

// Artifact returns a handle on a tag or digest of the repository; it asks nothing of the registry. A bad reference is reported by the
// first method called, before anything is sent, as an [*ArgumentError].
func (r *Repository) Artifact(reference string) *Artifact {
	a := &Artifact{repository: r}
	a.tag, a.digest, a.err = parseReference(reference)
	if r.err != nil {
		a.err = r.err
	}
	return a
}

// Reference is the tag or digest that the handle was made with.
func (a *Artifact) Reference() string { return a.tag + string(a.digest) }

// Digest gives the digest of the manifest. One request for a tag, none for a digest. Errors: ErrTagUnknown (ErrNotFound), and those of a
// bad name or reference.
func (a *Artifact) Digest(ctx context.Context) (digest.Digest, error) {
	if a.err != nil || a.tag == "" {
		return a.digest, a.err
	}
	t, err := a.TagProperties(ctx)
	if err != nil {
		return "", err
	}
	if checkDigest(t.Digest) != nil {
		return "", opGetTagProperties.malformed(contradicts(ErrMalformedReply, "the tag has no digest"))
	}
	return t.Digest, nil
}

// ManifestProperties reports on the manifest. One request for a digest, two for a tag. Errors: ErrManifestUnknown or ErrTagUnknown
// (ErrNotFound), and those of a bad name or reference.
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

// UpdateManifestAttributes changes what may be done with the manifest, and reports on it; its tags keep attributes of their own. One
// request for a digest, two for a tag. Errors: those of ManifestProperties; ErrInvalidArgument when nothing is set.
func (a *Artifact) UpdateManifestAttributes(ctx context.Context, attributes ChangeableAttributes) (ManifestProperties, error) {
	if a.err != nil {
		return ManifestProperties{}, a.err
	}
	body, err := attributes.patch()
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
		return r.client.gen.UpdateManifestAttributes(ctx, r.name, d, params, body)
	}, decodeManifest(d))
}

// Tags lists every tag of the manifest: for an artifact made with a tag, those beside it too. Requests and errors are those of
// Repository.Tags; where the reference is a tag, those of Digest too.
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

// onTag refuses what only a tag can be asked for.
func (a *Artifact) onTag() error {
	if a.err == nil && a.tag == "" {
		return badArgument("reference", string(a.digest), "this call takes a tag, not a digest")
	}
	return a.err
}

// TagProperties reports on the tag. One request. Errors: ErrTagUnknown (ErrNotFound); ErrInvalidArgument when the artifact was made with
// a digest.
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

// UpdateTagAttributes changes what may be done with the tag, and reports on it; the manifest keeps attributes of its own. One request.
// Errors: those of TagProperties; ErrInvalidArgument when nothing is set.
func (a *Artifact) UpdateTagAttributes(ctx context.Context, attributes ChangeableAttributes) (TagProperties, error) {
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

// DeleteTag removes the tag and leaves the manifest. One request. A lost answer is treated as by DeleteManifest. Errors: ErrTagUnknown
// (ErrNotFound), ErrLocked; ErrInvalidArgument when the artifact was made with a digest.
func (a *Artifact) DeleteTag(ctx context.Context) error {
	if err := a.onTag(); err != nil {
		return err
	}
	params := &gen.DeleteTagParams{APIVersion: apiVersion()}
	return a.repository.take(ctx, opDeleteTag, func(ctx context.Context) (*http.Response, error) {
		return a.repository.client.gen.DeleteTag(ctx, a.repository.name, a.tag, params)
	})
}

// Delete deletes the manifest with every tag that points to it, also when the artifact was made with one of them. One request for a
// digest, two for a tag. Errors: those of DeleteManifest, ErrTagUnknown.
func (a *Artifact) Delete(ctx context.Context) error {
	d, err := a.Digest(ctx)
	if err != nil {
		return err
	}
	return a.repository.DeleteManifest(ctx, d)
}
