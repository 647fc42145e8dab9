package acr

import (
	"context"
	"iter"
	"net/http"

	"github.com/acrkit/acrkit/gen"
)

// ListManifestsOptions are the choices of a list of manifests.
type ListManifestsOptions struct {
	PageSize int    // manifests per request, at most 1000; 0: 1000
	After    string // the list starts behind this digest, which need not exist; empty: at its beginning
	Order    Order  // empty: by digest
}

// Manifests lists the repository's manifests with their properties, tagged or not. Requests and errors are those of Tags. Manifests may be
// deleted while they are listed by digest; a list by time has to be collected first, for the registry continues it from the last manifest
// that it gave, which must still be there.
func (r *Repository) Manifests(ctx context.Context, opts *ListManifestsOptions) iter.Seq2[ManifestProperties, error] {
	if opts == nil {
		opts = &ListManifestsOptions{}
	}
	l := list[ManifestProperties]{client: r.client, op: opListManifests, name: r.name, decode: decodeManifests, keep: opts.Order.keep(map[string][]string{})}
	params := &gen.ListManifestsParams{APIVersion: apiVersion()}
	params.N, params.Last, params.Orderby, l.refuse = orderedQuery(opts.PageSize, opts.After, opts.Order)
	if r.err != nil {
		l.refuse = r.err
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListManifests(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}
