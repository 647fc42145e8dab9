package acr

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/gen"
)

// Repository is a handle on a repository of a registry, made by Client.Repository. It is cheap, holds no state and may be shared.
type Repository struct {
	client *Client
	name   string
	err    error // what is wrong with the name
}

// Repository returns a handle on the repository; it asks nothing of the registry. A bad name is reported by the first method called, as
// ErrInvalidArgument, before anything is sent.
func (c *Client) Repository(name string) *Repository {
	return &Repository{client: c, name: name, err: checkName(name)}
}

// Name of the repository.
func (r *Repository) Name() string { return r.name }

// Client returns the client that the handle was made from. Two repositories of one registry can be recognized by it.
func (r *Repository) Client() *Client { return r.client }

// String names the repository.
func (r *Repository) String() string { return "acr.Repository(" + redact.OneLine(r.name) + ")" }

// GoString is String.
func (r *Repository) GoString() string { return r.String() }

// Format prints String for every verb.
func (r *Repository) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// do is Client.do for this repository, once its name is found good.
func (r *Repository) do(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error), extra ...string) (*http.Response, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.client.do(ctx, op, r.name, send, extra...)
}

// Repositories lists the names of the registry's repositories, in order. Nothing is asked before it is ranged over, then one request per
// page; ListOptions.After continues a list. Repositories with ListEnabled false are not in it, nor those that the identity may not see.
// Errors: ErrCatalogRole, ErrInvalidArgument, ErrUntrusted, ErrListEndless, ErrMalformedReply; an error ends the list.
func (c *Client) Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	n, last, err := opts.query()
	params := &gen.ListRepositoriesParams{N: n, Last: last, APIVersion: apiVersion()}
	return list[string]{
		client: c, op: opListRepositories, refuse: err, decode: decodeNames("repositories"),
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return c.gen.ListRepositories(ctx, params, editors...)
		},
	}.all(ctx)
}

// RepositoryNames is Repositories by the catalog of the OCI distribution API, which registries of other makers offer too. Requests and
// errors are those of Repositories.
func (c *Client) RepositoryNames(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	n, last, err := opts.query()
	params := &gen.ListRepositoryNamesParams{N: n, Last: last}
	return list[string]{
		client: c, op: opListRepositoryNames, refuse: err, decode: decodeNames("repositories"),
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return c.gen.ListRepositoryNames(ctx, params, editors...)
		},
	}.all(ctx)
}

// Properties reports on the repository. One request. Errors: ErrNameUnknown (ErrNotFound), ErrInvalidArgument.
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
// in it; DeleteEnabled false locks the repository alone. Errors: ErrNameUnknown, ErrInvalidArgument (also when nothing is set).
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
// repository is gone when it is sent again, the report is empty. Errors: ErrNameUnknown (ErrNotFound), ErrLocked, ErrInvalidArgument.
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
