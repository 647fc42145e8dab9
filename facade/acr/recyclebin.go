package acr

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/gen"
)

// DeletedManifest is a manifest in the recycle bin of a registry with soft delete.
type DeletedManifest struct {
	ManifestProperties
	DeletedAt time.Time
}

// DeletedTag is a tag in the recycle bin of a registry with soft delete.
type DeletedTag struct {
	Repository string
	Name       string
	Digest     digest.Digest // of the manifest that it pointed to
	DeletedAt  time.Time
}

// DeletedRepositories lists the names of repositories in the recycle bin, where a registry with
// soft delete keeps deleted content for some days. Requests and errors are those of
// [Client.Repositories].
//
// Preview: soft delete is not part of a published API version and may change.
func (c *Client) DeletedRepositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	o := given(opts)
	n, last, err := o.query()
	params := &gen.ListDeletedRepositoriesParams{N: n, Last: last}
	return list[string]{
		client: c, op: opListDeletedRepositories, refuse: err, decode: decodeNames("repositories"),
		key: ownName, concurrency: o.Concurrency,
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return c.gen.ListDeletedRepositories(ctx, params, editors...)
		},
	}.all(ctx)
}

// DeletedManifests lists the repository's manifests in the recycle bin. Requests and errors are
// those of [Repository.Tags].
//
// Preview: see [Client.DeletedRepositories].
func (r *Repository) DeletedManifests(ctx context.Context, opts *ListManifestsOptions) iter.Seq2[DeletedManifest, error] {
	l, q := orderedList(r, opListDeletedManifests, decodeDeletedManifests, func(m *DeletedManifest) string { return string(m.Digest) }, given(opts))
	l.even = true
	params := &gen.ListDeletedManifestsParams{N: q.n, Last: q.last, Orderby: q.by}
	l.first = func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
		return r.client.gen.ListDeletedManifests(ctx, r.name, params, editors...)
	}
	return l.all(ctx)
}

// DeletedTags lists the repository's tags in the recycle bin. Requests and errors are those of
// [Repository.Tags].
//
// Preview: see [Client.DeletedRepositories].
func (r *Repository) DeletedTags(ctx context.Context, opts *ListOptions) iter.Seq2[DeletedTag, error] {
	o := given(opts)
	n, last, err := o.query()
	if r.bad() != nil {
		err = r.bad()
	}
	params := &gen.ListDeletedTagsParams{N: n, Last: last}
	return list[DeletedTag]{
		client: r.Client(), op: opListDeletedTags, name: r.Name(), refuse: err, decode: decodeDeletedTags,
		key: func(t *DeletedTag) string { return t.Name }, concurrency: o.Concurrency,
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return r.client.gen.ListDeletedTags(ctx, r.name, params, editors...)
		},
	}.all(ctx)
}

// RestoreManifestOptions are the options of [Repository.RestoreManifest].
type RestoreManifestOptions struct {
	// Tag is the tag to restore with the manifest. Default: none.
	Tag string
	// Force moves the tag if another manifest has it. Default: RestoreManifest fails with an
	// [*Error] in that case.
	Force bool
}

// RestoreManifest restores a manifest from the recycle bin. It costs one request. If the response
// is lost and a retry finds the manifest restored, RestoreManifest returns nil.
//
// Preview: see [Client.DeletedRepositories].
//
// Errors:
//   - [ErrManifestUnknown] if the manifest is not in the recycle bin (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name, digest or tag is invalid
//   - [*Error] if another manifest has the tag and Force is not set
func (r *Repository) RestoreManifest(ctx context.Context, dgst digest.Digest, opts *RestoreManifestOptions) error {
	ctx = staying(ctx)
	o := given(opts)
	if r.bad() != nil {
		return r.bad()
	}
	if err := checkDigest(dgst); err != nil {
		return err
	}
	if o.Tag != "" {
		if err := checkTag("tag", o.Tag); err != nil {
			return err
		}
	}
	params := &gen.RestoreManifestParams{}
	if o.Force {
		params.Force = new(true)
	}
	return r.take(ctx, opRestoreManifest, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.RestoreManifest(ctx, r.name, dgst, params, gen.RestoreRequest{Tag: o.Tag})
	})
}

func decodeDeletedManifests(page reply, into []DeletedManifest) ([]DeletedManifest, error) {
	return decodeList(page, into, "manifests", func(s *jsonscan.Scanner, m, last *DeletedManifest) {
		m.Attributes = allEnabled
		s.Object(func(k []byte) {
			switch key := string(k); {
			case key == "deletedAt":
				m.DeletedAt = s.Time()
			case !scanManifestMember(s, key, &m.ManifestProperties, &last.ManifestProperties):
				s.Skip()
			}
		})
		named(s, string(m.Digest))
	}, func(m *DeletedManifest, h heading) { m.Registry, m.Repository = h.registry, h.repository })
}

func decodeDeletedTags(page reply, into []DeletedTag) ([]DeletedTag, error) {
	return decodeList(page, into, "tags", func(s *jsonscan.Scanner, t, last *DeletedTag) {
		s.Object(func(k []byte) {
			switch string(k) {
			case "tag":
				t.Name = string(s.Text())
			case "digest":
				t.Digest = digest.Digest(reportedAs(s, string(last.Digest)))
			case "deletedAt":
				t.DeletedAt = s.Time()
			default:
				s.Skip()
			}
		})
		named(s, t.Name)
	}, func(t *DeletedTag, h heading) { t.Repository = h.repository })
}
