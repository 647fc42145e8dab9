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
