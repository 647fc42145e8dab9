package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// ErrNotReadable is returned by WaitReadable if an image does not become readable in time.
var ErrNotReadable = errors.New("not readable everywhere")

// WaitReadable waits until all given repositories have an image with all its manifests and blobs.
// Use it after a push to a geo-replicated registry, whose replicas learn of the push one after
// another: pass the repository of one client for each regional endpoint. It does not wait for
// referrers.
//
// It costs a GET request per manifest and a HEAD request per blob at each of the repositories. It
// repeats the requests for what is missing, at intervals that grow from a quarter of a second to
// five seconds.
//
// Errors:
//   - [acr.ErrInvalidArgument] if the digest or a repository is invalid, the timeout is not
//     positive, or there is no repository
//   - [ErrNotReadable] if something is still missing after the timeout or when the context ends;
//     the message says what and where
//   - an error of package acr other than [acr.ErrNotFound] if a repository refuses a request
//   - [ErrTooMany] if the image has more than 100,000 manifests and blobs
func WaitReadable(ctx context.Context, dgst digest.Digest, timeout time.Duration, at ...*acr.Repository) error {
	if err := checkDigest(dgst); err != nil {
		return &acr.ArgumentError{Argument: "digest", Value: string(dgst), Reason: err.Error()}
	}
	if timeout <= 0 || len(at) == 0 {
		return refuse("timeout or repository", "WaitReadable needs both")
	}
	for _, r := range at {
		if err := checkRepository(r); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return each(ctx, len(at), at, func(ctx context.Context, r *acr.Repository) error {
		ctx, release := pin(ctx, nil, Of(r)) // whether a fallback endpoint has it is not the question
		defer release()
		w := &reader{r: Of(r), pending: []ocispec.Descriptor{{Digest: dgst}}, seen: map[digest.Digest]bool{dgst: true}}
		return w.wait(ctx)
	})
}

// reader asks one repository for everything that an image consists of.
type reader struct {
	r       *Repository
	pending []ocispec.Descriptor // the root without a media type
	seen    map[digest.Digest]bool
}

// wait asks until nothing is pending.
func (w *reader) wait(ctx context.Context) error {
	for pause := 250 * time.Millisecond; ; {
		asked := len(w.pending)
		missing, err := w.ask(ctx)
		if ctx.Err() != nil {
			return w.late(ctx)
		}
		if err != nil {
			return err
		}
		if len(missing) == 0 && len(w.pending) == 0 {
			return nil
		}
		progress := len(missing) < asked
		w.pending = append(w.pending, missing...)
		if progress {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return w.late(ctx)
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// late says what was still missing.
func (w *reader) late(ctx context.Context) error {
	what := "the image"
	if len(w.pending) > 0 {
		what = string(w.pending[len(w.pending)-1].Digest)
	}
	return fmt.Errorf("images: %w: %s does not serve %s: %w", ErrNotReadable, w.r, what, context.Cause(ctx))
}

// ask asks for what is pending. It returns what is not there; what is below a manifest that is
// there is pending then.
func (w *reader) ask(ctx context.Context) (missing []ocispec.Descriptor, err error) {
	type answer struct {
		descriptor ocispec.Descriptor
		missing    bool
		below      []ocispec.Descriptor
	}
	answers := make([]answer, len(w.pending))
	var asks []int
	for i := range w.pending {
		asks = append(asks, i)
	}
	err = each(ctx, defaultConcurrency, asks, func(ctx context.Context, i int) error {
		d := w.pending[i]
		below, err := w.read(ctx, d)
		answers[i] = answer{descriptor: d, missing: errors.Is(err, acr.ErrNotFound), below: below}
		if answers[i].missing {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	w.pending = nil
	for _, a := range answers {
		if a.missing {
			missing = append(missing, a.descriptor)
		}
		for _, d := range a.below {
			if !w.seen[d.Digest] {
				w.seen[d.Digest] = true
				w.pending = append(w.pending, d)
			}
		}
	}
	if len(w.seen) > maxReadable {
		return nil, fmt.Errorf("images: %w: more than %d manifests and blobs", ErrTooMany, maxReadable)
	}
	return missing, nil
}

// maxReadable bounds how many manifests and blobs are asked for.
const maxReadable = 100_000

// read asks for a manifest or blob, and returns what is below a manifest.
func (w *reader) read(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if d.MediaType != "" && !isManifest(d.MediaType) {
		_, err := w.r.acr.HeadBlob(ctx, d.Digest)
		return nil, err
	}
	m, err := w.r.acr.GetManifest(ctx, string(d.Digest))
	if err != nil {
		return nil, err
	}
	body, err := graph.Read(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return nil, malformed(err)
	}
	var below []ocispec.Descriptor
	for role, c := range body.Descriptors() {
		switch {
		case role == graph.RoleSubject, role == graph.RoleNamed, graph.IsForeign(c.MediaType):
		case role != graph.RoleChild:
			c.MediaType = "application/octet-stream" // a blob, whatever it says
			below = append(below, c)
		default:
			below = append(below, c)
		}
	}
	return below, nil
}
