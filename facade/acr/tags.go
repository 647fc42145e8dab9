package acr

import (
	"context"
	"iter"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/gen"
)

// ListTagsOptions are the choices of a list of tags.
type ListTagsOptions struct {
	PageSize int           // tags per request, at most 1000; 0: 1000
	After    string        // the list starts behind this tag, which need not exist; empty: at its beginning
	Order    Order         // empty: by name
	Digest   digest.Digest // only tags of this manifest; empty: all
}

// Tags lists the repository's tags with their properties. Nothing is asked before it is ranged over, then one request per page; after a
// break nothing more is asked. Tags that appear, move or vanish meanwhile may be missed or come twice. Errors:
// ErrNameUnknown, ErrInvalidName, ErrInvalidArgument, ErrInvalidDigest, ErrBadLink, ErrListEndless, ErrMalformedReply; an error ends
// the list.
func (r *Repository) Tags(ctx context.Context, opts *ListTagsOptions) iter.Seq2[TagProperties, error] {
	if opts == nil {
		opts = &ListTagsOptions{}
	}
	l := list[TagProperties]{client: r.client, op: opListTags, name: r.name, decode: decodeTags, keep: opts.Order.keep(map[string][]string{})}
	params := &gen.ListTagsParams{APIVersion: apiVersion()}
	params.N, params.Last, params.Orderby, l.refuse = orderedQuery(opts.PageSize, opts.After, opts.Order)
	if opts.Digest != "" {
		if err := checkDigest(opts.Digest); err != nil {
			l.refuse = err
		}
		params.Digest = new(opts.Digest)
		l.keep["digest"] = []string{string(opts.Digest)}
	}
	if r.err != nil {
		l.refuse = r.err
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListTags(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}

// TagNames lists the names of the repository's tags by the OCI distribution API: less to send than Tags, and the right to pull is enough.
// Requests and errors are those of Tags.
func (r *Repository) TagNames(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	n, last, err := opts.query()
	if r.err != nil {
		err = r.err
	}
	params := &gen.ListTagNamesParams{N: n, Last: last}
	return list[string]{
		client: r.client, op: opListTagNames, name: r.name, refuse: err, decode: decodeNames("tags"),
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return r.client.gen.ListTagNames(ctx, r.name, params, editors...)
		},
	}.all(ctx)
}
