package acr

import (
	"context"
	"net/http"

	"github.com/acrkit/acrkit/gen"
)

// Properties reports on the repository. One request. Errors: ErrNameUnknown (ErrNotFound), ErrInvalidName.
func (r *Repository) Properties(ctx context.Context) (RepositoryProperties, error) {
	if r.err != nil {
		return RepositoryProperties{}, r.err
	}
	params := &gen.GetRepositoryPropertiesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opGetRepositoryProperties, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetRepositoryProperties(ctx, r.name, params)
	}, r.decodeProperties)
}

// UpdateAttributes changes what may be done with the repository, and reports on it. One request. WriteEnabled false locks every image
// in it; DeleteEnabled false locks the repository alone. Errors: ErrNameUnknown, ErrInvalidName; ErrInvalidArgument when nothing is set.
func (r *Repository) UpdateAttributes(ctx context.Context, attributes ChangeableAttributes) (RepositoryProperties, error) {
	if r.err != nil {
		return RepositoryProperties{}, r.err
	}
	body, err := attributes.patch()
	if err != nil {
		return RepositoryProperties{}, err
	}
	params := &gen.UpdateRepositoryAttributesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opUpdateRepositoryAttributes, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.UpdateRepositoryAttributes(ctx, r.name, params, body)
	}, r.decodeProperties)
}

// Delete deletes the repository with all its manifests and tags, and reports what they were. One request. Where its answer is lost and the
// repository is gone when it is sent again, the report is empty. Errors: ErrNameUnknown (ErrNotFound), ErrLocked, ErrInvalidName.
func (r *Repository) Delete(ctx context.Context) (DeletedRepository, error) {
	if r.err != nil {
		return DeletedRepository{}, r.err
	}
	params := &gen.DeleteRepositoryParams{APIVersion: apiVersion()}
	var done reply
	err := takeOnce(ctx, func(ctx context.Context) (err error) {
		done, err = r.client.read(ctx, opDeleteRepository, r.name, maxPageSize, nil, func(ctx context.Context) (*http.Response, error) {
			return r.client.gen.DeleteRepository(ctx, r.name, params)
		}, nil)
		return err
	})
	if err != nil {
		return DeletedRepository{}, err
	}
	deleted, err := decodeDeletion(done.body)
	if err != nil {
		return deleted, opDeleteRepository.malformed(err)
	}
	return deleted, nil
}
