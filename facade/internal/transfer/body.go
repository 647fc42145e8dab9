package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// stallTime is how long nothing may come of an answer that has begun.
const stallTime = 30 * time.Second

// plenty is how much has to come for the failures so far to be forgotten: a peer that breaks each connection after some bytes is
// not followed for ever.
const plenty = 64 << 10

// maxBlob is what a registry takes as a layer, and what is read of a blob whose size nobody told.
const maxBlob = 200 << 30

// errNoRanges ends a part's download where the registry sends the blob from its start whatever is asked for.
var errNoRanges = errors.New("the registry ignores ranges")

// body is a blob's bytes from an offset on. It goes on by itself where a connection breaks or stalls, and gives io.EOF only at the end.
type body struct {
	ctx   context.Context
	blob  Blob
	meter *Meter
	size  int64 // of the blob; learned from the first answer where Unknown
	off   int64 // next byte to be given
	end   int64 // behind the last byte to be given; Unknown: to the blob's end
	open  int64 // what the requests ask for as their end; Unknown is open
	skip  bool  // an answer that starts too early is read up to off
	fresh bool  // the next request asks for a new link and connection

	cur    io.ReadCloser
	conn   context.Context // of cur
	cancel context.CancelCauseFunc
	watch  *time.Timer
	since  int64 // bytes since the last failure
	tries  patience
	busy   time.Duration                           // spent waiting for bytes
	kicked atomic.Pointer[context.CancelCauseFunc] // cancels what is under way
}

func newBody(ctx context.Context, b Blob, m *Meter, size, off, end int64) *body {
	return &body{ctx: ctx, blob: b, meter: m, size: size, off: off, end: end, open: end, skip: true}
}

// limit is the offset behind the last byte, Unknown while that is.
func (b *body) limit() int64 {
	if b.end != Unknown {
		return b.end
	}
	return b.size
}

// atEnd tells the end of what is read, which is io.EOF itself, from errors that have that in them: what a request fails with may, when a
// peer hangs up, and what a caller's destination says.
func atEnd(err error) bool { return err == io.EOF } //nolint:errorlint // as it says

// Read gives the next bytes.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		limit := b.limit()
		if limit != Unknown && b.off >= limit {
			return 0, b.finish()
		}
		if b.off >= maxBlob && limit == Unknown {
			b.disconnect()
			return 0, fmt.Errorf("%w: the blob goes on after %d bytes", ErrSize, b.off)
		}
		if b.cur == nil {
			if err := b.connect(); err != nil {
				if err := b.failed(err); err != nil {
					return 0, err
				}
			}
			continue
		}
		if limit != Unknown {
			p = p[:min(int64(len(p)), limit-b.off)]
		}
		n, err := b.read(p)
		if n > 0 {
			b.meter.moved(b.off, int64(n))
			b.off += int64(n)
			if b.since += int64(n); b.since >= plenty {
				b.tries.progressed()
			}
			return n, nil // an error comes again
		}
		if err == nil {
			continue
		}
		if atEnd(err) {
			if limit == Unknown {
				return 0, io.EOF // as far as anyone knows
			}
			err = io.ErrUnexpectedEOF
		}
		b.disconnect()
		if err := b.failed(fmt.Errorf("the answer broke off at byte %d: %w", b.off, err)); err != nil {
			return 0, err
		}
	}
}

// read reads from the connection, which is given up when no byte comes for too long.
func (b *body) read(p []byte) (int, error) {
	began := time.Now()
	b.watch.Reset(stallTime)
	n, err := b.cur.Read(p)
	b.watch.Stop()
	b.busy += time.Since(began)
	if err != nil && !atEnd(err) && b.ctx.Err() == nil && b.conn.Err() != nil {
		err = context.Cause(b.conn) // ours: not to be taken for the caller's
	}
	if n < 0 || n > len(p) {
		n, err = 0, ErrProtocol
	}
	return n, err
}

// connect asks for the bytes from off on.
func (b *body) connect() error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	b.kicked.Store(&cancel)
	part, err := b.blob.Open(ctx, b.off, b.open, b.fresh)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSlow) {
			err = errSlow // whatever being kicked looks like to Open
		}
		cancel(err)
		return err
	}
	watch := time.AfterFunc(stallTime, func() { cancel(ErrStalled) })
	watch.Stop() // until somebody reads
	b.fresh = false
	b.cur, b.conn, b.cancel, b.watch = part.Body, ctx, cancel, watch
	if err := b.check(part); err != nil {
		b.disconnect()
		return err
	}
	if n := b.off - part.Offset; n > 0 {
		if err := b.discard(n); err != nil {
			b.disconnect()
			return err
		}
	}
	return nil
}

// establish connects, as often as it makes sense, unless there is nothing to read.
func (b *body) establish() error {
	for b.cur == nil && (b.limit() == Unknown || b.off < b.limit()) {
		if err := b.connect(); err != nil {
			if err := b.failed(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// check compares an answer with what was asked for and what is known.
func (b *body) check(p *Part) error {
	switch {
	case p.Size != Unknown && b.size != Unknown && p.Size != b.size:
		return &Fault{Kind: Final, Err: fmt.Errorf("%w: want %d bytes, the registry has %d", ErrSize, b.size, p.Size)}
	case p.Offset == 0 && b.off > 0 && !b.skip:
		return &Fault{Kind: Final, Err: errNoRanges}
	case p.Offset != b.off && p.Offset != 0:
		return fmt.Errorf("%w: asked for byte %d, got byte %d", ErrProtocol, b.off, p.Offset)
	case p.End > 0 && p.End <= b.off:
		return fmt.Errorf("%w: asked for bytes from %d on, got an end at %d", ErrProtocol, b.off, p.End)
	case p.Offset > 0 && b.open != Unknown && p.End > b.open:
		return fmt.Errorf("%w: asked for an end at %d, got %d", ErrProtocol, b.open, p.End)
	}
	if b.size == Unknown && p.Size >= 0 {
		b.size = p.Size
	}
	return nil
}

// discard reads what an answer has before the bytes that were asked for.
func (b *body) discard(n int64) error {
	at := b.off - n
	buf := make([]byte, min(n, 32<<10))
	for n > 0 {
		m, err := b.read(buf[:min(n, int64(len(buf)))])
		b.meter.moved(at, int64(m))
		at, n = at+int64(m), n-int64(m)
		if err != nil && n > 0 {
			if atEnd(err) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// failed waits until it makes sense to connect once more, or returns why it does not.
func (b *body) failed(err error) error {
	if errors.Is(err, errSlow) {
		return cause(b.ctx) // no failure: it was kicked
	}
	f := classify(b.ctx, err)
	b.since = 0
	switch f.Kind {
	case Doubt, Busy:
		return b.tries.wait(b.ctx, f)
	case NoRange:
		return fmt.Errorf("%w: the registry has no byte %d of the blob: %w", ErrSize, b.off, f.Err)
	}
	return f.Err
}

// finish looks whether the answer ends where the blob is to end.
func (b *body) finish() error {
	if b.cur == nil {
		return io.EOF
	}
	if b.end != Unknown {
		b.disconnect() // a no-op for a connection whose answer was read to its end
		return io.EOF
	}
	var one [1]byte
	n, _ := b.read(one[:])
	b.disconnect()
	if n > 0 {
		return fmt.Errorf("%w: the blob goes on after %d bytes", ErrSize, b.off)
	}
	return io.EOF
}

// kick breaks the connection, from another goroutine: the body goes on over another one.
func (b *body) kick() {
	if cancel := b.kicked.Load(); cancel != nil {
		(*cancel)(errSlow)
	}
}

var errSlow = errors.New("transfer: slower than the others")

// disconnect gives the connection up.
func (b *body) disconnect() {
	if b.cur == nil {
		return
	}
	b.watch.Stop()
	b.cancel(ErrClosed)
	_ = b.cur.Close()
	b.cur = nil
}
