package acr

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// Repository is a handle on a repository of a registry, made by Client.Repository. It is cheap, holds no state and may be shared.
type Repository struct {
	client *Client
	name   string
	err    error // what is wrong with the name
}

// Repository returns a handle on the repository; it asks nothing of the registry. A bad name is reported by the first method called, as
// ErrInvalidName, before anything is sent.
func (c *Client) Repository(name string) *Repository {
	return &Repository{client: c, name: name, err: checkName(name)}
}

// Name of the repository.
func (r *Repository) Name() string { return r.name }

// do is Client.do for this repository, once its name is found good.
func (r *Repository) do(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error), extra ...string) (*http.Response, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.client.do(ctx, op, r.name, send, extra...)
}

// Artifact is a handle on what a reference of a repository names: a tag and the manifest behind it, or a manifest by its digest. It is made
// by Repository.Artifact, and as cheap as a Repository.
type Artifact struct {
	repository *Repository
	tag        string        // empty when the reference is a digest
	digest     digest.Digest // empty when the reference is a tag
	err        error         // what is wrong with the reference
}

// Artifact returns a handle on a tag or digest of the repository; it asks nothing of the registry. A bad reference is reported by the
// first method called, before anything is sent: ErrInvalidReference, or ErrInvalidDigest for what has a colon.
func (r *Repository) Artifact(reference string) *Artifact {
	a := &Artifact{repository: r}
	a.tag, a.digest, a.err = parseReference(reference)
	if r.err != nil {
		a.err = r.err
	}
	return a
}

// Reference is the tag or digest that the handle was made with.
func (a *Artifact) Reference() string { return a.tag + string(a.digest) }
