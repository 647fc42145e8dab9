package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Defaults of a download.
const (
	DefaultPart    = 4 << 20
	DefaultWorkers = 10
)

// maxPart keeps a part within what memory can hold, and sums of some of them within what an int64 can.
const maxPart = 1 << 40

// Above fastRate bytes per second one connection will do: then it is this processor that limits the rate, and more connections cost more
// than they bring. A connection that is slower than slowRate later on gets company after all.
const (
	fastRate = 250e6
	slowRate = 100e6
)

// DownloadOptions are the choices of a download. Only Digest and Meter are required.
type DownloadOptions struct {
	Digest  digest.Digest
	Size    int64 // expected, or Unknown
	Workers int   // ranges in flight; 0: the default; 1: one stream
	Part    int64 // size of a range; 0: the default
	Meter   *Meter

	// Prefix holds the first PrefixSize bytes from an earlier attempt. They are hashed again, as nothing else is known of them.
	Prefix     io.ReaderAt
	PrefixSize int64
	// Written, where given, is called from time to time with how much has been written and hashed without a gap.
	Written func(off int64)
	// Sized, where given, is called with the size of the blob before anything is written.
	Sized func(size int64) error
	// Complete, where given, is called when all is written and verified. The download is done when it returns nil.
	Complete func(size int64) error
}

// download is one attempt at a blob.
type download struct {
	*DownloadOptions
	ctx   context.Context
	blob  Blob
	dst   io.WriterAt
	h     *hasher
	size  int64
	fresh bool
}

// Download writes the blob to dst and returns its size once size and digest agree. Content with another digest is downloaded once more,
// over a new link, before that is an error.
func Download(ctx context.Context, blob Blob, dst io.WriterAt, o *DownloadOptions) (int64, error) {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Part <= 0 {
		o.Part = DefaultPart
	}
	o.Part = min(o.Part, maxPart)
	for try := 0; ; try++ {
		d := &download{DownloadOptions: o, ctx: ctx, blob: blob, dst: dst, size: o.Size, fresh: try > 0}
		err := d.run()
		if err == nil {
			if o.Complete != nil {
				if err := o.Complete(d.size); err != nil {
					return 0, err
				}
			}
			o.Meter.SetDone()
			return d.size, nil
		}
		// A blob without the byte at which an earlier attempt left off is not the one that attempt began.
		if wrong := errors.Is(err, ErrDigest) || errors.Is(err, ErrSize) && o.PrefixSize > 0; try > 0 || !wrong {
			return 0, ended(ctx, err)
		}
		o.Prefix, o.PrefixSize = nil, 0
		if o.Written != nil {
			o.Written(0) // what was written is worth nothing, whatever comes of the second try
		}
		o.Meter.restarts.Add(1)
	}
}

func (d *download) run() error {
	h, err := newHasher(d.Digest.Algorithm(), d.Meter, nil)
	if err != nil {
		return err
	}
	d.h = h
	if d.Digest == d.Digest.Algorithm().FromBytes(nil) {
		if d.size > 0 {
			return fmt.Errorf("%w: stated %d bytes, the digest is that of none", ErrSize, d.size)
		}
		d.size = 0
		return d.sized()
	}
	if err := d.prefix(); err != nil {
		return err
	}
	if d.whole() {
		d.size = h.n
		return d.sized()
	}
	b := newBody(d.ctx, d.blob, d.Meter, d.size, h.n, Unknown)
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
	if got := h.digest(); got != d.Digest {
		return mismatch(d.Digest, got)
	}
	return nil
}

func (d *download) sized() error {
	d.Meter.SetTotal(d.size)
	if d.Sized != nil {
		return d.Sized(d.size)
	}
	return nil
}

// transfer reads the rest: as one stream, and in parallel ranges as soon as that turns out to be slow.
func (d *download) transfer(b *body) error {
	size, slow := int64(pipePiece), d.slow(b)
	if slow != nil {
		size = d.Part
	}
	err := pipe(b, size, d.take, slow)
	if errors.Is(err, errSlow) {
		b.disconnect()
		if err = d.parallel(); errors.Is(err, errNoRanges) {
			one := newBody(d.ctx, d.blob, d.Meter, d.size, d.h.n, Unknown)
			defer one.disconnect()
			err = pipe(one, pipePiece, d.take, nil)
		}
		return err
	}
	if err != nil {
		return err
	}
	if d.size == Unknown && d.h.digest() != d.Digest {
		// An answer without a length that was cut short looks just like its end.
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
	if err := written(n, len(p), err); err != nil {
		return err
	}
	_, _ = d.h.Write(p)
	d.taken()
	return nil
}

// taken reports how much is written and hashed.
func (d *download) taken() {
	d.Meter.offset.Store(d.h.n)
	if d.Written != nil {
		d.Written(d.h.n)
	}
}

// slow returns the judge of a stream that could be ranges, nil for any other: its first part tells whether the connection is fast, and every
// eight parts tell whether it still is.
func (d *download) slow(b *body) func(int64, time.Duration) bool {
	if d.Workers < 2 || d.size == Unknown {
		return nil
	}
	var n0 int64
	var t0 time.Duration
	window, rate := d.Part, fastRate
	return func(n int64, busy time.Duration) bool {
		if d.size-b.off < 2*d.Part || n-n0 < window {
			return false
		}
		if float64(n-n0) < rate*(busy-t0).Seconds() {
			return true
		}
		n0, t0, window, rate = n, busy, 8*d.Part, slowRate
		return false
	}
}

// whole tells whether an earlier attempt has left all of the blob.
func (d *download) whole() bool {
	return d.h.n > 0 && (d.size == Unknown || d.size == d.h.n) && d.h.digest() == d.Digest
}

// prefix hashes what an earlier attempt has left.
func (d *download) prefix() error {
	if d.size != Unknown && d.PrefixSize > d.size {
		d.PrefixSize = 0
	}
	buf := make([]byte, min(pipePiece, d.PrefixSize))
	for off := int64(0); off < d.PrefixSize; {
		n, err := d.Prefix.ReadAt(buf[:min(int64(len(buf)), d.PrefixSize-off)], off)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil // shorter than was thought: go on from here
			}
			return fmt.Errorf("reading what an earlier download left: %w", err)
		}
		_, _ = d.h.Write(buf[:n])
		off += int64(n)
		if err := cause(d.ctx); err != nil {
			return err
		}
	}
	d.Meter.offset.Store(d.h.n)
	return nil
}
