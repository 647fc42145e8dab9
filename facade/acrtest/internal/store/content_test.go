package store

import (
	"strings"
	"testing"
)

// TestSegmentsWasteNothing wants a blob in memory to take its own size, and little more while it
// arrives.
func TestSegmentsWasteNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 100, 5000, 1 << 20, 100<<20 + 1} {
		st := open(t, Options{})
		u := must[*Upload](t)(st.StartUpload("r"))
		if err := u.Acquire(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Append(strings.NewReader(strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
		if got := held(&u.sink.(*memorySink).s); got > 2*size+firstSegment || got > size+maxSegment+firstSegment {
			t.Errorf("%d bytes take %d while they arrive", size, got)
		}
		d, err := u.Digest()
		if err != nil {
			t.Fatal(err)
		}
		b := must[Blob](t)(u.Commit(d))
		u.Release()
		if got := held(b.content.(*segments)); got > size+size/100 {
			t.Errorf("%d bytes take %d", size, got)
		}
	}
}

func held(s *segments) (n int) {
	for _, part := range s.parts {
		n += cap(part)
	}
	return n
}
