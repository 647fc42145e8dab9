package retention

import (
	"context"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// PlanOptions are the choices of Make. The zero value plans every repository that the rules name.
type PlanOptions struct {
	// InUse are sources of references that are in use. Default: none.
	InUse []InUse

	// Repositories restricts the plan to these of the repositories that the rules name. Then the
	// list of repositories is not read. Default: all.
	Repositories []string

	// Concurrency is how many repositories are read at a time. Default: 4.
	Concurrency int

	// Cache keeps what was read for the next run. Default: none.
	Cache Cache

	// Sizes fills in RepositoryPlan.Bytes. It costs a request for each image of Docker's format,
	// which need not be read otherwise.
	Sizes bool

	// Progress, if not nil, is called often, from several goroutines, but never at the same time.
	Progress func(Progress)
}

// Make reads the repositories that the rules name and returns what would be deleted. It deletes
// nothing.
//
// It costs one request for every thousand tags and manifests, two for each repository, and one for
// each OCI manifest or index that is not in the Cache. It holds the repositories that are being
// read in memory, and the plan. Use a client with [acr.Governor], so that the requests stay within
// the registry's budgets.
//
// A repository that cannot be judged is in the plan as refused, with the reason; the others are
// planned.
//
// Errors:
//   - [ErrRules] (*RulesError) if the rules are faulty
//   - [ErrInUse] if a source of references in use fails or names nothing
//   - [ErrClock] if the registry does not tell its time, or has something that is newer than it
//   - those of [acr.Client.Repositories] if the list of repositories cannot be read
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

// Each is Make for registries whose plan is too large to be held in memory: it returns the parts of
// the plan one by one, in order of the repositories' names. An error ends the sequence.
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
