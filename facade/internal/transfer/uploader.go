package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Sizes of chunks.
const (
	DefaultChunk       = 16 << 20
	DefaultStreamChunk = 8 << 20
	maxGrownChunk      = 256 << 20
	maxMinChunk        = 64 << 20 // of what a registry may demand
	patientChunk       = 4 << 20  // above this, requests that keep breaking are made smaller

	// growBelow lets chunks double while one takes less: few requests on a fast line, little to lose on a slow one.
	growBelow = time.Second
)

// maxRestarts is how many times an upload is begun again from the first byte.
const maxRestarts = 2

// errGone asks the caller of uploader.send to begin again.
var errGone = errors.New("the registry no longer knows the upload session")

// UploadOptions are the choices of an upload. Only Meter and Limits are required.
type UploadOptions struct {
	ChunkSize int64            // 0: the default, and growing
	Digest    digest.Digest    // expected, or empty
	Trust     bool             // leave the check of Digest to the registry
	Algorithm digest.Algorithm // of the digest to compute when none is expected
	Size      int64            // expected, or Unknown
	Meter     *Meter
	Limits    *Limits
	Reporter  *Reporter
	Acked     func(Checkpoint) // called when more was acknowledged or the session resumed, from the Reporter's goroutine

	Begin  *State      // a session that is open already
	Resume *Checkpoint // go on from here

	// Whole uploads a small blob in the request that opens the upload. It returns true when the registry took it; otherwise the state of
	// the upload that it opened instead. Nil: never tried.
	Whole func(context.Context, digest.Digest, Chunk) (State, bool, error)
	// Stat returns the size of a blob of the registry, and a fault Gone when there is none. It settles whether a commit was applied.
	Stat func(context.Context, digest.Digest) (int64, error)
	// Check, where given, is asked before the commit whether the source is still what it was.
	Check func() error

	Tune Tuning
}

// uploader is one upload's dealings with its session. It is used by one goroutine at a time.
type uploader struct {
	Session
	*UploadOptions

	tune     Tuning
	location string
	open     bool
	acked    int64 // the registry has [0, acked)
	most     int64 // that it has had in this session
	told     bool  // the caller has a checkpoint of this session
	sent     int64 // end of what was sent in this session
	chunk    int64
	least    int64
	acks     func() // called when acked has grown
	grow     bool
	restarts int
	doubted  bool // the registry's count was believed against our own
	untailed bool // begun again to commit without a body
	deaf     bool // do not believe such a claim any more
	patience patience
	last     error // what the last request failed with
}

func newUploader(s Session, o *UploadOptions, defaultChunk int64) *uploader {
	u := &uploader{Session: s, UploadOptions: o, chunk: o.ChunkSize, tune: o.Tune.defaults()}
	if b := o.Begin; b != nil {
		u.location, u.open = b.Location, true // to be cancelled even if it is never taken up
	}
	if u.chunk <= 0 {
		u.chunk, u.grow = defaultChunk, true
	} else {
		u.tune.Whole = min(u.tune.Whole, u.chunk) // the caller's size holds for the request of a small blob too
	}
	return u
}

// begin opens a session, or takes up the one it was given.
func (u *uploader) begin(ctx context.Context) error {
	u.acked, u.sent, u.open, u.told = 0, 0, false, false
	if s := u.Begin; s != nil {
		u.Begin = nil
		u.enter(*s, 0)
		return nil
	}
	for p := (patience{}); ; {
		s, err := u.Start(ctx)
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
	u.acked, u.sent, u.most = acked, acked, acked
	u.note(s)
	u.Meter.offset.Store(acked)
}

// note takes from a reply what is not its offset.
func (u *uploader) note(s State) {
	if s.Location != "" {
		u.location = s.Location
	}
	if s.MinChunk > 0 {
		u.least = min(s.MinChunk, maxMinChunk)
	}
}

// size of the next chunk.
func (u *uploader) size() int64 { return max(u.Limits.cap(u.chunk), u.least) }

// send makes the registry have everything up to end. data can be read from low on. errGone: the session is lost.
func (u *uploader) send(ctx context.Context, data io.ReaderAt, low, end int64) error {
	for u.acked < end {
		n := min(u.size(), end-u.acked)
		began := time.Now()
		if err := u.once(ctx, data, n); err != nil {
			if err := u.recover(ctx, err, n, low); err != nil {
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

// once sends n bytes from acked on.
func (u *uploader) once(ctx context.Context, data io.ReaderAt, n int64) error {
	src := &metered{ReaderAt: data, m: u.Meter}
	watched, stop := src.watch(ctx)
	s, err := u.Chunk(watched, u.location, Chunk{Offset: u.acked, Size: n, Data: src})
	err = stop(err)
	u.sent = max(u.sent, u.acked+n)
	if err != nil {
		if e := src.failed(); e != nil && ctx.Err() == nil {
			return &Fault{Kind: Final, Err: sourceError(e)}
		}
		return err
	}
	u.note(s)
	end := u.acked + n
	if s.Offset != Unknown && s.Offset < end && !u.deaf {
		u.doubted = true
		return &Fault{Kind: Doubt, Err: fmt.Errorf("%w: the registry took %d bytes and counts fewer", ErrProtocol, n)}
	}
	u.at(end)
	return nil
}

// at records how much the registry has. What it has had before is no progress: a count that swings would never end.
func (u *uploader) at(off int64) {
	u.acked = off
	u.Meter.offset.Store(off)
	if off > u.most {
		u.most = off
		u.patience.progressed()
		if u.acks != nil {
			u.acks()
		}
	}
}

// recover finds out where to go on after a chunk of n bytes failed.
func (u *uploader) recover(ctx context.Context, err error, n, low int64) error {
	for {
		f := classify(ctx, err)
		u.last = f.Err
		switch f.Kind {
		case Gone:
			u.open = false
			return errGone
		case Final, BadDigest:
			return f.Err
		case TooLarge:
			least := max(u.tune.Least, u.least)
			if n <= least {
				return f.Err
			}
			n = max(n/2, least)
			u.chunk, u.grow = u.Limits.shrink(n), false
		case Doubt, Busy, NoRange:
			if f.Kind == NoRange && u.patience.tries >= 2 {
				return errGone // its counting and ours do not agree
			}
			if err := u.patience.wait(ctx, f); err != nil {
				return u.givenUp(ctx, err, f)
			}
			if u.grow = false; u.patience.tries > 1 && u.chunk > patientChunk && u.chunk/2 >= u.least {
				u.chunk /= 2
			}
		}
		var s State
		if s, err = u.Status(ctx, u.location); err == nil {
			return u.settle(s, low)
		}
		if f, ok := errors.AsType[*Fault](err); ok && (f.Kind == NoRange || f.Kind == TooLarge || f.Kind == BadDigest) {
			u.last = f.Err
			return errGone
		}
	}
}

// settle goes on where the registry says it is.
func (u *uploader) settle(s State, low int64) error {
	u.note(s)
	off := s.Offset
	if off == 1 && u.acked == 0 {
		off = 0 // "0-0": one byte or none. If it was one, the digest will tell.
	}
	switch {
	case off == Unknown, off > u.sent, off < low:
		return errGone // nothing to go on with
	case off < u.acked && off == 1:
		return errGone
	case off != u.acked:
		u.doubted = true // plausible, but only the digest can tell
	}
	u.at(off)
	return nil
}

// lost describes a session that is gone and cannot be begun again.
func (u *uploader) lost(reason string) error {
	return &LostError{Offset: u.acked, Restarts: u.restarts, Reason: reason, Err: u.last}
}

// givenUp describes an upload that gets no further although its session may be there still. err is what waiting to repeat f came to.
func (u *uploader) givenUp(ctx context.Context, err error, f *Fault) error {
	if ctx.Err() != nil || f.After > maxAfter {
		return err
	}
	return &LostError{Offset: u.acked, Restarts: u.restarts, Reason: fmt.Sprintf("no progress in %d tries", u.patience.tries), Err: f.Err, Open: true}
}

// restart counts a new beginning, or says why there is none.
func (u *uploader) restart(ctx context.Context) error {
	if u.restarts >= maxRestarts {
		return u.lost("the session was lost each time")
	}
	u.cancel(ctx)
	u.deaf = u.deaf || u.doubted // what was lost may have been lost for believing it
	u.restarts++
	u.Meter.restarts.Add(1)
	u.patience.progressed()
	return nil
}

// cancel ends the session at the registry, if there is one.
func (u *uploader) cancel(ctx context.Context) {
	if u.open {
		u.open = false
		Abandon(ctx, u.Session, u.location)
	}
}

func sourceError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the source ended early", ErrSize)
	}
	return fmt.Errorf("reading the source: %w", err)
}
