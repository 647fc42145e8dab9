package acr

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Repository is a handle for a repository of a registry, created with [Client.Repository]. It is
// cheap, has no state and is safe for concurrent use.
type Repository struct {
	client *Client
	name   string
	err    error // what is wrong with the name
}

// bad returns what is wrong with the handle: its name, or that it was not made by Client.Repository.
func (r *Repository) bad() error {
	if r == nil || r.client == nil {
		return unmade("Repository")
	}
	if err := r.client.bad(); err != nil {
		return err
	}
	return r.err
}

// Repository returns a handle for the repository. No request is sent. If the name is invalid, the
// first method that is called fails with [ErrInvalidArgument]. So does a name that begins with the
// registry's host, such as "myregistry.azurecr.io/app", which is the name of an image.
func (c *Client) Repository(name string) *Repository {
	return &Repository{client: c, name: name, err: c.checkName(name)}
}

// Name returns the repository's name.
func (r *Repository) Name() string {
	if r == nil {
		return ""
	}
	return r.name
}

// Client returns the client that the handle was created with. Repositories of the same client are
// in the same registry.
func (r *Repository) Client() *Client {
	if r == nil {
		return nil
	}
	return r.client
}

// String returns the repository's name in the form "acr.Repository(NAME)".
func (r *Repository) String() string { return "acr.Repository(" + redact.OneLine(r.Name()) + ")" }

// Format prints String for every verb.
func (r *Repository) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// ForPush returns a context for a push to the repository that begins with reads, such as a
// [Repository.HeadManifest] that asks whether a tag exists. With this context the reads use the
// access token of the push, so one token request is enough. An identity that may only pull can read
// with it too; its uploads fail as they would without it.
//
// ForPush sends no request. Calls for other repositories are not affected.
func (r *Repository) ForPush(ctx context.Context) context.Context {
	if r.bad() != nil {
		return ctx // the calls say so
	}
	return context.WithValue(ctx, pushing{r.client, r.name}, true)
}

// pushing is the key of contexts for a push to a repository.
type pushing struct {
	client *Client
	name   string
}

// do is Client.do for this repository. It fails if the name is invalid.
func (r *Repository) do(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error), extra ...string) (*http.Response, error) {
	if r.bad() != nil {
		return nil, r.bad()
	}
	return r.client.do(ctx, op, r.name, send, extra...)
}

// Repositories lists the names of the registry's repositories, sorted. It sends no request before
// the first iteration, and then one for each page. Repositories with ListEnabled false are not
// listed, nor are those that the identity may not see.
//
// Errors (an error ends the list):
//   - [ErrCatalogRole] if the identity may not list repositories
//   - [ErrInvalidArgument] if an option is invalid
//   - [ErrUntrusted] if the link to the next page leads to another host or path
//   - [ErrListEndless] if the list leads back to an earlier page or has too many pages
//   - [ErrMalformedReply] if the response is not a list
//   - [ErrTooLarge] if a page is larger than 8 MiB
func (c *Client) Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	o := given(opts)
	n, last, err := o.query()
	params := &gen.ListRepositoriesParams{N: n, Last: last, APIVersion: apiVersion()}
	return list[string]{
		client: c, op: opListRepositories, refuse: err, decode: decodeNames("repositories"),
		key: ownName, concurrency: o.Concurrency,
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return c.gen.ListRepositories(ctx, params, editors...)
		},
	}.all(ctx)
}

// RepositoryNames lists the names of the registry's repositories with the catalog of the OCI
// distribution API, which other registries have too. Requests and errors are those of
// [Client.Repositories].
func (c *Client) RepositoryNames(ctx context.Context, opts *ListOptions) iter.Seq2[string, error] {
	o := given(opts)
	n, last, err := o.query()
	params := &gen.ListRepositoryNamesParams{N: n, Last: last}
	return list[string]{
		client: c, op: opListRepositoryNames, refuse: err, decode: decodeNames("repositories"),
		key: ownName, concurrency: o.Concurrency,
		first: func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error) {
			return c.gen.ListRepositoryNames(ctx, params, editors...)
		},
	}.all(ctx)
}

// Properties returns the properties of the repository. It costs one request.
//
// Errors:
//   - [ErrNameUnknown] if the repository does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if the repository name is invalid
func (r *Repository) Properties(ctx context.Context) (RepositoryProperties, error) {
	if r.bad() != nil {
		return RepositoryProperties{}, r.bad()
	}
	params := &gen.GetRepositoryPropertiesParams{APIVersion: apiVersion()}
	return readDocument(ctx, r.client, opGetRepositoryProperties, r.name, func(ctx context.Context) (*http.Response, error) {
		return r.client.gen.GetRepositoryProperties(ctx, r.name, params)
	}, r.decodeProperties)
}

// UpdateAttributes changes attributes of the repository and returns its properties. It costs one
// request. WriteEnabled false locks every image in the repository; DeleteEnabled false protects
// only the repository itself, not its images.
//
// Errors:
//   - [ErrNameUnknown] if the repository does not exist (also matches [ErrNotFound])
//   - [ErrInvalidArgument] if no attribute is set, if a quarantine attribute is set (only manifests
//     have these), or if the repository name is invalid
func (r *Repository) UpdateAttributes(ctx context.Context, attributes ChangeableAttributes) (RepositoryProperties, error) {
	if r.bad() != nil {
		return RepositoryProperties{}, r.bad()
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

// Delete deletes the repository with all its manifests and tags, and returns what was deleted. It
// costs one request. If the response is lost and a retry finds the repository gone, Delete returns
// an empty result and no error.
//
// Errors:
//   - [ErrNameUnknown] if the repository does not exist (also matches [ErrNotFound])
//   - [ErrLocked] if the repository or something in it is locked
//   - [ErrInvalidArgument] if the repository name is invalid
func (r *Repository) Delete(ctx context.Context) (DeletedRepository, error) {
	if r.bad() != nil {
		return DeletedRepository{}, r.bad()
	}
	params := &gen.DeleteRepositoryParams{APIVersion: apiVersion()}
	var done reply
	err := takeOnce(ctx, func(ctx context.Context) (err error) {
		done, err = r.client.read(ctx, question{op: opDeleteRepository, name: r.name, limit: maxPageSize, send: func(ctx context.Context) (*http.Response, error) {
			return r.client.gen.DeleteRepository(ctx, r.name, params)
		}})
		return err
	})
	if err != nil {
		return DeletedRepository{}, err
	}
	deleted, listed, err := decodeDeletion(done.body)
	if err == nil && !listed && done.status == http.StatusOK { // 202 is the registry's answer, 200 is anybody's
		err = contradicts(ErrMalformedReply, "it does not say what was deleted")
	}
	if err != nil {
		return deleted, opDeleteRepository.malformed(&done, err)
	}
	return deleted, nil
}

// printable returns a name with the characters escaped that are not printed. What was deleted is no error any more.
func printable(name string) string {
	if wire.IsVisible(name) {
		return name
	}
	return redact.OneLine(name)
}

// decodeDeletion reads what the deletion of a repository took with it, and whether the document lists it.
func decodeDeletion(document []byte) (d DeletedRepository, listed bool, err error) {
	if len(document) == 0 {
		return d, false, nil
	}
	s := jsonscan.New(document)
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "manifestsDeleted":
			d.Manifests, listed = nil, true
			s.Array(func() {
				if room(s, len(d.Manifests), maxDeleted) {
					d.Manifests = append(d.Manifests, digest.Digest(printable(string(s.Text()))))
				}
			})
		case "tagsDeleted":
			d.Tags, listed = nil, true
			s.Array(func() {
				if room(s, len(d.Tags), maxDeleted) {
					d.Tags = append(d.Tags, printable(string(s.Text())))
				}
			})
		default:
			s.Skip()
		}
	})
	return d, listed, err
}
