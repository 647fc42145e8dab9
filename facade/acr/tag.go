package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// ListTagsOptions are the options of [Repository.Tags].
type ListTagsOptions struct {
	// PageSize is the number of tags per request. Registries return at most 1000. Default: 1000.
	PageSize int
	// After starts the list after this tag. In the default order it need not exist. Default: from
	// the beginning.
	After string
	// Order is the sort order. Default: by name.
	Order Order
	// Digest restricts the list to tags of this manifest. Default: all tags.
	Digest digest.Digest
	// Concurrency is that of [ListManifestsOptions].
	Concurrency int
}

// Tags lists the repository's tags with their properties. It sends no request before the first
// iteration, and then one for each page; breaking out of the loop ends the requests. Tags that are
// created, moved or deleted during the iteration may be missed or listed twice.
//
// In the default order it is safe to delete tags while ranging. With an Order by time, collect the
// list first: each page starts after the last tag of the previous one, which must still exist.
//
// Errors (an error ends the list):
//   - [ErrNameUnknown] if the repository does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name or an option is invalid
//   - [ErrUntrusted] if the link to the next page leads to another host or path
//   - [ErrListEndless] if the list leads back to an earlier page or has too many pages
//   - [ErrMalformedReply] if the response is not a list
//   - [ErrTooLarge] if a page is larger than 8 MiB
func (r *Repository) Tags(ctx context.Context, opts *ListTagsOptions) iter.Seq2[TagProperties, error] {
	o := given(opts)
	common := ListManifestsOptions{PageSize: o.PageSize, After: o.After, Order: o.Order, Concurrency: o.Concurrency}
	l, q := orderedList(r, opListTags, decodeTags, func(t *TagProperties) string { return t.Name }, common)
	params := &gen.ListTagsParams{N: q.n, Last: q.last, Orderby: q.by, APIVersion: apiVersion()}
	if o.Digest != "" {
		l.refuse = cmp.Or(l.refuse, checkDigest(o.Digest))
		params.Digest = new(o.Digest)
		l.keep["digest"] = []string{string(o.Digest)}
		l.decode = decodeTagsOf(o.Digest)
	}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListTags(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}

// TagNames lists the names of the repository's tags with the OCI distribution API. The responses
// are smaller than those of [Repository.Tags], and the right to pull is sufficient. Requests and
// errors are those of Tags.
func (r *Repository) TagNames(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	o := given(opts)
	n, last, err := o.query()
	if r.bad() != nil {
		err = r.bad()
	}
	params := &gen.ListTagNamesParams{N: n, Last: last}
	return list[string]{
		client: r.Client(), op: opListTagNames, name: r.Name(), refuse: err, decode: decodeNames("tags"),
		key: ownName, concurrency: o.Concurrency,
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return r.client.gen.ListTagNames(ctx, r.name, params, editors...)
		},
	}.all(ctx)
}

// TagOptions are the options of [Repository.Tag] and [Artifact.Tag].
type TagOptions struct {
	// IfAbsent makes the call fail with [ErrTagExists] if the tag is on another manifest; see
	// [PutManifestOptions]. Default: the tag moves.
	IfAbsent bool
	// BlobWait is how long to retry while the registry does not find a blob of the manifest; see
	// [PutManifestOptions]. Default: no retry.
	BlobWait time.Duration
}

// Tag adds a tag to an existing manifest: it gets the manifest and puts it under the tag, without
// transferring blobs. It costs two requests. If the tag exists, it moves, unless
// TagOptions.IfAbsent is set.
//
// Errors are those of [Repository.GetManifest] and [Repository.PutManifest].
func (r *Repository) Tag(ctx context.Context, reference, tag string, opts *TagOptions) (ocispec.Descriptor, error) {
	ctx = staying(ctx)
	if r.bad() != nil {
		return ocispec.Descriptor{}, r.bad()
	}
	if err := checkTag("tag", tag); err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := r.GetManifest(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	o := given(opts)
	put := &PutManifestOptions{MediaType: m.Descriptor.MediaType, IfAbsent: o.IfAbsent, BlobWait: o.BlobWait}
	return r.PutManifest(ctx, tag, m.Content, put)
}

// WaitForTagOptions are the options of [Repository.WaitForTag].
type WaitForTagOptions struct {
	// Timeout is the longest time to wait. The context may end the wait sooner. Default: ten
	// minutes.
	Timeout time.Duration
}

const defaultTagWait = 10 * time.Minute

// WaitForTag waits until the tag exists and, if dgst is not empty, points to the manifest with that
// digest. It returns the manifest's descriptor. Use it after a push: the replicas of a
// geo-replicated registry learn of it one after another.
//
// It costs a HEAD request at once and then more at growing intervals, from 250 ms to five seconds:
// about 120 in ten minutes.
//
// Errors:
//   - [ErrWaitTimeout] if Timeout has passed; the text says what the tag last pointed to
//   - [context.Canceled] or [context.DeadlineExceeded] if ctx ended
//   - [ErrInvalidArgument] if Timeout is negative, or if an argument is invalid
//   - other errors of [Repository.HeadManifest], except [ErrNotFound], if a request fails
func (r *Repository) WaitForTag(ctx context.Context, tag string, dgst digest.Digest, opts *WaitForTagOptions) (ocispec.Descriptor, error) {
	timeout, err := r.checkWait(tag, dgst, opts)
	if err = cmp.Or(err, checkContext(ctx)); err != nil {
		return ocispec.Descriptor{}, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := "no response yet"
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		there, err := r.HeadManifest(limited, tag)
		switch {
		case err == nil && (dgst == "" || there.Digest == dgst):
			return there, nil
		case err == nil:
			last = "it points to " + string(there.Digest)
		case errors.Is(err, ErrNotFound):
			last = "it does not exist"
		case limited.Err() == nil || !errors.Is(err, limited.Err()):
			return ocispec.Descriptor{}, err
		}
		if wait.Sleep(limited, pause) != nil {
			why := fmt.Errorf("%w after %s", ErrWaitTimeout, timeout)
			if ctx.Err() != nil {
				why = wait.Cause(ctx)
			}
			return ocispec.Descriptor{}, opHeadManifest.fail(fmt.Errorf("%w while waiting for the tag %s: %s", why, tag, last))
		}
	}
}

// checkWait checks the arguments of WaitForTag and returns how long to wait.
func (r *Repository) checkWait(tag string, dgst digest.Digest, opts *WaitForTagOptions) (time.Duration, error) {
	if r.bad() != nil {
		return 0, r.bad()
	}
	if err := checkTag("tag", tag); err != nil {
		return 0, err
	}
	if dgst != "" {
		if err := checkDigest(dgst); err != nil {
			return 0, err
		}
	}
	switch o := given(opts); {
	case o.Timeout == 0:
		return defaultTagWait, nil
	case o.Timeout < 0:
		return 0, badArgument("Timeout", o.Timeout.String(), "it must not be negative")
	default:
		return o.Timeout, nil
	}
}

// Untag deletes the tag like [Artifact.DeleteTag], and returns the digest of the manifest that it
// pointed to, according to the registry's response. It costs one request. The digest is empty if
// the registry does not state it, or if the response was lost and a retry found the tag gone.
//
// Errors are those of [Artifact.DeleteTag].
func (a *Artifact) Untag(ctx context.Context) (digest.Digest, error) {
	ctx = staying(ctx)
	if err := a.onTag(); err != nil {
		return "", err
	}
	r := a.repository
	params := &gen.DeleteTagParams{APIVersion: apiVersion()}
	var was digest.Digest
	err := takeOnce(ctx, func(ctx context.Context) error {
		resp, err := r.do(ctx, opDeleteTag, func(ctx context.Context) (*http.Response, error) {
			return r.client.gen.DeleteTag(ctx, r.name, a.tag, params)
		})
		if err != nil {
			return err
		}
		wire.Drain(resp)
		was, _ = statedDigest(resp.Header, "X-Ms-Int-Docker-Content-Digest") // the tag is gone, whatever it says
		return nil
	})
	return was, err
}
