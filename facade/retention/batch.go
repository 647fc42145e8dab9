package retention

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/crew"
)

// maxFailures ends a repository in which too many requests fail.
const maxFailures = 10

// deleteAll deletes the manifests, batch by batch. If it ends early, also by a panic of the caller's
// code, it looks once more for what was pushed.
func (r *run) deleteAll(ctx context.Context) error {
	ended := false
	defer func() {
		if !ended && len(r.recent) > 0 {
			_ = r.look(context.WithoutCancel(ctx))
		}
	}()
	for {
		if time.Since(r.judgedAt) > judgeAgainAfter {
			if err := r.again(ctx); err != nil {
				return err
			}
		}
		if err := r.look(ctx); err != nil {
			return err
		}
		r.batch = r.nextBatch(nil)
		if len(r.batch) == 0 {
			ended = true
			return nil
		}
		err := r.deleteBatch(ctx, r.batch)
		if err == nil {
			err = must(!allPending(r.batch), "%s cannot be deleted in any order", r.batch[0].Digest) // it would be tried for ever
		}
		if _, ends := errors.AsType[*stopError](err); ends {
			r.leaveBroken(err)
		}
		if healErr := r.heal(ctx); err == nil {
			err = healErr
		}
		if err != nil {
			return err
		}
	}
}

// allPending reports whether nothing became of a batch.
func allPending(batch []*item) bool {
	return !slices.ContainsFunc(batch, func(i *item) bool { return i.status != pending })
}

// again asks what is in use, and judges the repository once more.
func (r *run) again(ctx context.Context) error {
	if time.Since(r.usedAt) > judgeAgainAfter {
		if err := r.readInUse(ctx); err != nil {
			return err
		}
	}
	return r.judge(ctx)
}

// nextBatch returns the next pending items behind those of a batch, and with each what the registry
// deletes along with it: that too has to be in the journal before. What contains one of them but is
// deleted after it, as is the list of an image's referrers, has to be in the same batch: if it is
// left after all, its parts are put back, and their contents are soon forgotten.
func (r *run) nextBatch(behind []*item) []*item {
	var batch []*item
	taken := map[*item]bool{}
	for _, i := range behind {
		taken[i] = true
	}
	var add func(*item)
	add = func(i *item) {
		if i.status != pending || taken[i] {
			return
		}
		taken[i] = true
		batch = append(batch, i)
		for _, v := range slices.Concat(i.with, i.before) {
			add(v)
		}
		for _, n := range i.node.parents {
			if whole := r.items[n.digest]; whole != nil {
				add(whole)
			}
		}
	}
	for _, i := range r.order {
		if len(batch) >= r.opts.Batch {
			break
		}
		add(i)
	}
	return batch
}

// deleteBatch writes the batch down and deletes it: in rounds, each of which deletes what has
// nothing to wait for.
func (r *run) deleteBatch(ctx context.Context, batch []*item) error {
	if err := r.note(ctx, batch); err != nil {
		return err
	}
	defer r.readAhead(ctx, r.nextBatch(batch))()
	for {
		var ready []*item
		for _, i := range batch {
			if i.status == pending && i.isReady() {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			return nil
		}
		if err := r.parallel(ctx, ready, r.deleteItem); err != nil {
			return err
		}
	}
}

// isReady reports whether everything that has to go before the item is gone.
func (i *item) isReady() bool {
	for _, b := range i.before {
		if b.status != deleted {
			return false
		}
	}
	return true
}

// parallel calls do for the items, several at a time, until one fails.
func (r *run) parallel(ctx context.Context, items []*item, do func(context.Context, *item) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group crew.Group
	slots := make(chan struct{}, r.opts.Concurrency)
	for _, i := range items {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// readAhead reads the manifests of the next batch while this one is deleted, so that deletions need
// not wait for reads. What cannot be read is read again when its turn comes. stop must be called.
// With a Concurrency of 1 it does nothing: then one request is sent at a time.
func (r *run) readAhead(ctx context.Context, next []*item) (stop func()) {
	if r.opts.Concurrency == 1 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var group crew.Group
	group.Go(func() {
		_ = r.parallel(ctx, next, func(ctx context.Context, i *item) error {
			_ = r.readContent(ctx, i)
			return nil
		})
	})
	return func() {
		cancel()
		group.Wait()
		for _, i := range next {
			if i.status != pending {
				i.content = nil
			}
		}
	}
}

// readContent reads the manifest of an item, unless it was read ahead.
func (r *run) readContent(ctx context.Context, i *item) error {
	if i.content != nil {
		return nil
	}
	m, err := r.repo.GetManifest(ctx, string(i.Digest))
	if err == nil {
		i.content, i.MediaType = m.Content, m.Descriptor.MediaType
	}
	return err
}

// note reads the manifests of a batch and writes them into the journal, onto the disk, before the
// first is deleted.
func (r *run) note(ctx context.Context, batch []*item) error {
	err := r.parallel(ctx, batch, func(ctx context.Context, i *item) error {
		err := r.readContent(ctx, i)
		switch {
		case errors.Is(err, acr.ErrNotFound) && r.isGone(ctx, i):
			return r.done(i, outcomeGone)
		case err != nil:
			return r.failed(ctx, i, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range batch {
		if i.status != pending || i.noted {
			continue
		}
		if err := r.journal.write(r.intent(i)); err != nil {
			return err
		}
	}
	if err := r.journal.sync(); err != nil {
		return err
	}
	for _, i := range batch {
		i.noted = i.noted || i.status == pending
	}
	return nil
}

// intent is the journal's entry of a deletion that is about to happen.
func (r *run) intent(i *item) entry {
	e := entry{
		Repository: r.plan.Name, Do: doDelete, Digest: i.Digest, MediaType: i.MediaType, Manifest: i.content,
		Attributes: changedAttributes(i.node.attributes),
	}
	for _, t := range i.node.tags {
		e.Tags = append(e.Tags, journaledTag{t.name, changedAttributes(t.attributes)})
	}
	return e
}

// deleteItem checks an item once more and deletes it. It is checked after its referrers, which may be
// many: then little time passes between its check and its deletion.
func (r *run) deleteItem(ctx context.Context, i *item) error {
	for _, w := range i.with {
		if why, err := r.checkWith(ctx, w); err != nil {
			return r.failed(ctx, i, err)
		} else if why != nil {
			r.skip(w, *why)
			return nil
		}
	}
	why, err := r.check(ctx, i)
	switch {
	case err != nil:
		return r.failed(ctx, i, err)
	case why != nil && why.Code == SkippedGone:
		return r.goneWith(ctx, i, outcomeGone)
	case why != nil:
		r.skip(i, *why)
		return nil
	}
	relock, err := r.unlock(ctx, i)
	if err == nil {
		err = r.write(ctx, i)
		if err == nil || r.isGone(context.WithoutCancel(ctx), i) {
			return r.goneWith(ctx, i, outcomeDeleted)
		}
		r.doubt(i, err)
	}
	relock()
	return r.failed(ctx, i, err)
}

// goneWith notes that an item is gone, and what is gone with it: some of that may still wait for a
// list that names it, and who needs it meanwhile gets it back. It is in doubt until the registry has
// said whether it is there.
func (r *run) goneWith(ctx context.Context, i *item, outcome string) error {
	r.setDoubt(true, i.with...)
	if err := r.done(i, outcome); err != nil {
		return err
	}
	for _, w := range i.with {
		if w.status != pending {
			continue
		}
		switch err := ask(context.WithoutCancel(ctx), r.repo, w.Digest); {
		case err == nil:
			r.setDoubt(false, w)
		case errors.Is(err, acr.ErrNotFound):
			if err := r.done(w, outcomeGone); err != nil {
				return err
			}
		}
	}
	return nil
}

// isGone asks whether the manifest of an item does not exist any more. Only that answer counts: a tag
// may be gone and its manifest still there, and a deletion that failed may have been carried out.
func (r *run) isGone(ctx context.Context, i *item) bool {
	return errors.Is(ask(ctx, r.repo, i.Digest), acr.ErrNotFound)
}

// doubt notes that a deletion which failed may still be carried out, with what the registry deletes
// along with it: their entries in the journal have to count.
func (r *run) doubt(i *item, err error) {
	if response, ok := errors.AsType[*acr.Error](err); ok && response.StatusCode < http.StatusInternalServerError {
		return // it was refused
	}
	r.setDoubt(true, i)
	r.setDoubt(true, i.with...)
}

func (r *run) setDoubt(doubtful bool, items ...*item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range items {
		i.doubtful = doubtful
	}
}

// done notes that an item is gone.
func (r *run) done(i *item, outcome string) error {
	r.mu.Lock()
	i.status = deleted
	r.result.Deleted++
	r.recent[i.Digest] = i
	delete(r.looked, i.Digest) // it may be pushed again
	done := r.result.Deleted
	r.mu.Unlock()
	r.reader.tell("delete", r.plan.Name, done, len(r.plan.Delete))
	return r.journal.write(entry{Repository: r.plan.Name, Digest: i.Digest, Done: outcome})
}

func (r *run) skip(i *item, why Skipped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(i, why)
}

// failed decides what an error means: for the item, for the repository, or for the whole run.
func (r *run) failed(ctx context.Context, i *item, err error) error {
	status := 0
	if response, ok := errors.AsType[*acr.Error](err); ok {
		status = response.StatusCode
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrJournal), errors.Is(err, errInvariant):
		return err
	case errors.Is(err, acr.ErrNotFound): // one of its tags, or what it consists of
		r.skip(i, Skipped{string(i.Digest), SkippedMoved, err.Error()})
		return nil
	case errors.Is(err, acr.ErrLocked) || status == http.StatusMethodNotAllowed || status == http.StatusConflict:
		r.skip(i, Skipped{string(i.Digest), SkippedLocked, err.Error()})
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return stop(Refused, "%v", err)
	}
	r.skip(i, Skipped{string(i.Digest), SkippedFailed, err.Error()})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures++; r.failures >= maxFailures {
		return stop(Stopped, "%d requests failed, the last one with: %v", r.failures, err)
	}
	return nil
}
