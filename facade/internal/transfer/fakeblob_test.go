package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// What a fake blob can do to an answer.
type trouble int

const (
	fine      trouble = iota
	refused           // no connection
	resets            // broken in the middle
	endsEarly         // a clean end in the middle
	stalls            // no byte comes any more
	ignores           // sends the blob from its start
	misplaced         // an answer with another start
	flips             // a wrong byte
	throttled         // 429 with Retry-After
	shorter           // fewer bytes than were asked for, and says so
	longer            // claims more bytes than were asked for
	unsized           // says nothing about sizes
	otherSize         // the size of another blob
	denied            // refused for good
	troubles
	stuckAt1000 // no byte comes from there on
)

// storage is a fake blob.
type storage struct {
	content []byte
	rng     *rand.Rand
	script  []trouble     // by number of the answer
	steady  trouble       // when the script is over
	rate    time.Duration // time that each Read takes
	slowAt  int           // number of an answer that is a thousand times slower, 0 for none

	mu    sync.Mutex
	opens int
	live  int // bodies that are not closed
	most  int
	fresh int
}

func (s *storage) Open(ctx context.Context, off, end int64, fresh bool) (*transfer.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := s.steady
	if s.opens < len(s.script) {
		t = s.script[s.opens]
	}
	s.opens++
	if fresh {
		s.fresh++
	}
	size := int64(len(s.content))
	to := size
	if end != transfer.Unknown {
		to = min(end, size)
	}
	switch t {
	case refused:
		return nil, errBroken
	case throttled:
		return nil, &transfer.Fault{Kind: transfer.Busy, After: time.Second, Err: errors.New("429")}
	case denied:
		return nil, &transfer.Fault{Kind: transfer.Final, Err: errNo}
	}
	if t == ignores {
		off, to = 0, size
	}
	if off >= size && size > 0 {
		return nil, &transfer.Fault{Kind: transfer.NoRange, Err: errors.New("416")}
	}
	p := &transfer.Part{Offset: off, End: to, Size: size}
	data := s.content[off:to]
	cut := s.rng.IntN(len(data) + 1)
	b := &answer{s: s, ctx: ctx, rate: s.rate}
	if s.slowAt == s.opens {
		b.rate *= 20_000
	}
	switch t {
	case misplaced:
		p.Offset++
	case flips:
		data = bytes.Clone(data)
		if len(data) > 0 {
			data[cut%len(data)] ^= 1
		}
	case resets:
		data, b.err = data[:cut], errBroken
	case endsEarly:
		data = data[:cut]
	case stalls:
		data, b.stall = data[:cut], true
	case stuckAt1000:
		data, b.stall = data[:max(0, 1000-off)], true
	case shorter:
		data = data[:(len(data)+1)/2]
		p.End = off + int64(len(data))
	case longer:
		p.End++
	case unsized:
		p.End, p.Size = transfer.Unknown, transfer.Unknown
	case otherSize:
		p.Size++
	}
	b.Reader = bytes.NewReader(data)
	p.Body = b
	s.live++
	s.most = max(s.most, s.live)
	return p, nil
}

type answer struct {
	*bytes.Reader
	s     *storage
	ctx   context.Context
	err   error
	stall bool
	rate  time.Duration
	once  sync.Once
}

func (a *answer) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	if a.rate > 0 {
		select {
		case <-time.After(a.rate):
		case <-a.ctx.Done():
			return 0, a.ctx.Err()
		}
	}
	n, err := a.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if a.stall {
			<-a.ctx.Done()
			return n, a.ctx.Err()
		}
		if a.err != nil {
			return n, a.err
		}
	}
	return n, err
}

func (a *answer) Close() error {
	a.once.Do(func() {
		a.s.mu.Lock()
		a.s.live--
		a.s.mu.Unlock()
	})
	return nil
}

// buffer is an io.WriterAt in memory.
type buffer struct {
	mu   sync.Mutex
	b    []byte
	fail int64 // writes that reach this offset fail, 0 for none
}

var errFull = errors.New("no space left on device")

func (b *buffer) WriteAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail > 0 && off+int64(len(p)) >= b.fail {
		return 0, errFull
	}
	if n := int(off) + len(p); n > len(b.b) {
		b.b = append(b.b, make([]byte, n-len(b.b))...)
	}
	return copy(b.b[off:], p), nil
}
