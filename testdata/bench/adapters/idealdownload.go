package adapters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// fetch reads the range of a blob from off to end, piece by piece: into the slice that dst returns
// for an offset, which is then passed to sink. where is the redirected URL to use, or "" to ask the
// registry. fetch returns the URL that answered.
func (c *ideal) fetch(ctx context.Context, repo, digest, where string, off, end int64,
	dst func(off int64) []byte, sink func(off int64, b []byte) error) (string, error) {
	var last error
	for try := 0; try <= idealRetries; try++ {
		k := call{method: "GET", path: where, want: []int{206}, header: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", off, end-1)}}
		if where == "" {
			k.path, k.scope = "/v2/"+repo+"/blobs/"+digest, pullScope(repo)
		}
		resp, err := c.do(ctx, k)
		if err != nil {
			return "", err
		}
		where = resp.Request.URL.String()
		for off < end && err == nil {
			buf, n := dst(off), 0
			n, err = io.ReadAtLeast(resp.Body, buf, int(min(int64(len(buf)), end-off)))
			if e := sink(off, buf[:n]); e != nil {
				resp.Body.Close()
				return "", e
			}
			off += int64(n)
		}
		resp.Body.Close()
		if off == end {
			return where, nil
		}
		last = err
	}
	return "", last
}

// coldHash hashes bytes that another core has written or that have left the cache.
// Copying them to a small buffer first is faster than hashing them where they are.
func coldHash(h hash.Hash, scratch, b []byte) {
	for len(b) > 0 {
		n := copy(scratch, b)
		h.Write(scratch[:n])
		b = b[n:]
	}
}

// DownloadFile reads the first range by itself. If that was fast, the rest comes
// the same way; otherwise connections are what limits the rate, and the rest comes
// in parallel ranges. Either way the hashing is done beside the reading.
func (c *ideal) DownloadFile(ctx context.Context, repo string, d adapter.Descriptor, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if d.Size > 0 {
		first := min(d.Size, idealDownloadChunk)
		piece := make([]byte, min(d.Size, idealStep))
		var t0 time.Time
		where, err := c.fetch(ctx, repo, d.Digest, "", 0, first, func(int64) []byte { return piece }, func(off int64, b []byte) error {
			if t0.IsZero() {
				t0 = time.Now()
			}
			h.Write(b)
			_, err := f.WriteAt(b, off)
			return err
		})
		if err != nil {
			return err
		}
		if first < d.Size {
			if float64(first)/time.Since(t0).Seconds() > idealFast {
				err = c.single(ctx, repo, d, where, first, f, h)
			} else {
				err = c.parallel(ctx, repo, d, where, first, f, h)
			}
			if err != nil {
				return err
			}
		}
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != d.Digest {
		return fmt.Errorf("digest is %s, want %s", got, d.Digest)
	}
	return f.Close()
}

// single downloads everything from offset start on in one request. This goroutine
// only reads from the connection; another one writes and hashes. (Of the ways to
// share the three tasks between two goroutines this was the fastest. Writes of
// 128 KiB and more to ext4 took up to four times as much system time as short ones,
// on a virtual machine that gives free memory back to its host.)
func (c *ideal) single(ctx context.Context, repo string, d adapter.Descriptor, where string, start int64, f *os.File, h hash.Hash) error {
	type piece struct {
		off int64
		b   []byte
	}
	free, full := make(chan []byte, 8), make(chan piece, 8)
	for range cap(free) {
		free <- make([]byte, idealPiece)
	}
	done := make(chan error, 1)
	go func() {
		var first error
		for p := range full {
			for b, off := p.b, p.off; len(b) > 0; {
				step := b[:min(len(b), idealStep)]
				if _, err := f.WriteAt(step, off); err != nil && first == nil {
					first = err
				}
				h.Write(step) // in this core's cache since the write
				b, off = b[len(step):], off+int64(len(step))
			}
			free <- p.b[:cap(p.b)]
		}
		done <- first
	}()
	_, err := c.fetch(ctx, repo, d.Digest, where, start, d.Size, func(int64) []byte { return <-free }, func(off int64, b []byte) error {
		full <- piece{off, b}
		return nil
	})
	close(full)
	if e := <-done; err == nil {
		err = e
	}
	return err
}

// parallel downloads everything from offset start on in several ranges at once.
func (c *ideal) parallel(ctx context.Context, repo string, d adapter.Descriptor, where string, start int64, f *os.File, h hash.Hash) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := int((d.Size - start + idealDownloadChunk - 1) / idealDownloadChunk)
	type part struct {
		buf  []byte
		done chan struct{}
	}
	queue := make([]part, parts)
	for i := range queue {
		queue[i].done = make(chan struct{})
	}
	// free bounds the memory: a range is fetched only when a buffer is free, and
	// buffers come back in the order of hashing.
	free := make(chan []byte, idealStreams+2)
	for range cap(free) {
		free <- nil
	}
	work := make(chan int)
	for range min(idealStreams, parts) {
		go func() {
			for i := range work {
				off := start + int64(i)*idealDownloadChunk
				b := queue[i].buf
				dst := func(at int64) []byte { return b[at-off : min(at-off+idealStep, int64(len(b)))] }
				_, err := c.fetch(ctx, repo, d.Digest, where, off, off+int64(len(b)), dst, func(at int64, p []byte) error {
					_, err := f.WriteAt(p, at)
					return err
				})
				if err != nil {
					cancel(err)
					return
				}
				close(queue[i].done)
			}
		}()
	}
	go func() {
		defer close(work)
		for i := range queue {
			select {
			case b := <-free:
				if b == nil {
					b = make([]byte, idealDownloadChunk)
				}
				queue[i].buf = b[:min(idealDownloadChunk, d.Size-start-int64(i)*idealDownloadChunk)]
			case <-ctx.Done():
				return
			}
			select {
			case work <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	scratch := make([]byte, idealStep)
	for i := range queue {
		select {
		case <-queue[i].done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		coldHash(h, scratch, queue[i].buf)
		free <- queue[i].buf[:cap(queue[i].buf)]
	}
	return nil
}
