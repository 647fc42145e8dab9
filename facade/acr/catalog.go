package acr

import (
	"context"
	"iter"
	"net/http"

	"github.com/acrkit/acrkit/gen"
)

// ListOptions are the choices of a list of names.
type ListOptions struct {
	PageSize int    // entries per request, at most 1000; 0: 1000
	After    string // the list starts behind this name, which need not exist; empty: at its beginning
}

// Repositories lists the names of the registry's repositories, in order. Nothing is asked before it is ranged over, then one request per
// page; ListOptions.After continues a list. Repositories with ListEnabled false are not in it, nor those that the identity may not see.
// Errors: ErrCatalogRole, ErrInvalidArgument, ErrBadLink, ErrListEndless, ErrMalformedReply; an error ends the list.
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

// query checks the options and gives them as query parameters.
func (o *ListOptions) query() (*gen.PageSize, *gen.LastItem, error) {
	if o == nil {
		o = &ListOptions{}
	}
	return listQuery(o.PageSize, o.After)
}

func listQuery(size int, key string) (*gen.PageSize, *gen.LastItem, error) {
	n, err := pageSize(size)
	if err != nil {
		return nil, nil, err
	}
	last, err := after(key)
	return n, last, err
}

// apiVersion is the version of the document that /acr/v1 is asked for.
func apiVersion() *gen.APIVersion { return new("2021-07-01") }
