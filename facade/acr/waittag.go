package acr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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
	if err := checkTag(tag); err != nil {
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
		return 0, &ArgumentError{Kind: ErrInvalidArgument, Value: opts.Timeout.String(), Reason: "a wait cannot be negative"}
	default:
		return opts.Timeout, nil
	}
}
