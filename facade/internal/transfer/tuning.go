package transfer

import "context"

// Tuning holds the sizes that were found by measuring. A zero field means its default. Tests make
// them small.
type Tuning struct {
	Whole int64 // largest blob that is hashed before it is sent, so that one request suffices; default 4 MiB
	Piece int64 // bytes that are read and hashed at once, while they are in the processor's cache; default 128 KiB
	Ahead int64 // how far the hash may be ahead of the sending, a multiple of Piece; default 4 MiB
	Mark  int64 // distance of the offsets at which the hash is saved for checkpoints; default 1 MiB
	Least int64 // smallest chunk; default 64 KiB
}

func (t Tuning) defaults() Tuning {
	set := func(p *int64, n int64) {
		if *p == 0 {
			*p = n
		}
	}
	set(&t.Whole, 4<<20)
	set(&t.Piece, 128<<10)
	set(&t.Ahead, 4<<20)
	set(&t.Mark, 1<<20)
	set(&t.Least, 64<<10)
	return t
}

type tuningKey struct{}

// WithTuning returns a context whose uploads take the sizes of t, so that a test can send a few
// bytes the way of many.
func WithTuning(ctx context.Context, t Tuning) context.Context {
	return context.WithValue(ctx, tuningKey{}, t)
}

// TuningOf returns what WithTuning put into the context, or else the zero Tuning, which is that of
// production.
func TuningOf(ctx context.Context) Tuning {
	t, _ := ctx.Value(tuningKey{}).(Tuning)
	return t
}
