package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// UndoOptions are the options of [Undo]. The zero value (or nil) restores everything.
type UndoOptions struct {
	// Only, if not nil, reports whether to restore a manifest or tag. what is its digest or tag. A
	// manifest needs the manifests that it names, so Only must return true for those too. Default:
	// everything is restored.
	Only func(repository, what string) bool

	// DryRun reports what would be restored, and changes nothing. Default: Undo restores.
	DryRun bool

	// Progress, if not nil, is called often.
	Progress func(Progress)
}

// Undo restores what was deleted according to a journal: the manifests, from the journal or from
// the registry's recycle bin if it has one, and then their locks and tags. A tag that points to
// another manifest now is not moved. If several runs deleted a tag, it is restored to the manifest
// of the last run. Undo can be repeated; it skips what exists.
//
// The registry deletes the blobs of deleted manifests some time later; how long is not published.
// Then the manifest cannot be restored, and is in Skipped ([SkippedBlobsGone]): push the image
// again.
//
// The times of restored tags and manifests are those of the Undo, so the next plan takes them for
// the newest: rules that keep a number of tags keep the restored ones and delete younger builds in
// their place. Change the rules, or lock what has to stay, before the next plan is applied.
//
// It costs one request for each manifest and tag that exists, and two for each that it restores.
// The manifests of the journal are in memory. If the journal is empty, Undo does nothing: Apply
// leaves one if it deletes nothing.
//
// Errors:
//   - [ErrJournal] if the journal is nil, cannot be read, is of another registry, or is a file that
//     is at its end
//   - the context's error if it ends
//
// If Undo fails after it has begun, it returns the Result too. A manifest or tag that could not be
// restored is not an error: call [Result.Complete] to find out whether everything was done.
func Undo(ctx context.Context, c *acr.Client, journal io.Reader, opts *UndoOptions) (*Result, error) {
	ctx, release := c.PinAddress(ctx) // what is read and what is deleted belong to one replica
	defer release()
	if opts == nil {
		opts = &UndoOptions{}
	}
	u := &undoer{client: c, opts: opts, tell: teller(opts.Progress), repositories: map[string]*undoing{}, result: &Result{Repositories: []*RepositoryResult{}}}
	if journal == nil {
		return nil, fmt.Errorf("retention: %w: it is nil", ErrJournal)
	}
	var from int64
	if s, ok := journal.(io.Seeker); ok {
		from, _ = s.Seek(0, io.SeekCurrent) // a pipe has no offset
	}
	if err := readJournal(journal, u.take); err != nil {
		return nil, err
	}
	if from > 0 && !u.begun {
		return nil, fmt.Errorf("retention: %w: nothing was read from offset %d on: seek to its start, or open it again", ErrJournal, from)
	}
	for _, name := range u.names {
		r := u.repositories[name]
		u.result.Repositories = append(u.result.Repositories, r.result)
		if err := r.run(ctx); err != nil {
			r.result.State, r.result.Detail = Interrupted, err.Error()
			return u.result, err
		}
	}
	return u.result, nil
}

// undoer undoes the deletions of a journal.
type undoer struct {
	client       *acr.Client
	opts         *UndoOptions
	tell         func(phase, repository string, done, of int)
	names        []string
	repositories map[string]*undoing
	begun        bool // the head has been read
	result       *Result
}

// undoing is what is to be undone in one repository.
type undoing struct {
	*undoer
	repo      *acr.Repository
	result    *RepositoryResult
	entries   []*entry                 // as in the journal
	open      map[digest.Digest]*entry // deletions of which no outcome was read yet
	manifests map[digest.Digest]*entry // the last deletion of each that counts
	visited   map[digest.Digest]bool
	there     map[digest.Digest]bool
}

// take takes one entry of the journal in.
func (u *undoer) take(e entry) error {
	switch {
	case e.Version > journalVersion:
		return fmt.Errorf("version %d is unknown", e.Version)
	case e.Version != 0 && e.Plan == "":
		return errors.New("it does not name the plan that was applied: this is not the journal that Apply wrote")
	case e.Registry != "":
		if e.Registry != u.client.Endpoint() {
			return fmt.Errorf("it is of %s, and the client is of %s", e.Registry, u.client.Endpoint())
		}
		u.result.Plan, u.begun = e.Plan, true
		return nil
	case !u.begun:
		return errors.New("it does not begin with the registry that it is of")
	case e.Repository == "":
		return errors.New("an entry names no repository")
	case !printable(e.Repository+e.Tag) || slices.ContainsFunc(e.Tags, func(t journaledTag) bool { return !printable(t.Name) }):
		return errors.New("a name has a control character")
	}
	r := u.repositories[e.Repository]
	if r == nil {
		r = &undoing{
			undoer: u, repo: u.client.Repository(e.Repository), result: &RepositoryResult{Name: e.Repository, State: Done},
			open: map[digest.Digest]*entry{}, manifests: map[digest.Digest]*entry{}, visited: map[digest.Digest]bool{}, there: map[digest.Digest]bool{},
		}
		u.repositories[e.Repository] = r
		u.names = append(u.names, e.Repository)
	}
	return r.take(e)
}

func (r *undoing) take(e entry) error {
	switch {
	case e.Do == doDelete:
		if e.Digest.Validate() != nil || e.Digest.Algorithm().FromBytes(e.Manifest) != e.Digest {
			return fmt.Errorf("the manifest is not the one of %.80q", e.Digest)
		}
		if interrupted := r.open[e.Digest]; interrupted != nil {
			interrupted.void = true
		}
		r.open[e.Digest] = &e
		r.entries = append(r.entries, &e)
	case e.Do == doUntag:
		r.entries = append(r.entries, &e)
	case e.Do != "":
		return fmt.Errorf("%.40q is unknown", e.Do)
	default:
		r.outcome(e)
	}
	return nil
}

// outcome takes in what became of a deletion.
func (r *undoing) outcome(e entry) {
	deletion := r.open[e.Digest]
	if deletion == nil || e.Tag != "" {
		return
	}
	switch e.Done {
	case outcomeLeft:
		deletion.void = true
		delete(r.open, e.Digest)
	case outcomeDeleted, outcomeGone, outcomeRestored: // a later entry does not take its place
		delete(r.open, e.Digest)
	}
}

// run puts everything back: manifests first, what they need before them, then tags.
func (r *undoing) run(ctx context.Context) error {
	r.entries = slices.DeleteFunc(r.entries, func(e *entry) bool { return e.void })
	for _, e := range r.entries {
		if e.Do == doDelete {
			r.manifests[e.Digest] = e
		}
	}
	for i, e := range slices.Backward(r.entries) {
		if err := r.manifest(ctx, e.Digest); err != nil {
			return err
		}
		r.tell("undo", r.result.Name, len(r.entries)-i, len(r.entries))
	}
	seen := map[string]bool{} // a tag goes where its last entry says: a moving tag may have several
	for _, e := range slices.Backward(r.entries) {
		if err := r.tagsAndLock(ctx, e, seen); err != nil {
			return err
		}
	}
	return nil
}

// tagsAndLock puts back the tags of an entry, and the lock of its manifest.
func (r *undoing) tagsAndLock(ctx context.Context, e *entry, seen map[string]bool) error {
	deletes := e.Do == doDelete
	if deletes && !r.wanted(string(e.Digest)) {
		return nil
	}
	for _, t := range e.tags() {
		if seen[t.Name] {
			continue
		}
		seen[t.Name] = true
		if deletes && !r.there[e.Digest] {
			continue
		}
		if err := r.tag(ctx, t.Name, e, t.Attributes); err != nil {
			return err
		}
	}
	if deletes && r.there[e.Digest] && r.manifests[e.Digest] == e {
		return r.lock(ctx, e)
	}
	return nil
}

func (r *undoing) wanted(what string) bool {
	return r.opts.Only == nil || r.opts.Only(r.result.Name, what)
}

// manifest puts a manifest back, after those that it names.
func (r *undoing) manifest(ctx context.Context, d digest.Digest) error {
	e := r.manifests[d]
	if e == nil || r.visited[d] {
		return nil
	}
	r.visited[d] = true
	if body, err := graph.Read(e.MediaType, e.Manifest); err == nil {
		for _, v := range body.Descriptors() {
			if err := r.manifest(ctx, v.Digest); err != nil {
				return err
			}
		}
	}
	if !r.wanted(string(d)) {
		return nil
	}
	switch err := ask(ctx, r.repo, d); {
	case err == nil:
		r.there[d] = true
		return nil
	case !errors.Is(err, acr.ErrNotFound):
		return r.failed(ctx, string(d), err)
	case r.opts.DryRun:
		r.there[d] = true
		r.result.Restored++
		return nil
	}
	if err := putBack(ctx, r.repo, d, e.MediaType, e.Manifest); err != nil {
		return r.failed(ctx, string(d), err)
	}
	r.there[d] = true
	r.result.Restored++
	return nil
}

// tag puts a tag back, unless it exists.
func (r *undoing) tag(ctx context.Context, name string, e *entry, a *attributes) error {
	if !r.wanted(name) {
		return nil
	}
	now, err := r.repo.Artifact(name).TagProperties(ctx)
	switch {
	case err == nil && now.Digest == e.Digest:
		return r.lockTag(ctx, name, now.Attributes, a)
	case err == nil:
		r.skip(name, SkippedMoved, "it points to "+short(now.Digest)+" by now")
		return nil
	case !errors.Is(err, acr.ErrNotFound):
		return r.failed(ctx, name, err)
	case r.opts.DryRun:
		r.result.Restored++
		return nil
	}
	if len(e.Manifest) > 0 {
		_, err = r.repo.PutManifest(ctx, name, e.Manifest, &acr.PutManifestOptions{MediaType: e.MediaType, IfAbsent: true})
	} else {
		_, err = r.repo.Tag(ctx, string(e.Digest), name, &acr.TagOptions{IfAbsent: true})
	}
	if errors.Is(err, acr.ErrTagExists) {
		r.skip(name, SkippedMoved, "it was put elsewhere in this moment")
		return nil
	}
	if err != nil {
		return r.failed(ctx, name, err)
	}
	r.result.Restored++
	return r.lockTag(ctx, name, allEnabled, a)
}

var allEnabled = acr.Attributes{DeleteEnabled: true, WriteEnabled: true, ListEnabled: true, ReadEnabled: true}

// lockTag sets the attributes that a tag had.
func (r *undoing) lockTag(ctx context.Context, name string, now acr.Attributes, a *attributes) error {
	if a == nil || now == acr.Attributes(*a) || r.opts.DryRun {
		return nil
	}
	if _, err := r.repo.Artifact(name).UpdateTagAttributes(ctx, a.change()); err != nil {
		return r.failed(ctx, name, err)
	}
	return nil
}

// lock sets the attributes that a manifest had.
func (r *undoing) lock(ctx context.Context, e *entry) error {
	if e.Attributes == nil || r.opts.DryRun {
		return nil
	}
	if _, err := r.repo.Artifact(string(e.Digest)).UpdateManifestAttributes(ctx, e.Attributes.change()); err != nil {
		return r.failed(ctx, string(e.Digest), err)
	}
	return nil
}

func (r *undoing) skip(what string, code SkipCode, detail string) {
	r.result.Skipped = append(r.result.Skipped, Skipped{what, code, detail})
}

// failed notes what could not be put back. Only the end of the context ends the Undo.
func (r *undoing) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	code, detail := SkippedFailed, err.Error()
	if errors.Is(err, acr.ErrManifestBlobUnknown) || errors.Is(err, acr.ErrBlobUnknown) {
		code, detail = SkippedBlobsGone, "the registry does not have the blobs or manifests that it needs: push the image again"
	}
	if !slices.ContainsFunc(r.result.Skipped, func(s Skipped) bool { return s.What == what && s.Code == code }) {
		r.skip(what, code, detail)
	}
	return nil
}
