package transfer

import "context"

// resume takes up the session of a checkpoint and returns how much the registry has. A LostError says why that is not possible; the
// session is then still open if the registry knows it. It is asked once: nothing has been sent yet that could be lost.
func (u *uploader) resume(ctx context.Context, cp Checkpoint) (int64, error) {
	u.location, u.open, u.told = cp.Location, true, true
	s, err := u.Status(ctx, u.location)
	if err != nil {
		f := classify(ctx, err)
		switch f.Kind {
		case Gone, NoRange, TooLarge, BadDigest:
			u.open = false
			return 0, &LostError{Offset: cp.Offset, Reason: errGone.Error(), Err: f.Err}
		}
		return 0, f.Err
	}
	off := s.Offset
	if off == 1 && cp.Offset == 0 {
		off = 0
	}
	if off == Unknown || off < cp.Offset {
		return 0, &LostError{Offset: max(off, 0), Reason: "the registry has less of it than the checkpoint says"}
	}
	u.enter(s, off)
	return off, nil
}

// reentered gives the caller the checkpoint again, at the session's present location: should what comes next break off as well, the
// location that the upload was resumed at is older than a registry takes.
func (u *uploader) reentered(cp Checkpoint) {
	if u.Acked == nil || u.location == cp.Location {
		return
	}
	cp.Location = u.location
	u.Reporter.Post(func() { u.Acked(cp) })
}
