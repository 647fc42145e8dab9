package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/acrkit/acrkit/facade/internal/observe"
)

// maxRestarts is how many times an upload is begun again from the first byte.
const maxRestarts = 2

// errSessionGone asks the caller of uploader.send or uploader.commit to begin again in a new
// session.
var errSessionGone = errors.New("the registry no longer knows the upload session")

// uploader sends one blob over its session; doc.go draws the states. It is used by one goroutine at
// a time.
type uploader struct {
	session Session
	opts    UploadOptions
	tune    Tuning

	// The session at the registry.
	first        *State // an open session to begin with; nil once it was used
	location     string
	open         bool  // the registry has a session that must be canceled if the upload fails
	acked        int64 // the registry has [0, acked)
	highest      int64 // the highest acked of this session
	gained       int64 // by how much highest has grown since the last failure
	least        int64 // how much that has to be to count as progress
	sent         int64 // end of what was sent in this session
	minChunk     int64 // least size of a chunk that is not the last one
	checkpointed bool  // the caller has a checkpoint worth resuming: the session is not canceled after an error

	chunk int64  // size of the next chunk, before Limits and minChunk
	grow  bool   // chunk may grow
	onAck func() // called when highest has grown; may be nil

	disagreed   int       // chunks since the last progress that began at another offset than the registry's
	commitUntil time.Time // until then a commit of unknown outcome may still be carried out

	restarts    int // sessions begun after the first one
	trust       trust
	withoutTail bool  // begun again to commit without a body, as the registry may have ignored it
	last        error // what the last request failed with
	patience    patience
}

func newUploader(s Session, o *UploadOptions, defaultChunk int64) *uploader {
	u := &uploader{session: s, opts: *o, trust: believed, first: o.Begin, chunk: o.ChunkSize, tune: o.Tune.defaults()}
	if u.first != nil {
		u.location, u.open = u.first.Location, true // canceled even if it is never used
	}
	if u.chunk <= 0 {
		u.chunk, u.grow = defaultChunk, true
	} else {
		u.tune.Whole = min(u.tune.Whole, u.chunk) // the caller's size limits the request of a small blob too
	}
	return u
}

// begin opens a session, or enters the one that the caller has opened.
func (u *uploader) begin(ctx context.Context) error {
	u.acked, u.sent, u.open, u.checkpointed = 0, 0, false, false
	u.disagreed, u.commitUntil = 0, time.Time{}
	if s := u.first; s != nil {
		u.first = nil
		u.enter(*s, 0)
		return nil
	}
	for p := (patience{}); ; {
		s, err := u.session.Start(ctx)
		if err == nil {
			u.enter(s, 0)
			return nil
		}
		f := classify(ctx, err)
		if f.Kind != Doubt && f.Kind != Busy {
			return f.Err
		}
		if err := p.wait(ctx, f); err != nil {
			return err
		}
	}
}

// enter makes s the session of the upload.
func (u *uploader) enter(s State, acked int64) {
	u.location, u.open = s.Location, true
	u.acked, u.sent, u.highest = acked, acked, acked
	u.gained, u.least = 0, 0
	u.noteReply(s)
	u.opts.Meter.offset.Store(acked)
}

// noteReply takes from a reply everything but its offset.
func (u *uploader) noteReply(s State) {
	if s.Location != "" {
		u.location = s.Location
	}
	if s.MinChunk > 0 {
		u.minChunk = min(s.MinChunk, maxMinChunk)
	}
}

// chunkSize returns the size of the next chunk.
func (u *uploader) chunkSize() int64 { return max(u.opts.Limits.atMost(u.chunk), u.minChunk) }

// leastChunk returns the size below which a chunk is not made smaller.
func (u *uploader) leastChunk() int64 { return max(u.tune.Least, u.minChunk) }

// send sends chunks until the registry has everything up to end. data can be read from offset low
// on. errSessionGone means that the session is lost.
func (u *uploader) send(ctx context.Context, data io.ReaderAt, low, end int64) error {
	for u.acked < end {
		n := min(u.chunkSize(), end-u.acked)
		began := time.Now()
		if pending, err := u.sendChunk(ctx, data, n); err != nil {
			if pending {
				u.awaitCount(ctx, time.Since(began))
				u.reduce(4)
			}
			if err := u.resync(ctx, err, n, low); err != nil {
				return err
			}
			continue
		}
		if u.grow && n == u.chunk && n < maxGrownChunk && time.Since(began) < growBelow {
			u.chunk *= 2
		}
	}
	return nil
}

// sendChunk sends n bytes from acked on. It returns true if it failed and the registry may still be
// working on the chunk.
func (u *uploader) sendChunk(ctx context.Context, data io.ReaderAt, n int64) (bool, error) {
	var s State
	u.least = min(plenty, n/16)
	pending, err := u.request(ctx, data, u.acked, n, func(ctx context.Context, c Chunk) (err error) {
		s, err = u.session.Chunk(ctx, u.location, c)
		return err
	})
	u.sent = max(u.sent, u.acked+n)
	if err != nil {
		return pending, err
	}
	u.noteReply(s)
	end := u.acked + n
	if s.Offset != Unknown && s.Offset < end && u.trust != ignored {
		u.trust.suspect()
		if s.Offset-u.acked < n/2 {
			u.reduce(2) // most of the chunk was sent in vain
		}
		return false, &Fault{Kind: Doubt, Err: fmt.Errorf("%w: the registry accepted %d bytes but counts fewer", ErrMalformedReply, n)}
	}
	u.acknowledge(end)
	return false, nil
}

// request makes a call that carries n bytes of data from off on. It returns true if the call failed
// although the request was sent completely, after a silence in which the registry may have been busy
// with it: it may still be carried out.
func (u *uploader) request(
	ctx context.Context, data io.ReaderAt, off, n int64, call func(context.Context, Chunk) error,
) (bool, error) {
	src := newMetered(data, off, n, u.opts.Meter)
	err := call(context.WithValue(ctx, meteredKey{}, src), Chunk{Offset: off, Size: n, Data: src})
	if err == nil {
		return false, nil
	}
	if e := src.failed(); e != nil && ctx.Err() == nil {
		return false, &Fault{Kind: Final, Err: sourceError(e)}
	}
	f := classify(ctx, err)
	return (f.Kind == Doubt || f.Kind == Busy) && src.silence() >= longSilence, f
}

// acknowledge records that the registry has [0, off). Only an offset beyond the highest one counts
// as progress: otherwise an upload to a registry whose count goes up and down would never end. Nor
// would one to a registry that keeps a few bytes of each chunk, so these do not count either.
func (u *uploader) acknowledge(off int64) {
	u.acked = off
	u.opts.Meter.offset.Store(off)
	if off <= u.highest {
		return
	}
	u.gained += off - u.highest
	u.highest = off
	if u.gained >= u.least {
		u.patience.progressed()
		u.disagreed, u.gained = 0, 0
	}
	if u.onAck != nil {
		u.onAck()
	}
}

// restart counts a new beginning and cancels the session, or returns why there is none.
func (u *uploader) restart(ctx context.Context) error {
	if u.restarts >= maxRestarts {
		return u.lost("the session was lost each time")
	}
	u.cancel(ctx)
	u.trust.withdraw() // the session may have been lost because the count was believed
	u.restarts++
	u.startsAgain(ctx, u.last)
	observe.Repeated(ctx)
	u.patience.progressed()
	return nil
}

// startsAgain tells the caller and the log of a new beginning, and why it is needed.
func (u *uploader) startsAgain(ctx context.Context, why error) {
	u.opts.Meter.restarts.Add(1)
	u.opts.Meter.offset.Store(0)
	observe.Info(ctx, "upload starts again from the first byte", slog.String("reason", fmt.Sprint(why)))
}

// restartAfter restarts if err says that the session is lost, and returns err otherwise.
func (u *uploader) restartAfter(ctx context.Context, err error) error {
	if errors.Is(err, errSessionGone) || errors.Is(err, errDigestRefused) {
		return u.restart(ctx)
	}
	return err
}

// cancel cancels the session at the registry, if there is one.
func (u *uploader) cancel(ctx context.Context) {
	if u.open {
		u.open = false
		Abandon(ctx, u.session, u.location)
	}
}

// lost returns the error of a session that is gone and cannot be begun again.
func (u *uploader) lost(reason string) error {
	return &LostError{Offset: u.acked, Restarts: u.restarts, Reason: reason, Err: u.last}
}
