package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// Defaults of a download.
const (
	DefaultPart    = 4 << 20
	DefaultWorkers = 10
)

// maxPart keeps a part within what memory can hold, and sums of some of them within what an int64
// can.
const maxPart = 1 << 40

// A connection that brings more than fastRate bytes per second stays the only one: the rate is then
// limited by the processor, and more connections cost more than they bring. If it later falls below
// slowRate, others are added after all.
const (
	fastRate = 250e6
	slowRate = 100e6
)

// DownloadOptions are the choices of a download. Only Digest, Size and Meter are required. The
// loops never write to them.
type DownloadOptions struct {
	Digest  digest.Digest
	Size    int64 // expected size, or Unknown
	Workers int   // ranges that are downloaded at once; 0: the default; 1: one stream
	Part    int64 // size of a range; 0: the default
	Meter   *Meter
}

// download is one attempt to download a blob.
type download struct {
	ctx    context.Context
	blob   Blob
	dst    Destination
	opts   DownloadOptions
	prefix io.ReaderAt // what an earlier download left; nil if nothing
	left   int64       // how many bytes of it
	h      *hasher
	size   int64 // of the blob, or Unknown
	fresh  bool  // ask for a new link and connection

	mu    sync.Mutex
	ended bool // nobody waits for a write that is still blocked
}

// Download writes the blob to dst and returns its size once size and digest agree. If the content
// has another digest, it is downloaded a second time over a new link before that is an error.
func Download(ctx context.Context, blob Blob, dst Destination, o *DownloadOptions) (int64, error) {
	opts := *o
	if opts.Workers <= 0 {
		opts.Workers = DefaultWorkers
	}
	if opts.Part <= 0 {
		opts.Part = DefaultPart
	}
	opts.Part = min(opts.Part, maxPart)
	opts.Meter.SetTotal(opts.Size)
	prefix, left := dst.Prefix()
	for try := 0; ; try++ {
		d := &download{ctx: ctx, blob: blob, dst: dst, opts: opts, prefix: prefix, left: left, size: opts.Size, fresh: try > 0}
		err := d.run()
		d.end()
		if err == nil {
			if err := dst.Complete(d.size); err != nil {
				return 0, err
			}
			opts.Meter.SetDone()
			return d.size, nil
		}
		// A blob that ends before the byte at which an earlier download stopped is not the blob
		// that it began.
		wrong := errors.Is(err, ErrDigestMismatch) || left > 0 && errors.Is(err, ErrSizeMismatch)
		if try > 0 || !wrong {
			return 0, orCause(ctx, err)
		}
		prefix, left = nil, 0
		opts.Meter.offset.Store(0)
		dst.Written(0) // what was written is worth nothing, whatever the second attempt brings
		opts.Meter.restarts.Add(1)
		observe.Info(ctx, "download starts again from the first byte", slog.String("reason", err.Error()))
		observe.Repeated(ctx)
	}
}

func (d *download) run() error {
	want := d.opts.Digest
	h, err := newHasher(want.Algorithm(), d.opts.Meter, nil)
	if err != nil {
		return err
	}
	d.h = h
	if want == want.Algorithm().FromBytes(nil) {
		if d.size > 0 {
			return fmt.Errorf("%w: stated %d bytes, but the digest is that of the empty blob", ErrSizeMismatch, d.size)
		}
		d.size = 0
		return d.sized()
	}
	if err := d.hashPrefix(); err != nil {
		return err
	}
	if d.prefixIsAll() {
		d.size = h.n
		return d.sized()
	}
	b := newBody(d.ctx, d.blob, d.opts.Meter, d.size, h.n, Unknown)
	b.fresh = d.fresh
	defer b.disconnect()
	if err := b.establish(); err != nil {
		return err
	}
	if d.size = b.size; d.size != Unknown {
		if err := d.sized(); err != nil {
			return err
		}
	}
	if err := d.transfer(b); err != nil {
		return err
	}
	if got := h.digest(); got != want {
		return mismatch(want, got)
	}
	return nil
}

// sized announces the size of the blob.
func (d *download) sized() error {
	d.opts.Meter.SetTotal(d.size)
	return d.dst.Sized(d.size)
}

// transfer reads the rest: as one stream, and as parallel ranges once the stream turns out to be
// slow.
func (d *download) transfer(b *body) error {
	size, slow := int64(pipePiece), d.slow(b)
	if slow != nil {
		size = d.opts.Part
	}
	err := pipe(b, size, d.take, slow)
	if errors.Is(err, errSlowStream) {
		b.disconnect()
		if err = d.parallel(); errors.Is(err, errNoRanges) {
			one := newBody(d.ctx, d.blob, d.opts.Meter, d.size, d.h.n, Unknown)
			defer one.disconnect()
			err = pipe(one, pipePiece, d.take, nil)
		}
		return err
	}
	if err != nil {
		return err
	}
	if d.size == Unknown && d.h.digest() != d.opts.Digest {
		// An answer without a length that was cut short looks just like one that ended.
		b.disconnect()
		if err := pipe(b, pipePiece, d.take, nil); err != nil {
			return err
		}
	}
	d.size = d.h.n
	return nil
}

// take writes and hashes the next bytes.
func (d *download) take(p []byte, off int64) error {
	n, err := d.dst.WriteAt(p, off)
	if err := writeError(n, len(p), err); err != nil {
		return err
	}
	_, _ = d.h.Write(p) // a hash never fails
	d.progressed()
	return nil
}

// progressed reports how much is written and hashed, unless the download has ended.
func (d *download) progressed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.opts.Meter.offset.Store(d.h.n)
	d.dst.Written(d.h.n)
}

// end ends the reports.
func (d *download) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
}

// slow returns a function that judges whether a stream is too slow, or nil if the blob cannot be
// read as ranges. It judges the first part strictly, and then every eight parts whether the stream
// has become slow.
func (d *download) slow(b *body) func(int64, time.Duration) bool {
	part := d.opts.Part
	if d.opts.Workers < 2 || d.size == Unknown {
		return nil
	}
	var n0 int64
	var t0 time.Duration
	window, rate := part, fastRate
	return func(n int64, busy time.Duration) bool {
		if d.size-b.off < 2*part || n-n0 < window {
			return false
		}
		if float64(n-n0) < rate*(busy-t0).Seconds() {
			return true
		}
		n0, t0, window, rate = n, busy, 8*part, slowRate
		return false
	}
}

// prefixIsAll reports whether an earlier download left the whole blob.
func (d *download) prefixIsAll() bool {
	return d.h.n > 0 && (d.size == Unknown || d.size == d.h.n) && d.h.digest() == d.opts.Digest
}

// hashPrefix hashes what an earlier download left.
func (d *download) hashPrefix() error {
	if d.size != Unknown && d.left > d.size {
		d.left = 0
	}
	buf := make([]byte, min(pipePiece, d.left))
	for off := int64(0); off < d.left; {
		n, err := d.prefix.ReadAt(buf[:min(int64(len(buf)), d.left-off)], off)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil // shorter than stated: continue from here
			}
			return fmt.Errorf("reading what an earlier download left: %w", err)
		}
		_, _ = d.h.Write(buf[:n])
		off += int64(n)
		d.opts.Meter.offset.Store(d.h.n)
		if err := wait.Cause(d.ctx); err != nil {
			return err
		}
	}
	return nil
}
