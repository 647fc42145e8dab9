package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// Checkpoint is what another process needs to resume an upload.
type Checkpoint struct {
	Location  string
	Offset    int64 // acknowledged by the registry, and hashed
	Algorithm digest.Algorithm
	HashState []byte
}

// announce gives the caller a checkpoint of the present session, from the goroutine of the Reporter.
// It is called when a session begins, too: from then on the checkpoint of the session before is of no
// use.
func (u *uploader) announce(cp Checkpoint) {
	acked := u.opts.Acked
	if acked == nil {
		return
	}
	u.checkpointed = u.checkpointed || u.acked > 0
	u.opts.Reporter.Post(func() { acked(cp) })
}

// resume enters the session of a checkpoint and returns how many bytes the registry has. A
// LostError says why that is not possible; the session then still exists if the registry knows it.
// The registry is asked once: nothing has been sent yet that could be lost.
func (u *uploader) resume(ctx context.Context, cp Checkpoint) (int64, error) {
	u.location, u.open, u.checkpointed = cp.Location, true, true
	u.opts.Meter.offset.Store(cp.Offset) // until the registry says what it has
	s, err := u.session.Status(ctx, u.location)
	if err != nil {
		f := classify(ctx, err)
		switch f.Kind {
		case Gone, NoRange, TooLarge, BadDigest:
			u.open = false
			return 0, &LostError{Offset: cp.Offset, Reason: errSessionGone.Error(), Err: f.Err}
		}
		return 0, f.Err
	}
	off := s.Offset
	if off == 1 && cp.Offset == 0 {
		off = 0 // "0-0" means one byte or none
	}
	if off == Unknown || off < cp.Offset {
		return 0, &LostError{Offset: max(off, 0), Reason: "the registry has less of it than the checkpoint says"}
	}
	u.enter(s, off)
	return off, nil
}

// announceLocation gives the caller the checkpoint again if the location of the session has
// changed. A registry may refuse the older location, so without this an upload that fails twice in
// a row could not be resumed.
func (u *uploader) announceLocation(cp Checkpoint) {
	if u.location == cp.Location {
		return
	}
	cp.Location = u.location
	u.announce(cp)
}
