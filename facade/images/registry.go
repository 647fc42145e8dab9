package images

import (
	"context"

	"oras.land/oras-go/v2/registry"

	"github.com/acrkit/acrkit/facade/acr"
)

// Registry is a registry with the methods of oras-go's registry.Registry. It is safe for concurrent
// use.
type Registry struct {
	client *acr.Client
}

// OfClient returns a Registry that sends its requests through the client.
func OfClient(c *acr.Client) *Registry { return &Registry{client: c} }

// String returns the registry's host.
func (r *Registry) String() string { return hostOf(r.acrClient()) }

// Repositories calls fn with the sorted names of the repositories after last. It costs one request
// per thousand repositories.
func (r *Registry) Repositories(ctx context.Context, last string, fn func(repos []string) error) error {
	var page pager[string]
	for name, err := range r.acrClient().Repositories(ctx, &acr.ListOptions{After: last}) {
		if err != nil {
			return orasError(err)
		}
		if err := page.add(name, fn); err != nil {
			return err
		}
	}
	return page.flush(fn)
}

// Repository returns a repository of the registry. No request is sent. If the name is invalid, the
// first method that is called fails.
func (r *Registry) Repository(_ context.Context, name string) (registry.Repository, error) {
	return Of(r.acrClient().Repository(name)), nil
}

// acrClient returns the client, or nil, whose methods say so.
func (r *Registry) acrClient() *acr.Client {
	if r == nil {
		return nil
	}
	return r.client
}
