package retention

import (
	"context"
	"errors"
	"fmt"

	"github.com/acrkit/acrkit/facade/acr"
)

// errInvariant is returned instead of sending a request that breaks a rule of this package: it
// would be a fault of the program, and ends the run.
var errInvariant = errors.New("internal error")

// onInvariant is called with a broken rule; tests set it.
var onInvariant = func(string) {}

// must returns an error if a rule is broken.
func must(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	text := fmt.Sprintf(format, args...)
	onInvariant(text)
	return fmt.Errorf("retention: %w: %s", errInvariant, text)
}

// write deletes a manifest. It is the only place that does.
func (r *run) write(ctx context.Context, i *item) error {
	if err := r.mayDelete(i); err != nil {
		return err
	}
	return r.repo.DeleteManifest(ctx, i.Digest)
}

// mayDelete holds the rules of every deletion.
func (r *run) mayDelete(i *item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.mayWrite(); err != nil {
		return err
	}
	checks := []error{
		must(i.noted && len(i.content) > 0, "I1: %s is not in the journal", i.Digest),
		must(r.planned[i.Digest] && r.items[i.Digest] == i && i.status == pending, "I2: %s is not to be deleted", i.Digest),
		must(r.state.node(i.Digest) == i.node, "I2: %s was not judged", i.Digest),
	}
	for _, b := range i.before {
		checks = append(checks, must(b.status == deleted, "I3: %s has to go before %s", b.Digest, i.Digest))
	}
	for _, w := range i.with {
		checks = append(checks, must(w.status == deleted || w.noted && w.status == pending, "I1: %s goes with %s and is not in the journal", w.Digest, i.Digest))
	}
	return errors.Join(checks...)
}

// mayWrite holds the rules of every change to the registry.
func (r *run) mayWrite() error {
	return errors.Join(
		must(r.result.State == Done, "I6: %s is %s", r.plan.Name, r.result.State),
		must(len(r.plan.Delete)+len(r.plan.Untag) > 0, "I7: the plan of %s is empty", r.plan.Name),
	)
}

// unlock unlocks a locked manifest and its locked tags, if the rules allow that. relock takes it
// back.
func (r *run) unlock(ctx context.Context, i *item) (relock func(), err error) {
	open := acr.ChangeableAttributes{DeleteEnabled: new(true), WriteEnabled: new(true)}
	var undo []func(context.Context)
	relock = func() {
		for _, u := range undo {
			u(context.WithoutCancel(ctx))
		}
	}
	policy := policyOf(r.policies, r.plan.Name)
	if i.Locked {
		a := r.repo.Artifact(string(i.Digest))
		if err := must(policy.Unlock, "I5: %s may not be unlocked", i.Digest); err != nil {
			return relock, err
		}
		undo = append(undo, func(ctx context.Context) { _, _ = a.UpdateManifestAttributes(ctx, relocked(i.node.attributes)) })
		if _, err := a.UpdateManifestAttributes(ctx, open); err != nil {
			return relock, err
		}
	}
	for _, t := range i.node.tags {
		if !t.locked {
			continue
		}
		if err := must(policy.Unlock, "I5: %s may not be unlocked", t.name); err != nil {
			return relock, err
		}
		a := r.repo.Artifact(t.name)
		undo = append(undo, func(ctx context.Context) { _, _ = a.UpdateTagAttributes(ctx, relocked(t.attributes)) })
		if _, err := a.UpdateTagAttributes(ctx, open); err != nil {
			return relock, err
		}
	}
	return relock, nil
}

// relocked is the change that sets the two attributes back which unlock sets.
func relocked(a acr.Attributes) acr.ChangeableAttributes {
	return acr.ChangeableAttributes{DeleteEnabled: &a.DeleteEnabled, WriteEnabled: &a.WriteEnabled}
}
