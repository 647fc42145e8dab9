package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// stallTime is how long an answer that has begun may bring no byte.
const stallTime = 30 * time.Second

// plenty is how many bytes must arrive for the failures so far to be forgotten. A peer that breaks
// each connection after fewer bytes is not followed for ever.
const plenty = 64 << 10

// maxBlob is the largest layer that a registry accepts, and how much is read of a blob whose size
// nobody stated.
const maxBlob = 200 << 30

// errNoRanges ends the download of a range from a registry that always sends the blob from its
// start.
var errNoRanges = errors.New("the registry ignores ranges")

// body reads the bytes of a blob from an offset on. It reconnects by itself when a connection
// breaks or stalls, and returns io.EOF only at the end.
type body struct {
	ctx   context.Context
	blob  Blob
	meter *Meter
	size  int64 // of the blob; learned from the first answer if Unknown
	off   int64 // of the next byte to be returned
	end   int64 // offset behind the last byte to be returned; Unknown: the end of the blob
	open  int64 // the end that requests ask for; Unknown: none
	skip  bool  // the bytes of an answer that starts too early are skipped
	fresh bool  // the next request asks for a new link and connection

	cur    io.ReadCloser
	conn   context.Context // of cur
	cancel context.CancelCauseFunc
	watch  *time.Timer
	since  int64 // bytes since the last failure
	tries  patience
	busy   time.Duration                           // spent waiting for bytes
	abort  atomic.Pointer[context.CancelCauseFunc] // cancels the request under way
}

func newBody(ctx context.Context, b Blob, m *Meter, size, off, end int64) *body {
	return &body{ctx: ctx, blob: b, meter: m, size: size, off: off, end: end, open: end, skip: true}
}

// limit returns the offset behind the last byte, or Unknown.
func (b *body) limit() int64 {
	if b.end != Unknown {
		return b.end
	}
	return b.size
}

// atEnd reports whether err is io.EOF itself, the end of what is read. Errors that wrap io.EOF are
// something else: the error of a request whose peer closed the connection, or of a caller's
// destination.
func atEnd(err error) bool { return err == io.EOF } //nolint:errorlint // as it says

// Read implements io.Reader.
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
			return 0, fmt.Errorf("%w: the blob is longer than %d bytes", ErrSizeMismatch, b.off)
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
			return n, nil // the next Read meets the error again
		}
		if err == nil {
			continue
		}
		if atEnd(err) {
			if limit == Unknown {
				return 0, io.EOF // for all anybody knows
			}
			err = tooShort(b.off, limit)
		} else {
			err = fmt.Errorf("the response broke off at byte %d: %w", b.off, err)
		}
		b.disconnect()
		if err := b.failed(err); err != nil {
			return 0, err
		}
	}
}

// tooShort returns the error of an answer that ends at byte off, as if it were complete, although it
// should go on to limit. The next answer may be longer.
func tooShort(off, limit int64) error {
	return &Fault{Kind: Doubt, Err: fmt.Errorf("%w: the response ends at byte %d instead of %d: %w", ErrSizeMismatch, off, limit, io.ErrUnexpectedEOF)}
}

// read reads from the connection, and cancels it if no byte arrives for too long.
func (b *body) read(p []byte) (int, error) {
	began := time.Now()
	b.watch.Reset(stallTime)
	n, err := b.cur.Read(p)
	b.watch.Stop()
	b.busy += time.Since(began)
	if err != nil && !atEnd(err) && b.ctx.Err() == nil && b.conn.Err() != nil {
		err = context.Cause(b.conn) // this package canceled it, not the caller
	}
	if n < 0 || n > len(p) {
		n, err = 0, ErrMalformedReply
	}
	return n, err
}

// connect requests the bytes from off on.
func (b *body) connect() error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	b.abort.Store(&cancel)
	if b.open == Unknown && b.off > 0 {
		b.open = b.size // some registries cannot answer ranges without an end
	}
	part, err := b.blob.Open(ctx, b.off, b.open, b.fresh)
	if err != nil {
		if errors.Is(context.Cause(ctx), errReplaced) {
			err = errReplaced // whatever the cancellation looks like to Open
		}
		cancel(err)
		return err
	}
	watch := time.AfterFunc(stallTime, func() { cancel(wait.ErrStalled) })
	watch.Stop() // it runs during reads only
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

// establish connects, and repeats that as often as it makes sense. It does nothing if there is
// nothing to read.
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
		return &Fault{Kind: Final, Err: fmt.Errorf("%w: want %d bytes, the registry has %d", ErrSizeMismatch, b.size, p.Size)}
	case p.Size > maxBlob && b.size == Unknown:
		return &Fault{Kind: Final, Err: fmt.Errorf("%w: the registry states %d bytes, more than a blob has", ErrSizeMismatch, p.Size)}
	case p.Size != Unknown && b.size == Unknown && p.Size < b.end:
		return &Fault{Kind: Final, Err: fmt.Errorf("%w: the blob has %d bytes, the range ends at %d", ErrSizeMismatch, p.Size, b.end)}
	case p.Offset == 0 && b.off > 0 && !b.skip:
		return &Fault{Kind: Final, Err: errNoRanges}
	case p.Offset != b.off && p.Offset != 0:
		return fmt.Errorf("%w: requested bytes from %d, the response starts at %d", ErrMalformedReply, b.off, p.Offset)
	case p.End > 0 && p.End <= b.off:
		return fmt.Errorf("%w: requested bytes from %d, the response ends at %d", ErrMalformedReply, b.off, p.End)
	case p.Offset > 0 && b.open != Unknown && p.End > b.open:
		return fmt.Errorf("%w: requested bytes up to %d, the response ends at %d", ErrMalformedReply, b.open, p.End)
	}
	if b.size == Unknown && p.Size >= 0 {
		b.size = p.Size
	}
	return nil
}

// discard skips the bytes of an answer that come before the requested ones.
func (b *body) discard(n int64) error {
	at := b.off - n
	buf := make([]byte, min(n, 32<<10))
	for n > 0 {
		m, err := b.read(buf[:min(n, int64(len(buf)))])
		b.meter.moved(at, int64(m))
		at, n = at+int64(m), n-int64(m)
		if err != nil && n > 0 {
			if atEnd(err) {
				return tooShort(at, b.off)
			}
			return fmt.Errorf("the response broke off at byte %d: %w", at, err)
		}
	}
	return nil
}

// failed waits until it makes sense to connect again, or returns the error if it does not.
func (b *body) failed(err error) error {
	if errors.Is(err, errReplaced) {
		return wait.Cause(b.ctx) // not a failure: the connection was replaced
	}
	f := classify(b.ctx, err)
	b.since = 0
	switch f.Kind {
	case Doubt, Busy:
		return b.tries.wait(b.ctx, f)
	case NoRange:
		if b.size != Unknown && b.off < b.size {
			return fmt.Errorf("%w: the registry states %d bytes, but says that it has no byte %d: %w", ErrSizeMismatch, b.size, b.off, f.Err)
		}
		return fmt.Errorf("%w: the registry has no byte %d of the blob: %w", ErrSizeMismatch, b.off, f.Err)
	}
	return f.Err
}

// finish checks that the answer ends where the blob must end.
func (b *body) finish() error {
	if b.cur == nil {
		return io.EOF
	}
	if b.end != Unknown {
		b.disconnect() // the connection of an answer that was read to its end stays usable
		return io.EOF
	}
	var one [1]byte
	n, _ := b.read(one[:])
	b.disconnect()
	if n > 0 {
		return fmt.Errorf("%w: the blob is longer than %d bytes", ErrSizeMismatch, b.off)
	}
	return io.EOF
}

// replaceConnection makes the body continue over another connection. It may be called from any
// goroutine.
func (b *body) replaceConnection() {
	if cancel := b.abort.Load(); cancel != nil {
		(*cancel)(errReplaced)
	}
}

// errReplaced ends a connection that is much slower than the others, so that its range is requested
// again.
var errReplaced = errors.New("transfer: slower than the others")

// disconnect closes the connection, if there is one.
func (b *body) disconnect() {
	if b.cur == nil {
		return
	}
	b.watch.Stop()
	b.cancel(ErrClosed)
	_ = b.cur.Close()
	b.cur = nil
}
