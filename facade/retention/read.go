package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/crew"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

const (
	readAttempts   = 3               // how often a repository that changes is read
	bodyReaders    = 16              // manifests of one repository that are read at a time
	clockTolerance = 5 * time.Minute // how far a time of the registry may be ahead of its clock
)

// reader reads repositories.
type reader struct {
	client *acr.Client
	clock  *clock // nil: nothing is going to be deleted, so neither times nor the lock of a repository matter
	cache  Cache
	sizes  bool // the blobs of Docker images are wanted too
	tell   func(phase, repository string, done, of int)
}

// refusedError ends the reading of one repository.
type refusedError struct{ refusal Refusal }

func (e *refusedError) Error() string { return e.refusal.Text }

func refuse(code RefusalCode, format string, args ...any) error {
	return &refusedError{Refusal{code, fmt.Sprintf(format, args...)}}
}

// read reads a repository until the answers agree: the counts of before and after, the two lists,
// and what the manifests themselves name. It takes what is in bodies, and adds what it reads, so
// that a later attempt does not read it again.
//
// It fails with a *refusedError, with ErrClock, and with the context's error.
func (r *reader) read(ctx context.Context, name string, bodies map[digest.Digest]*body) (*state, error) {
	return r.untilSteady(ctx, func() (*state, error) { return r.attempt(ctx, name, bodies) })
}

// untilSteady repeats an attempt that fails with a contradiction.
func (r *reader) untilSteady(ctx context.Context, attempt func() (*state, error)) (*state, error) {
	var err error
	for range readAttempts {
		var s *state
		if s, err = attempt(); err == nil {
			return s, nil
		}
		if _, again := errors.AsType[*changedError](err); !again {
			return nil, refusalOf(ctx, err)
		}
	}
	if again, ok := errors.AsType[*changedError](err); ok {
		return nil, refuse(again.code, "%s", again.text)
	}
	return nil, err
}

// changedError is a contradiction that another attempt may resolve.
type changedError struct {
	code RefusalCode
	text string
}

func (e *changedError) Error() string { return e.text }

func changed(code RefusalCode, format string, args ...any) error {
	return &changedError{code, fmt.Sprintf(format, args...)}
}

// errGone is returned for a repository that does not exist any more.
var errGone = errors.New("the repository does not exist any more")

// ending divides the error with which the reading of a repository ended: the repository is refused, it
// does not exist any more, or the error concerns all repositories.
func ending(name string, err error) (refused *Refusal, gone bool, failed error) {
	var r *refusedError
	switch {
	case errors.As(err, &r):
		return &r.refusal, false, nil
	case errors.Is(err, errGone):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("retention: %s: %w", name, err)
	}
	return nil, false, nil
}

// refusalOf makes the reason of an error why a repository is left alone. The context's end is
// nobody's refusal.
func refusalOf(ctx context.Context, err error) error {
	var refused *refusedError
	var response *acr.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &refused), errors.Is(err, ErrClock):
		return err
	case errors.Is(err, acr.ErrNotFound):
		return errGone
	case errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return refuse(RefusedDenied, "%s", steady(err))
	default:
		return refuse(RefusedFailed, "%s", steady(err))
	}
}

// steady returns the text of an error without what differs each time: the same registry gives the
// same plan.
func steady(err error) string {
	if response, ok := errors.AsType[*acr.Error](err); ok {
		same := *response
		same.CorrelationID, same.RetryAfter = "", 0
		return same.Error()
	}
	return err.Error()
}

func (r *reader) attempt(ctx context.Context, name string, bodies map[digest.Digest]*body) (*state, error) {
	s, err := r.lists(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := r.bodies(ctx, r.client.Repository(name), s, bodies); err != nil {
		return nil, err
	}
	s.link()
	return s, nil
}

// lists reads the lists of a repository, between two looks at its counts.
func (r *reader) lists(ctx context.Context, name string) (*state, error) {
	repo := r.client.Repository(name)
	before, err := repo.Properties(ctx)
	if err != nil {
		return nil, err
	}
	if r.clock != nil && !before.Attributes.WriteEnabled {
		return nil, refuse(RefusedLocked, "the repository is locked")
	}
	s := &state{name: name, created: before.CreatedTime, attributes: before.Attributes, blobSizes: r.sizes}
	tagNames, err := s.list(ctx, repo)
	if err != nil {
		return nil, err
	}
	after, err := repo.Properties(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.agree(before, after, tagNames); err != nil {
		return nil, err
	}
	if r.clock == nil {
		return s, nil
	}
	if limit := r.clock.now().Add(clockTolerance); s.newest.After(limit) {
		return nil, fmt.Errorf("retention: %w: %s has something of %s, and the registry's clock says %s",
			ErrClock, name, s.newest.Format(time.RFC3339), r.clock.now().Format(time.RFC3339))
	}
	return s, nil
}

// listConcurrency is how many pages of a list are requested at the same time.
const listConcurrency = 8

// list reads the lists of manifests and tags. It returns the number of tags that the manifests have
// by their own account.
func (s *state) list(ctx context.Context, repo *acr.Repository) (tagNames int, err error) {
	for m, err := range repo.Manifests(ctx, &acr.ListManifestsOptions{Concurrency: listConcurrency}) {
		if err != nil {
			return 0, err
		}
		if m.Digest.Validate() != nil {
			return 0, refuse(RefusedUnreadable, "the list of manifests has %.80q, which is no digest", m.Digest)
		}
		n := newNode(&m)
		n.mediaType = intern(n.mediaType)
		s.nodes = append(s.nodes, n)
		s.newest = latest(s.newest, n.updated)
		tagNames += len(m.Tags)
	}
	slices.SortFunc(s.nodes, func(a, b *node) int { return cmp.Compare(a.digest, b.digest) })
	for i, n := range s.nodes {
		if n.at = int32(i); i > 0 && s.nodes[i-1].digest == n.digest {
			return 0, changed(RefusedChanging, "the list of manifests names %s twice", n.digest)
		}
	}
	for t, err := range repo.Tags(ctx, &acr.ListTagsOptions{Concurrency: listConcurrency}) {
		if err != nil {
			return 0, err
		}
		v := newTag(&t)
		if v.node = s.node(t.Digest); v.node == nil {
			return 0, changed(RefusedChanging, "the tag %s points to %s, which the list of manifests lacks", t.Name, t.Digest)
		}
		v.node.tags = append(v.node.tags, v)
		s.tags = append(s.tags, v)
		s.newest = latest(s.newest, v.updated)
	}
	slices.SortFunc(s.tags, func(a, b *tag) int { return cmp.Compare(a.name, b.name) })
	for i, t := range s.tags {
		if t.at = int32(i); i > 0 && s.tags[i-1].name == t.name {
			return 0, changed(RefusedChanging, "the list of tags names %s twice", t.name)
		}
	}
	return tagNames, nil
}

var (
	internMu sync.Mutex
	interned = map[string]string{}
)

// intern returns one copy of a media type, of which there are few.
func intern(s string) string {
	internMu.Lock()
	defer internMu.Unlock()
	if v, ok := interned[s]; ok || len(interned) > 1000 {
		return max(v, s)
	}
	interned[s] = s
	return s
}

// agree compares the lists with the counts of before and after: only then can what is not in a list
// be taken for not there.
func (s *state) agree(before, after acr.RepositoryProperties, tagNames int) error {
	switch {
	case before.ManifestCount != after.ManifestCount || before.TagCount != after.TagCount || !before.CreatedTime.Equal(after.CreatedTime):
		return changed(RefusedChanging, "the repository changed while it was read")
	case len(s.nodes) != after.ManifestCount:
		return changed(RefusedCounts, "its list has %d manifests, and it counts %d: some are hidden, or the list was cut short", len(s.nodes), after.ManifestCount)
	case len(s.tags) != after.TagCount:
		return changed(RefusedCounts, "its list has %d tags, and it counts %d: some are hidden, or the list was cut short", len(s.tags), after.TagCount)
	case tagNames != len(s.tags):
		return changed(RefusedChanging, "its manifests have %d tags, and its list has %d", tagNames, len(s.tags))
	}
	return nil
}

// dockerImage stands for the content of every image of Docker's manifest format, which names no
// other manifest.
var dockerImage = &body{Kind: graph.KindImage}

// bodies reads what each manifest names, as far as it is not known yet. Of several that cannot be
// read it reports the first by digest, so that the same registry gives the same plan.
func (r *reader) bodies(ctx context.Context, repo *acr.Repository, s *state, known map[digest.Digest]*body) error {
	var mu sync.Mutex
	var group crew.Group
	var failed error
	var failedAt *node
	work := make(chan *node)
	stop := make(chan struct{})
	done := 0
	take := func(n *node, b *body, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			known[n.digest] = b
			done++
			r.tell("read", s.name, done, len(s.nodes))
			return
		}
		if failed == nil {
			close(stop)
		}
		if failed == nil || n.digest < failedAt.digest {
			failed, failedAt = err, n
		}
	}
	for range min(bodyReaders, len(s.nodes)) {
		group.Go(func() {
			for n := range work {
				b, err := r.body(ctx, repo, n)
				take(n, b, err)
			}
		})
	}
	for _, n := range s.unread(known, r.sizes) {
		select {
		case work <- n:
			continue
		case <-stop:
		case <-ctx.Done():
		}
		break
	}
	close(work)
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed != nil {
		return failed
	}
	for _, n := range s.nodes {
		if n.body == nil {
			n.body = known[n.digest]
		}
		if n.body == nil { // a transport that ended the goroutine
			return refuse(RefusedUnreadable, "what the manifest %s needs is not known", n.digest)
		}
	}
	return nil
}

// unread returns the manifests that have to be read. All others get their body.
func (s *state) unread(known map[digest.Digest]*body, sizes bool) (unread []*node) {
	for _, n := range s.nodes {
		switch b := known[n.digest]; {
		case b != nil:
			n.body = b
		case !sizes && !graph.NamesManifests(n.mediaType):
			n.body = dockerImage
		default:
			unread = append(unread, n)
		}
	}
	return unread
}

// body reads what one manifest names, from the cache if that has it.
func (r *reader) body(ctx context.Context, repo *acr.Repository, n *node) (*body, error) {
	if b := loadBody(r.cache, n.digest); b != nil && b.Kind == graph.KindOf(n.mediaType) { // another repository may have it as something else
		return b, nil
	}
	m, err := repo.GetManifest(ctx, string(n.digest))
	switch {
	case errors.Is(err, acr.ErrNotFound):
		return nil, changed(RefusedUnreadable, "the manifest %s is in the list, and cannot be read: %s", n.digest, steady(err))
	case err != nil && ctx.Err() == nil && !isDenied(err):
		return nil, refuse(RefusedUnreadable, "what the manifest %s needs is not known: %s", n.digest, steady(err))
	case err != nil:
		return nil, err
	}
	g, err := graph.Read(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return nil, refuse(RefusedUnreadable, "what the manifest %s needs is not known: %v", n.digest, err)
	}
	b := bodyOf(g)
	storeBody(r.cache, n.digest, b)
	return b, nil
}

// isDenied reports whether the registry refused a request for lack of rights. A manifest that may
// not be read is another matter: the registry refuses that with another status.
func isDenied(err error) bool {
	var response *acr.Error
	return errors.As(err, &response) && response.StatusCode == http.StatusUnauthorized
}
