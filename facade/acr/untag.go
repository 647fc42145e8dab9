package acr

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// Untag deletes the tag like [Artifact.DeleteTag], and returns the digest of the manifest that it
// pointed to, according to the registry's response. It costs one request. The digest is empty if
// the registry does not state it, or if the response was lost and a retry found the tag gone.
//
// Errors are those of [Artifact.DeleteTag].
func (a *Artifact) Untag(ctx context.Context) (digest.Digest, error) {
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
