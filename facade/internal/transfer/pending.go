package transfer

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// A request whose answer does not come may still be carried out: registries take minutes to complete a
// large blob, and a proxy in between gives up sooner. Before anything is sent again, the registry is
// asked what became of it.
const (
	// DefaultCommitTime is how long a registry may take to complete an upload.
	DefaultCommitTime = 30 * time.Minute

	// longSilence is how long a request must have been without an answer to count as pending.
	longSilence = 10 * time.Second
	// shortDoubt is how long a commit may take whose connection broke at once.
	shortDoubt = 10 * time.Second
	// countDoubt is how long the registry is given to count a pending chunk.
	countDoubt = 2 * time.Minute
	// recommitAfter is how long a pending commit is waited for if a new commit has nothing left to send.
	recommitAfter = 5 * time.Minute

	firstAsk = time.Second
	mostAsk  = 15 * time.Second
)

// asks returns the wait before the registry is asked for the nth time, counted from 1.
func asks(n int) time.Duration { return min(firstAsk<<min(n-1, 10), mostAsk) }

// doubtCommit notes how long a commit of unknown outcome that was sent at began may take.
func (u *uploader) doubtCommit(began time.Time, pending bool) {
	until := time.Now().Add(shortDoubt)
	if pending {
		limit := u.opts.CommitTime
		if limit <= 0 {
			limit = DefaultCommitTime
		}
		until = began.Add(limit)
	}
	if until.After(u.commitUntil) {
		u.commitUntil = until
	}
}

// ask asks once whether the registry has the blob, in which case the upload is complete. The fault is
// nil if the registry has another blob by that name.
func (u *uploader) ask(ctx context.Context, dgst digest.Digest, size int64) (bool, *Fault) {
	n, err := u.session.Stat(ctx, dgst)
	if err != nil {
		return false, classify(ctx, err)
	}
	if n != size && n != Unknown {
		return false, nil
	}
	u.open = false
	u.acknowledge(size)
	return true, nil
}

// awaitCommit asks for the blob until it is there, or a commit of unknown outcome may be sent again: when
// the time that a commit may take is over or, if that sends no byte again, after recommitAfter.
func (u *uploader) awaitCommit(ctx context.Context, dgst digest.Digest, size int64) bool {
	began := time.Now()
	for n := 1; time.Now().Before(u.commitUntil); n++ {
		if wait.Sleep(ctx, asks(n)) != nil {
			return false
		}
		yes, f := u.ask(ctx, dgst, size)
		if yes || f == nil || f.Kind == Final {
			return yes
		}
		if !u.open {
			continue // the session ended: by this commit, or for good
		}
		s, err := u.session.Status(ctx, u.location)
		switch {
		case err == nil:
			u.noteReply(s)
			if s.Offset >= size && time.Since(began) >= recommitAfter {
				return false
			}
		case classify(ctx, err).Kind == Gone:
			u.open = false
		}
	}
	return false
}

// awaitCount asks how much the registry has until it counts a pending chunk, at most for as long as the
// chunk has taken so far.
func (u *uploader) awaitCount(ctx context.Context, took time.Duration) {
	until := time.Now().Add(min(took, countDoubt))
	for n := 1; time.Now().Before(until); n++ {
		if wait.Sleep(ctx, asks(n)) != nil {
			return
		}
		s, err := u.session.Status(ctx, u.location)
		if err == nil {
			u.noteReply(s)
		}
		if err != nil && classify(ctx, err).Kind == Gone || err == nil && s.Offset != u.acked && s.Offset > 1 {
			return // resync asks once more, and draws the conclusions
		}
	}
}

// reduce divides the size of chunks, down to a sensible least size, after one timed out or was sent in vain.
func (u *uploader) reduce(by int64) {
	u.grow = false
	if least := max(slowChunk, u.tune.Least, u.minChunk); u.chunk > least {
		u.chunk = max(u.chunk/by, least)
	}
}
