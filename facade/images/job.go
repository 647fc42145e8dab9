package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/crew"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// job is one copy.
type job struct {
	CopyOptions

	from      Source
	to        Target
	reference string
	tag       string
	source    *acr.Repository // nil if the source is something else
	target    *acr.Repository // the same
	layout    *Layout         // the target, if it is one

	meter     *meter
	mountFrom []string
	verified  bool                   // the copy is read back before its tags are set
	known     map[digest.Digest]bool // manifests that an earlier copy has found at the target, or put there; nil: there was none

	healing  sync.Mutex // only one manifest at a time is healed
	mu       sync.Mutex
	contents map[digest.Digest][]byte // manifests that were read
	held     int                      // bytes of contents
	listed   int                      // referrers in all lists of the source
	attached map[string]digest.Digest // tags that belong to a digest by their name
	left     map[digest.Digest]Node
	missing  map[digest.Digest]bool // children of an index that are passed over; nil: they are an error

	root      ocispec.Descriptor
	named     digest.Digest   // what the reference stands for at the source; root unless platforms are selected
	manifests []*manifestNode // in the order in which they can be put
	byDigest  map[digest.Digest]*manifestNode
	blobs     []*blobNode
	tags      []TagMove
	locked    *Protection
}

// manifestNode is a manifest of the copy.
type manifestNode struct {
	*graph.Node

	role    string
	action  Action
	present bool
	healed  bool
}

// blobNode is a blob of the copy.
type blobNode struct {
	descriptor ocispec.Descriptor
	parent     digest.Digest
	role       string
	action     Action // Present until it is known otherwise
	todo       bool   // the target may lack it
}

func newJob(from Source, reference string, to Target, tag string, opts *CopyOptions) (*job, error) {
	j := &job{
		from: from, to: to, reference: reference, tag: tag,
		contents: map[digest.Digest][]byte{}, attached: map[string]digest.Digest{}, byDigest: map[digest.Digest]*manifestNode{},
		left: map[digest.Digest]Node{},
	}
	if opts != nil {
		j.CopyOptions = *opts
	}
	if err := j.check(from, to); err != nil {
		return nil, err
	}
	if j.Concurrency == 0 {
		j.Concurrency = defaultConcurrency
	}
	if err := j.checkNames(reference, tag); err != nil {
		return nil, err
	}
	j.layout, _ = to.(*Layout)
	j.mountFrom = slices.Clone(j.MountFrom)
	if j.sameRegistry() && j.source.Name() != j.target.Name() && !slices.Contains(j.mountFrom, j.source.Name()) {
		j.mountFrom = append([]string{j.source.Name()}, j.mountFrom...)
	}
	j.meter = newMeter(j.Progress)
	return j, nil
}

// checkNames takes apart the reference and the tag, and refuses them if they or a repository are invalid: before anything is sent
// to either side.
func (j *job) checkNames(reference, tag string) (err error) {
	if r, ok := j.from.(*Repository); ok {
		j.source = r.ACR()
		if err := r.checkName(); err != nil {
			return j.faultName(FromSource, "repository", j.source.Name(), orasError(err))
		}
		if j.reference, err = r.reference("reference", reference); err != nil {
			return j.faultName(FromSource, "reference", reference, err)
		}
	}
	r, ok := j.to.(*Repository)
	if !ok {
		return nil
	}
	j.target = r.ACR()
	if err := r.checkName(); err != nil {
		return j.faultName(AtTarget, "repository", j.target.Name(), orasError(err))
	}
	if tag != "" {
		j.tag, err = r.reference("tag", tag)
		if _, notDigest := parseDigest(j.tag); notDigest == nil {
			err = orasError(&acr.ArgumentError{Argument: "tag", Value: tag, Reason: "it is a digest, not a tag"})
		}
		if err != nil {
			return j.faultName(AtTarget, "tag", tag, err)
		}
	}
	for _, name := range j.MountFrom {
		err := Of(j.target.Client().Repository(name)).checkName()
		if e, ok := errors.AsType[*acr.ArgumentError](err); ok {
			return &acr.ArgumentError{Argument: "CopyOptions.MountFrom", Value: name, Reason: e.Reason}
		}
	}
	return nil
}

// sameRegistry tells whether blobs can be mounted from the source.
func (j *job) sameRegistry() bool {
	return j.source != nil && j.target != nil && hostOf(j.source.Client()) == hostOf(j.target.Client())
}

// copy does everything.
func (j *job) copy(ctx context.Context) (*Report, error) {
	done := false
	ctx, stop := j.meter.start(ctx)
	defer func() { stop(done) }()
	ctx, release := pin(ctx, j.from, j.to)
	defer release()
	if j.target != nil {
		ctx = j.target.ForPush(ctx)
	}
	for _, step := range []func(context.Context) error{j.prepare, j.sendBlobs, j.putManifests, j.verify, j.setTags, j.protect} {
		if err := step(ctx); err != nil {
			return j.report(), j.ended(ctx, err)
		}
	}
	done = true
	return j.report(), nil
}

// ended says what was copied, if all that is known is that the context has ended.
func (j *job) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return j.faultName(FromSource, "reference", j.reference, err)
}

// plan finds out what copy would do.
func (j *job) plan(ctx context.Context) (*Report, error) {
	ctx, release := pin(ctx, j.from, j.to)
	defer release()
	err := j.prepare(ctx)
	if err == nil {
		err = j.foresee(ctx)
	}
	return j.report(), j.ended(ctx, err)
}

// prepare reads the source and asks the target what it has.
func (j *job) prepare(ctx context.Context) error {
	if err := j.read(ctx); err != nil {
		return err
	}
	if err := j.checkBlobs(ctx); err != nil {
		return err
	}
	return j.ask(ctx)
}

// report is what is known and done so far.
func (j *job) report() *Report {
	r := &Report{Root: j.root, Tags: j.tags, Nodes: []Node{}, Bytes: j.meter.bytes(), Protection: j.locked}
	for _, b := range j.blobs {
		r.Nodes = append(r.Nodes, Node{Descriptor: b.descriptor, Parent: b.parent, Role: b.role, Action: b.action})
	}
	for _, m := range j.manifests {
		r.Nodes = append(r.Nodes, Node{Descriptor: m.Descriptor, Parent: m.Parent, Role: m.role, Action: m.action})
	}
	for _, d := range sortedKeys(j.left) {
		r.Nodes = append(r.Nodes, j.left[d])
	}
	return r
}

func cmpDigest(a, b digest.Digest) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// leave notes what is not copied.
func (j *job) leave(d ocispec.Descriptor, parent digest.Digest, role string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, twice := j.left[d.Digest]; !twice {
		j.left[d.Digest] = Node{Descriptor: d, Parent: parent, Role: role, Action: Leave}
	}
}

// fault makes a CopyError of an error at a manifest or blob.
func (j *job) fault(side Side, role string, d ocispec.Descriptor, err error) error {
	return j.failed(err, &CopyError{Side: side, Role: role, Descriptor: d})
}

// faultName makes a CopyError of an error at a reference or tag.
func (j *job) faultName(side Side, role, name string, err error) error {
	return j.failed(err, &CopyError{Side: side, Role: role, Name: name})
}

func (j *job) failed(err error, e *CopyError) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*CopyError](err); ok {
		return err
	}
	e.Place = placeOf(j.to)
	if e.Side == FromSource {
		e.Place = placeOf(j.from)
	}
	if l, ok := err.(*layoutError); ok { //nolint:errorlint // the outermost: it says which layout, as Place does
		err = l.err
	}
	e.Err = err
	return e
}

// pin keeps the requests to each of two registries or repositories at one address. The replicas of a
// geo-replicated registry learn of a push one after another: what one of them has to offer is an
// image as a whole, or nothing. from is only read from, so its fallback endpoints may serve the rest;
// nothing of a push may go to another endpoint. Either may be nil.
func pin(ctx context.Context, from, to any) (pinned context.Context, release func()) {
	releaseTo, releaseFrom := func() {}, func() {}
	if c := clientOf(to); c != nil {
		ctx, releaseTo = c.PinAddress(ctx)
	}
	if c := clientOf(from); c != nil {
		ctx, releaseFrom = c.PinReads(ctx)
	}
	return ctx, func() {
		releaseFrom()
		releaseTo()
	}
}

// clientOf returns the client of a registry or repository, nil if it is something else.
func clientOf(side any) *acr.Client {
	switch side := side.(type) {
	case *Repository:
		return side.ACR().Client()
	case *Registry:
		return side.acrClient()
	}
	return nil
}

// placeOf names a source or target.
func placeOf(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", v)
}

// each calls do for every item, several at a time, until one fails. It returns the first error,
// which says more than that the context ended because of it.
func each[T any](ctx context.Context, limit int, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg crew.Group
	var once sync.Once
	var first error
	slots := make(chan struct{}, limit)
	for _, item := range items {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, item); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return context.Cause(ctx)
}
