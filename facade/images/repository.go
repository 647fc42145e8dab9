package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
)

// Repository is a repository of the Azure Container Registry with the methods of oras-go's
// registry.Repository. Packages such as oras-go and notation-go accept it as a repository, a target
// or a graph target.
//
// A reference is a tag, a digest, "tag@digest" (the tag is ignored), or one of these after the full
// name of the repository, such as "myregistry.azurecr.io/library/hello:v1".
//
// Errors are those of package acr. In addition they match what oras-go tests for: errors.Is finds
// errdef.ErrNotFound and similar errors, and errors.As finds errcode.Error and errcode.Errors.
type Repository struct {
	acr *acr.Repository
}

// The interfaces of oras-go that Repository and Layout implement.
var (
	_ registry.Repository          = (*Repository)(nil)
	_ registry.Mounter             = (*Repository)(nil)
	_ content.GraphStorage         = (*Repository)(nil)
	_ content.Untagger             = (*Repository)(nil)
	_ registry.Registry            = (*Registry)(nil)
	_ content.ReadOnlyGraphStorage = (*Layout)(nil)
	_ content.Pusher               = (*Layout)(nil)
	_ content.TagResolver          = (*Layout)(nil)
	_ content.Untagger             = (*Layout)(nil)
	_ content.Deleter              = (*Layout)(nil)
	_ registry.TagLister           = (*Layout)(nil)
)

// Of returns a Repository that sends its requests through r. No request is sent. The Repository is
// safe for concurrent use.
func Of(r *acr.Repository) *Repository { return &Repository{acr: r} }

// ACR returns the repository that Of was called with.
func (r *Repository) ACR() *acr.Repository {
	if r == nil {
		return nil // its methods say so
	}
	return r.acr
}

// String returns the full name of the repository, such as "myregistry.azurecr.io/library/hello".
func (r *Repository) String() string { return r.host() + "/" + r.ACR().Name() }

// host is the registry's name as it is in the full names of images.
func (r *Repository) host() string { return hostOf(r.ACR().Client()) }

func hostOf(c *acr.Client) string {
	u, err := url.Parse(c.Endpoint())
	if err != nil {
		return c.Endpoint()
	}
	return u.Host
}

// ParseReference converts a reference to a type of oras-go.
//
// Errors:
//   - [errdef.ErrInvalidReference] if it is not a valid reference, or if it is one of another
//     repository (also matches [acr.ErrInvalidArgument])
func (r *Repository) ParseReference(reference string) (registry.Reference, error) {
	return r.parse("reference", reference)
}

// parse is ParseReference for an argument of this name.
func (r *Repository) parse(argument, reference string) (registry.Reference, error) {
	ref := registry.Reference{Registry: r.host(), Repository: r.ACR().Name(), Reference: reference}
	if full, err := registry.ParseReference(reference); err == nil && strings.Contains(reference, "/") {
		if full.Registry != ref.Registry || full.Repository != ref.Repository {
			return registry.Reference{}, orasError(&acr.ArgumentError{
				Argument: argument, Value: reference, Reason: "it is not in " + shown(r.String()) + ": write the tag or digest alone",
			})
		}
		ref = full
	} else if _, dgst, ok := strings.Cut(reference, "@"); ok {
		ref.Reference = dgst
	}
	if ref.Reference == "" {
		return ref, nil
	}
	if err := r.check(argument, reference, ref.Reference); err != nil {
		return registry.Reference{}, orasError(err)
	}
	return ref, nil
}

// reference returns the tag or digest of a reference, which is an argument of this name.
func (r *Repository) reference(argument, reference string) (string, error) {
	ref, err := r.parse(argument, reference)
	if err != nil {
		return "", err
	}
	if ref.Reference == "" {
		return "", missingReference{&acr.ArgumentError{Argument: argument, Value: reference, Reason: "it has neither tag nor digest"}}
	}
	return ref.Reference, nil
}

// check fails as package acr does if the name of the repository, or a tag or digest, is invalid. It
// sends no request. argument and value are what the tag or digest was taken from.
func (r *Repository) check(argument, value, reference string) error {
	a := r.ACR().Artifact(reference)
	if a.Name() != (acr.ArtifactName{}) {
		return nil
	}
	_, err := a.Digest(context.Background()) // says what is invalid
	if e, ok := errors.AsType[*acr.ArgumentError](err); ok && e.Argument == "reference" {
		return &acr.ArgumentError{Argument: argument, Value: value, Reason: e.Reason}
	}
	return err
}

// checkName fails as check does if the name of the repository is invalid.
func (r *Repository) checkName() error { return r.check("", "", "latest") }

// checkTag fails as check does if the name of the repository or the tag is invalid; "" is no tag.
func (r *Repository) checkTag(tag string) error {
	if tag == "" {
		return r.checkName()
	}
	if _, notDigest := parseDigest(tag); notDigest == nil {
		return &acr.ArgumentError{Argument: "tag", Value: tag, Reason: "it is a digest, not a tag"}
	}
	return r.check("tag", tag, tag)
}

// Fetch returns a reader of a blob or, if the media type is that of a manifest, of a manifest. Its
// Read returns io.EOF only if size and digest are right. A manifest costs one request, a blob two.
func (r *Repository) Fetch(ctx context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	if isManifest(target.MediaType) {
		return r.Manifests().Fetch(ctx, target)
	}
	return r.Blobs().Fetch(ctx, target)
}

// Exists reports whether the repository has a blob or manifest. It costs one HEAD request.
func (r *Repository) Exists(ctx context.Context, target ocispec.Descriptor) (bool, error) {
	if isManifest(target.MediaType) {
		return r.Manifests().Exists(ctx, target)
	}
	return r.Blobs().Exists(ctx, target)
}

// Push uploads a blob, or puts a manifest under its digest. Content of another size or digest than
// expected is refused before the registry stores it. A manifest and a small blob cost one request
// each; see [acr.Repository.UploadBlob].
func (r *Repository) Push(ctx context.Context, expected ocispec.Descriptor, content io.Reader) error {
	if isManifest(expected.MediaType) {
		return r.Manifests().Push(ctx, expected, content)
	}
	return r.Blobs().Push(ctx, expected, content)
}

// Delete deletes a blob, or a manifest with all its tags and referrers. It costs one request.
func (r *Repository) Delete(ctx context.Context, target ocispec.Descriptor) error {
	if isManifest(target.MediaType) {
		return r.Manifests().Delete(ctx, target)
	}
	return r.Blobs().Delete(ctx, target)
}

// Resolve returns the descriptor of the manifest that a reference points to. It costs one HEAD
// request.
func (r *Repository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	return r.Manifests().Resolve(ctx, reference)
}

// Tag sets a tag on a manifest of the repository. If the tag exists, it moves. It costs two
// requests.
func (r *Repository) Tag(ctx context.Context, desc ocispec.Descriptor, reference string) error {
	return r.Manifests().Tag(ctx, desc, reference)
}

// Untag deletes a tag. The manifest stays. It costs one request.
func (r *Repository) Untag(ctx context.Context, reference string) error {
	tag, err := r.reference("reference", reference)
	if err != nil {
		return err
	}
	return orasError(r.ACR().Artifact(tag).DeleteTag(ctx))
}

// FetchReference returns the descriptor and the content of the manifest that a reference points to.
// It costs one request.
func (r *Repository) FetchReference(ctx context.Context, reference string) (ocispec.Descriptor, io.ReadCloser, error) {
	return r.Manifests().FetchReference(ctx, reference)
}

// PushReference puts a manifest under a tag or under its digest. It costs one request.
func (r *Repository) PushReference(ctx context.Context, expected ocispec.Descriptor, content io.Reader, reference string) error {
	return r.Manifests().PushReference(ctx, expected, content, reference)
}

// Mount adds a blob of another repository of the same registry to this one, without transferring
// it. It costs two requests. If the registry does not mount the blob, Mount uploads it from the
// reader that getContent returns or, if getContent is nil, from fromRepo.
func (r *Repository) Mount(ctx context.Context, desc ocispec.Descriptor, fromRepo string, getContent func() (io.ReadCloser, error)) error {
	if getContent == nil {
		getContent = func() (io.ReadCloser, error) {
			return r.ACR().Client().Repository(fromRepo).GetBlob(ctx, desc.Digest, &acr.GetBlobOptions{Size: desc.Size})
		}
	}
	lazy := &lazyReader{open: getContent}
	_, err := r.ACR().UploadBlob(ctx, lazy, &acr.UploadOptions{
		Digest: desc.Digest, Size: desc.Size, MediaType: desc.MediaType, MountFrom: []string{fromRepo},
	})
	return orasError(errors.Join(err, lazy.Close()))
}

// Predecessors returns the referrers of a manifest. It does not return the indexes that a manifest
// is in, or the images that have a layer, because registries do not list them. It costs the
// requests of Referrers.
func (r *Repository) Predecessors(ctx context.Context, node ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	if !isManifest(node.MediaType) {
		return nil, nil
	}
	err := r.Referrers(ctx, node, "", func(referrers []ocispec.Descriptor) error {
		found = append(found, referrers...)
		return nil
	})
	return found, err
}

// Referrers calls fn with the manifests whose subject is desc. If artifactType is not empty, it
// leaves out those of other types. It costs one request per page, and one more if the registry has
// no referrers API.
func (r *Repository) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string, fn func([]ocispec.Descriptor) error) error {
	var page pager[ocispec.Descriptor]
	for d, err := range r.ACR().Referrers(ctx, desc.Digest, &acr.ReferrersOptions{ArtifactType: artifactType}) {
		if errors.Is(err, acr.ErrNotFound) {
			return nil // a repository that does not exist has none, as for oras-go's own client
		} else if err != nil {
			return orasError(err)
		}
		if err := page.add(d, fn); err != nil {
			return err
		}
	}
	return page.flush(fn)
}

// Tags calls fn with the sorted names of the tags after last. It costs one request per thousand
// tags.
func (r *Repository) Tags(ctx context.Context, last string, fn func(tags []string) error) error {
	var page pager[string]
	for tag, err := range r.ACR().TagNames(ctx, &acr.ListOptions{After: last}) {
		if err != nil {
			return orasError(err)
		}
		if err := page.add(tag, fn); err != nil {
			return err
		}
	}
	return page.flush(fn)
}

// pager hands on what is listed in parts.
type pager[T any] struct{ items []T }

const pageSize = 1000

func (p *pager[T]) add(item T, fn func([]T) error) error {
	if p.items = append(p.items, item); len(p.items) < pageSize {
		return nil
	}
	return p.flush(fn)
}

func (p *pager[T]) flush(fn func([]T) error) error {
	if len(p.items) == 0 {
		return nil
	}
	items := p.items
	p.items = nil
	return fn(items)
}

// manifestReader is a manifest as a reader that can seek.
type manifestReader struct{ *bytes.Reader }

// Close does nothing.
func (manifestReader) Close() error { return nil }
