package acr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WaitForTag waits until the tag is there, on the manifest with this digest unless that is empty, and gives the manifest's descriptor: the
// replicas of a geo-replicated registry, and its lists, learn of a push one after another. It costs HEAD requests, the first at once, the
// others at growing intervals of a quarter of a second to five seconds, until ctx ends. Errors: that of ctx, with where the tag was last;
// those of HeadManifest other than ErrNotFound.
func (r *Repository) WaitForTag(ctx context.Context, tag string, dgst digest.Digest) (ocispec.Descriptor, error) {
	if r.err != nil {
		return ocispec.Descriptor{}, r.err
	}
	if err := checkTag(tag); err != nil {
		return ocispec.Descriptor{}, err
	}
	if dgst != "" {
		if err := checkDigest(dgst); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		there, err := r.HeadManifest(ctx, tag)
		last := "it is on " + string(there.Digest)
		switch {
		case err == nil && (dgst == "" || there.Digest == dgst):
			return there, nil
		case errors.Is(err, ErrNotFound):
			last = "it is not there"
		case err != nil:
			return ocispec.Descriptor{}, err
		}
		if err := pauseFor(ctx, pause); err != nil {
			return ocispec.Descriptor{}, opHeadManifest.fail(fmt.Errorf("%w while waiting for the tag %s: %s", err, tag, last))
		}
	}
}
