package retention

import (
	"context"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// PlanOptions are the options of [Make] and [Each]. The zero value (or nil) plans every repository
// that the rules select.
type PlanOptions struct {
	// InUse are sources of references that are in use. Default: none.
	InUse []InUse

	// Repositories restricts the plan to these repositories. Make fails if the rules do not select
	// one of them; one that does not exist has an empty part in the plan. The list of all
	// repositories is not requested. Default: all that the rules select.
	Repositories []string

	// Concurrency is the maximum number of repositories that are read at the same time. Default: 4.
	Concurrency int

	// Cache stores what was read, for the next run. Default: none.
	Cache Cache

	// Sizes sets RepositoryPlan.Bytes. It costs one more request for each image in Docker's format.
	// Default: Bytes is nil.
	Sizes bool

	// Progress, if not nil, is called often, from several goroutines, but never at the same time.
	Progress func(Progress)
}

// Make reads the repositories that the rules select and returns a plan of what would be deleted. It
// deletes nothing.
//
// It costs one request for every thousand tags and manifests, two for each repository, and one for
// each OCI manifest or index that is not in the Cache. The plan and the repositories that are being
// read are in memory. Use a client with [acr.Governor], so that the requests stay within the
// registry's budgets.
//
// If a repository cannot be read completely, its part of the plan is refused
// (RepositoryPlan.Refused) and has the reason. The other repositories are planned.
//
// Errors:
//   - [ErrRules] (*RulesError) if the rules are invalid
//   - [acr.ErrInvalidArgument] if one of PlanOptions.Repositories is not the name of a repository,
//     or the rules do not select it
//   - [ErrInUse] if an InUse source fails or names no reference of the registry
//   - [ErrClock] if the registry's responses have no date, or if it has content that is newer than
//     that date
//   - those of [acr.Client.Repositories] if the list of repositories or the registry's time cannot
//     be read
//   - the context's error if it ends
func Make(ctx context.Context, c *acr.Client, rules *Rules, opts *PlanOptions) (*Plan, error) {
	ctx, release := c.PinAddress(ctx) // what is read and what is deleted belong to one replica
	defer release()
	m, err := newMaker(ctx, c, rules, opts)
	if err != nil {
		return nil, err
	}
	p := &Plan{Version: planVersion, Registry: c.Endpoint(), Made: m.reader.clock.registry, Rules: rules, InUse: m.sources, Repositories: []*RepositoryPlan{}, own: true}
	for r, err := range m.each(ctx) {
		if err != nil {
			return nil, err
		}
		p.Repositories = append(p.Repositories, r)
	}
	return p, nil
}

// Each is like [Make], but returns the plan of one repository after another, sorted by name, so
// that the whole plan need not be in memory. An error ends the sequence. Requests and errors are
// those of Make.
func Each(ctx context.Context, c *acr.Client, rules *Rules, opts *PlanOptions) iter.Seq2[*RepositoryPlan, error] {
	return func(yield func(*RepositoryPlan, error) bool) {
		ctx, release := c.PinAddress(ctx) // what the lists say and what manifests say belong to one replica
		defer release()
		m, err := newMaker(ctx, c, rules, opts)
		if err != nil {
			yield(nil, err)
			return
		}
		m.each(ctx)(yield)
	}
}

// maker makes a plan.
type maker struct {
	reader   *reader
	policies []*compiled
	used     inUse
	sources  int // of what is in use
	only     []string
	parallel int
}

func newMaker(ctx context.Context, c *acr.Client, rules *Rules, opts *PlanOptions) (*maker, error) {
	if opts == nil {
		opts = &PlanOptions{}
	}
	policies, err := rules.compile()
	if err != nil {
		return nil, err
	}
	if err := rules.checkHost(hostOf(c)); err != nil {
		return nil, err
	}
	if err := checkNames(ctx, c, opts.Repositories); err != nil {
		return nil, err
	}
	for _, name := range opts.Repositories {
		if policyOf(policies, name) == nil {
			return nil, &acr.ArgumentError{Argument: "Repositories", Value: name, Reason: "the rules do not select this repository: correct the name or the rules"}
		}
	}
	used, err := readInUse(ctx, c, opts.InUse)
	if err != nil {
		return nil, err
	}
	clock, err := readClock(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := rules.checkTimes(clock.now()); err != nil {
		return nil, err
	}
	return &maker{
		reader:   &reader{client: c, clock: clock, cache: opts.Cache, sizes: opts.Sizes, tell: teller(opts.Progress)},
		policies: policies, used: used, sources: len(opts.InUse), only: opts.Repositories, parallel: positive(opts.Concurrency, defaultReads),
	}, nil
}

// policyOf returns the policy that governs a repository, or nil.
func policyOf(policies []*compiled, name string) *compiled {
	for _, p := range policies {
		if p.repositories.Match(name) && !p.except.Match(name) {
			return p
		}
	}
	return nil
}

// names returns the repositories to plan, in order.
func (m *maker) names(ctx context.Context) ([]string, error) {
	names, err := namesOf(ctx, m.reader.client, m.only)
	return slices.DeleteFunc(names, func(name string) bool { return policyOf(m.policies, name) == nil }), err
}

// each plans the repositories, several at a time, and yields the parts in order.
func (m *maker) each(ctx context.Context) iter.Seq2[*RepositoryPlan, error] {
	return func(yield func(*RepositoryPlan, error) bool) {
		names, err := m.names(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		inOrder(ctx, names, m.parallel, m.one)(yield)
	}
}

// one plans one repository. Only an error that concerns all repositories is returned.
func (m *maker) one(ctx context.Context, name string) (*RepositoryPlan, error) {
	policy := policyOf(m.policies, name)
	s, err := m.reader.read(ctx, name, map[digest.Digest]*body{})
	switch refused, gone, err := ending(name, err); {
	case err != nil:
		return nil, err
	case refused != nil:
		p := &RepositoryPlan{Name: name, Policy: policy.Name}
		p.refused(refused)
		return p, nil
	case gone:
		return &RepositoryPlan{Name: name, Policy: policy.Name, Delete: []Manifest{}, Untag: []Tag{}}, nil
	}
	m.reader.remember(s, policy)
	return newJudge(s, policy, m.reader.clock.registry, m.used[name], begun{}).plan(), nil
}
