package acr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
// ErrNameUnknown, ErrInvalidArgument, ErrUntrusted, ErrListEndless, ErrMalformedReply; an error ends
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

// Tag puts a tag on a manifest that is there: it gets the manifest and puts it under the tag; no blob moves. Two requests. The tag moves
// from where it was unless IfAbsent. Errors: those of GetManifest and PutManifest.
func (r *Repository) Tag(ctx context.Context, reference, tag string, opts *PutManifestOptions) (ocispec.Descriptor, error) {
	if r.err != nil {
		return ocispec.Descriptor{}, r.err
	}
	if err := checkTag("tag", tag); err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := r.GetManifest(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	put := PutManifestOptions{}
	if opts != nil {
		put = *opts
	}
	put.MediaType = m.Descriptor.MediaType
	return r.PutManifest(ctx, tag, m.Content, &put)
}

// WaitForTagOptions are the choices of WaitForTag.
type WaitForTagOptions struct {
	Timeout time.Duration // how long to wait at most; 0: ten minutes. The context may end the wait sooner.
}

const defaultTagWait = 10 * time.Minute

// WaitForTag waits until the tag is there, on the manifest with this digest unless that is empty, and gives the manifest's descriptor: the
// replicas of a geo-replicated registry, and its lists, learn of a push one after another. It costs HEAD requests, the first at once, the
// others at growing intervals of a quarter of a second to five seconds: about 120 in the ten minutes after which it gives up by default.
// Errors: ErrWaitTimeout, or that of a context that ended sooner, each with where the tag was last; ErrInvalidArgument for a negative
// Timeout; those of HeadManifest other than ErrNotFound.
func (r *Repository) WaitForTag(ctx context.Context, tag string, dgst digest.Digest, opts *WaitForTagOptions) (ocispec.Descriptor, error) {
	timeout, err := r.checkWait(tag, dgst, opts)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := "the registry has not said where it is"
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		there, err := r.HeadManifest(wait, tag)
		switch {
		case err == nil && (dgst == "" || there.Digest == dgst):
			return there, nil
		case err == nil:
			last = "it is on " + string(there.Digest)
		case errors.Is(err, ErrNotFound):
			last = "it is not there"
		case wait.Err() == nil || !errors.Is(err, wait.Err()):
			return ocispec.Descriptor{}, err
		}
		if pauseFor(wait, pause) != nil {
			why := fmt.Errorf("%w after %s", ErrWaitTimeout, timeout)
			if ctx.Err() != nil {
				why = endOf(ctx)
			}
			return ocispec.Descriptor{}, opHeadManifest.fail(fmt.Errorf("%w while waiting for the tag %s: %s", why, tag, last))
		}
	}
}

// checkWait checks the arguments of WaitForTag, and gives how long to wait.
func (r *Repository) checkWait(tag string, dgst digest.Digest, opts *WaitForTagOptions) (time.Duration, error) {
	if r.err != nil {
		return 0, r.err
	}
	if err := checkTag("tag", tag); err != nil {
		return 0, err
	}
	if dgst != "" {
		if err := checkDigest(dgst); err != nil {
			return 0, err
		}
	}
	switch {
	case opts == nil || opts.Timeout == 0:
		return defaultTagWait, nil
	case opts.Timeout < 0:
		return 0, badArgument("Timeout", opts.Timeout.String(), "it must not be negative")
	default:
		return opts.Timeout, nil
	}
}
