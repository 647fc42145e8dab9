package images

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// PromoteOptions are the options of Promote.
type PromoteOptions struct {
	// Replace moves tags that point to another manifest at the target. Default: Promote fails with
	// acr.ErrTagExists.
	Replace bool

	// AllTags sets the given tag and all other tags that the image has at the source. Default: only
	// the given tag is set.
	AllTags bool

	// Protect, if not nil, locks the promoted image; see Protect.
	Protect *ProtectOptions

	// DryRun returns the report of Plan, and copies nothing. Default: Promote copies.
	DryRun bool

	// Progress is that of CopyOptions.
	Progress func(Progress)
}

// Promote copies an image to another repository or registry together with its signatures, SBOMs and
// attestations, mounting blobs where it can. Before it sets the tag, it checks that the target has
// every manifest and lists every referrer. So a program that verifies signatures finds them as soon
// as the tag appears.
//
// It costs the requests of [Copy], and at the target one HEAD request for each manifest and one
// list of referrers for each manifest that has referrers.
//
// Errors:
//   - [ErrIncomplete] if the target lacks a manifest or does not list a referrer: then no tag is
//     set
//   - the errors of [Copy] if the copy fails
//   - the errors of [Protect] if PromoteOptions.Protect is set and locking fails
func Promote(ctx context.Context, from *acr.Repository, reference string, to *acr.Repository, tag string, opts *PromoteOptions) (*Report, error) {
	var o PromoteOptions
	if opts != nil {
		o = *opts
	}
	c := &CopyOptions{Referrers: true, IfAbsent: !o.Replace, AllTags: o.AllTags, Protect: o.Protect, Progress: o.Progress}
	if o.DryRun {
		return Plan(ctx, Of(from), reference, Of(to), tag, c)
	}
	j, err := newJob(Of(from), reference, Of(to), tag, c)
	if err != nil {
		return nil, err
	}
	j.verified = true
	return j.copy(ctx)
}

// verify reads at the target that everything is there that was put.
func (j *job) verify(ctx context.Context) error {
	if !j.verified {
		return nil
	}
	return each(ctx, j.Concurrency, j.manifests, func(ctx context.Context, m *manifestNode) error {
		there, err := j.to.Exists(ctx, m.Descriptor)
		if err == nil && !there {
			err = fmt.Errorf("%w: it was put, but is not there", ErrIncomplete)
		}
		if err == nil {
			err = j.verifyReferrers(ctx, m)
		}
		return j.fault(AtTarget, m.role, m.Descriptor, err)
	})
}

// verifyReferrers compares the list of referrers with those that were put.
func (j *job) verifyReferrers(ctx context.Context, m *manifestNode) error {
	wanted := map[digest.Digest]bool{}
	for _, r := range m.Attached {
		if n := j.byDigest[r.Digest]; n != nil && n.Body.Subject != nil && n.Body.Subject.Digest == m.Descriptor.Digest {
			wanted[r.Digest] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	for d, err := range j.target.Referrers(ctx, m.Descriptor.Digest, nil) {
		if err != nil && !errors.Is(err, acr.ErrNotFound) {
			return err
		}
		delete(wanted, d.Digest)
	}
	for d := range wanted {
		return fmt.Errorf("%w: the registry does not list the referrer %s (%d are missing)", ErrIncomplete, d, len(wanted))
	}
	return nil
}
