package retention

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// ReadOptions are the options of [Storage] and [Snapshot]. The zero value reads all repositories.
type ReadOptions struct {
	// Repositories restricts reading to these repositories. Default: all.
	Repositories []string

	// Concurrency is the maximum number of repositories that are read at the same time. Default: 4.
	Concurrency int

	// Cache stores what was read, for the next run. Snapshot does not use it. Default: none.
	Cache Cache

	// Plan, if not nil, is a plan for which Storage computes how many bytes it frees. Snapshot does
	// not use it. Default: nil.
	Plan *Plan

	// Progress, if not nil, is called often, from several goroutines, but never at the same time.
	Progress func(Progress)
}

// StorageUsage says how much storage the repositories of a registry use. Sizes are those of blobs
// (configs and layers), as the manifests state them. A blob that several manifests name is counted
// once.
type StorageUsage struct {
	Registry     string             `json:"registry"`
	Bytes        int64              `json:"bytes"`           // of all repositories that were read
	Freed        int64              `json:"freed,omitempty"` // of blobs that only manifests to be deleted by the plan name
	Repositories []*RepositoryUsage `json:"repositories"`
}

// RepositoryUsage says how much storage one repository uses.
type RepositoryUsage struct {
	Name      string   `json:"name"`
	Refused   *Refusal `json:"refused,omitzero"` // why it could not be read; then the sizes of others may be too small
	Manifests int      `json:"manifests"`
	Tags      int      `json:"tags"`
	Bytes     int64    `json:"bytes"`           // of all its blobs
	Exclusive int64    `json:"exclusive"`       // of blobs that no other repository has
	Shared    int64    `json:"shared"`          // of blobs that another repository has too
	Untagged  int64    `json:"untagged"`        // of blobs that no tagged image needs
	Freed     int64    `json:"freed,omitempty"` // of exclusive blobs that only manifests to be deleted by the plan name
}

// Storage reads every manifest of the repositories and returns how much storage they use. Exclusive
// and Shared compare only the repositories that were read. To find out what the deletion of one
// would free, read all of them.
//
// If a repository cannot be read completely, its part of the result has the reason in Refused.
//
// It costs one request for every thousand tags and manifests, two for each repository, and one for
// each manifest that is not in the Cache. The repositories that are being read are in memory, and
// about 80 bytes for each blob.
//
// Errors:
//   - [ErrPlan] if the plan contradicts itself, or is of another registry
//   - [acr.ErrInvalidArgument] if one of ReadOptions.Repositories is not the name of a repository
//   - those of [acr.Client.Repositories] if the list of repositories cannot be read
//   - the context's error if it ends
func Storage(ctx context.Context, c *acr.Client, opts *ReadOptions) (*StorageUsage, error) {
	if opts == nil {
		opts = &ReadOptions{}
	}
	if opts.Plan != nil {
		if err := opts.Plan.check(); err != nil {
			return nil, err
		}
		if err := opts.Plan.isOf(c); err != nil {
			return nil, err
		}
	}
	ctx, release := c.PinAddress(ctx) // what the lists say and what manifests say belong to one replica
	defer release()
	names, err := namesOf(ctx, c, opts.Repositories)
	if err != nil {
		return nil, err
	}
	r := &reader{client: c, cache: opts.Cache, sizes: true, tell: teller(opts.Progress)}
	t := &tally{blobs: map[uint64]blobUse{}, usage: &StorageUsage{Registry: c.Endpoint(), Repositories: []*RepositoryUsage{}}}
	read := func(ctx context.Context, name string) (held, error) { return r.hold(ctx, name, opts.Plan) }
	for h, err := range inOrder(ctx, names, positive(opts.Concurrency, defaultReads), read) {
		if err != nil {
			return nil, err
		}
		t.add(h)
	}
	return t.result(), nil
}

// held is what one repository holds.
type held struct {
	usage *RepositoryUsage
	blobs map[uint64]heldBlob
}

type heldBlob struct {
	size          int64
	tagged, stays bool
}

// hold reads a repository, and keeps of it what it has of each blob.
func (r *reader) hold(ctx context.Context, name string, plan *Plan) (held, error) {
	h := held{usage: &RepositoryUsage{Name: name}, blobs: map[uint64]heldBlob{}}
	s, err := r.read(ctx, name, map[digest.Digest]*body{})
	switch refused, gone, err := ending(name, err); {
	case err != nil:
		return h, err
	case refused != nil || gone:
		h.usage.Refused = refused
		return h, nil
	}
	h.usage.Manifests, h.usage.Tags = len(s.nodes), len(s.tags)
	gone := map[digest.Digest]bool{}
	if plan != nil {
		if p := plan.repository(name); p != nil {
			for _, m := range p.Delete {
				gone[m.Digest] = true
			}
		}
	}
	tagged := s.tagged()
	for _, n := range s.nodes {
		for _, b := range n.body.Blobs {
			u := h.blobs[b.Hash]
			u.size = max(u.size, b.Size)
			u.tagged = u.tagged || tagged[n.at]
			u.stays = u.stays || !gone[n.digest]
			h.blobs[b.Hash] = u
		}
	}
	return h, nil
}

// tagged returns the manifests that have a tag, and all that belongs to them.
func (s *state) tagged() nodeSet {
	tagged := make(nodeSet, len(s.nodes))
	var todo []*node
	add := func(n *node) {
		if n != nil && !tagged[n.at] {
			tagged[n.at] = true
			todo = append(todo, n)
		}
	}
	for _, t := range s.tags {
		add(t.node)
	}
	for ; len(todo) > 0; todo = todo[1:] {
		n := todo[0]
		add(n.subject)
		for _, list := range [][]*node{n.needs, n.refers} {
			for _, v := range list {
				add(v)
			}
		}
	}
	return tagged
}

// tally adds up repositories.
type tally struct {
	usage *StorageUsage
	blobs map[uint64]blobUse // by the beginning of their digests
}

// blobUse is what is known of a blob.
type blobUse struct {
	size   int64
	first  int32 // the first repository that has it
	shared bool  // another one has it too
	stays  bool  // a manifest names it that is not deleted
}

func (t *tally) add(h held) {
	at := int32(len(t.usage.Repositories))
	t.usage.Repositories = append(t.usage.Repositories, h.usage)
	for hash, b := range h.blobs {
		u, there := t.blobs[hash]
		if !there {
			u.first = at
		}
		u.shared = u.shared || there
		u.size = max(u.size, b.size)
		u.stays = u.stays || b.stays
		t.blobs[hash] = u
		h.usage.Bytes += b.size
		if !b.tagged {
			h.usage.Untagged += b.size
		}
	}
}

// result divides what each repository has into what it has alone and what it shares.
func (t *tally) result() *StorageUsage {
	for _, u := range t.blobs {
		t.usage.Bytes += u.size
		if !u.stays {
			t.usage.Freed += u.size
		}
		if r := t.usage.Repositories[u.first]; !u.shared {
			r.Exclusive += u.size
			if !u.stays {
				r.Freed += u.size
			}
		}
	}
	for _, r := range t.usage.Repositories {
		r.Shared = r.Bytes - r.Exclusive
	}
	return t.usage
}
