package transfer

// Tuning is the sizes that were found by measuring; zero fields are the defaults. Tests make them small.
type Tuning struct {
	Whole int64 // up to here a blob is hashed before it is sent, so that one request can do. 4 MiB
	Piece int64 // read and hashed at once, while it is in the processor's cache. 128 KiB
	Ahead int64 // how far the hash may be ahead of the sending; a multiple of Piece. 4 MiB
	Mark  int64 // distance of the places at which the hash is written down for checkpoints. 1 MiB
	Least int64 // a chunk is not made smaller than this. 64 KiB
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
