package adapters

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// hashHot reads from r into buf in pieces and hashes each one at once, while it
// is still in the processor's cache: hashing a whole chunk later, out of memory,
// takes 1.6 times as long on the machine this was written on.
func hashHot(h hash.Hash, r io.Reader, buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := r.Read(buf[n:min(n+idealPiece, len(buf))])
		h.Write(buf[n : n+m])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// startUpload opens an upload and returns its location.
func (c *ideal) startUpload(ctx context.Context, repo string) (string, error) {
	resp, err := c.do(ctx, call{method: "POST", path: "/v2/" + repo + "/blobs/uploads/", scope: pushScope(repo), want: []int{202}})
	if err != nil {
		return "", err
	}
	drain(resp)
	return resp.Header.Get("Location"), nil
}

// finishUpload turns the upload into a blob.
func (c *ideal) finishUpload(ctx context.Context, repo, loc string, h hash.Hash) error {
	resp, err := c.do(ctx, call{method: "PUT", path: loc + "&digest=sha256%3A" + hex.EncodeToString(h.Sum(nil)), scope: pushScope(repo), want: []int{201}})
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// UploadStream sends chunks one after the other while the next ones are read and
// hashed. A chunk is kept until the registry has it.
func (c *ideal) UploadStream(ctx context.Context, repo string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunk := c.t.Chunk
	if chunk == 0 {
		chunk = idealStreamChunk
	}
	free := make(chan []byte, 3)
	for range cap(free) {
		free <- nil // allocated when first used
	}
	full := make(chan []byte, cap(free))
	h := sha256.New()
	var readErr error
	go func() {
		defer close(full)
		for {
			var buf []byte
			select {
			case buf = <-free:
			case <-ctx.Done():
				return
			}
			if buf == nil {
				buf = make([]byte, chunk)
			}
			n, err := hashHot(h, r, buf[:chunk])
			if n > 0 {
				full <- buf[:n]
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					readErr = err
				}
				return
			}
		}
	}()
	loc, err := c.startUpload(ctx, repo)
	if err != nil {
		return err
	}
	off := int64(0)
	for buf := range full {
		src := func(at, n int64) io.ReadCloser { return io.NopCloser(bytes.NewReader(buf[at-off:][:n])) }
		if loc, err = c.patch(ctx, pushScope(repo), loc, off, int64(len(buf)), src); err != nil {
			return err
		}
		off += int64(len(buf))
		free <- buf[:cap(buf)]
	}
	if readErr != nil {
		return readErr
	}
	return c.finishUpload(ctx, repo, loc, h)
}

// UploadFile streams the file in a few big requests; what broke can be read again.
func (c *ideal) UploadFile(ctx context.Context, repo, path string, d adapter.Descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	size, chunk := st.Size(), c.t.Chunk
	if chunk == 0 {
		chunk = idealFileChunk
	}
	p := &pump{f: f, h: sha256.New(), known: d.Digest != ""}
	for try := 0; ; try++ {
		err := c.uploadOnce(ctx, repo, p, size, chunk, d)
		if !errors.Is(err, errGone) || try == idealRetries {
			return err
		}
		// The session is lost: from the start, but what was hashed stays hashed.
	}
}

// uploadOnce uploads the file in one session.
func (c *ideal) uploadOnce(ctx context.Context, repo string, p *pump, size, chunk int64, d adapter.Descriptor) error {
	loc, err := c.startUpload(ctx, repo)
	if err != nil {
		return err
	}
	grow := c.t.Chunk == 0
	for off := int64(0); off < size; {
		n := min(chunk, size-off)
		next, err := c.patch(ctx, pushScope(repo), loc, off, n, p.body)
		if errors.Is(err, errTooLong) && chunk > 1<<20 {
			chunk, grow = chunk/2, false
			continue
		}
		if err != nil {
			return err
		}
		loc = next
		if off += n; grow {
			chunk *= 2 // few requests for big files, little to lose at the start
		}
	}
	p.wait()
	if p.known {
		resp, err := c.do(ctx, call{method: "PUT", path: loc + "&digest=" + url.QueryEscape(d.Digest), scope: pushScope(repo), want: []int{201}})
		if err == nil {
			drain(resp)
		}
		return err
	}
	return c.finishUpload(ctx, repo, loc, p.h)
}

// pump reads and hashes a file a few pieces ahead of the request that sends it.
type pump struct {
	f      *os.File
	h      hash.Hash
	known  bool  // nothing to hash
	hashed int64 // how far the hash has got; what is sent again is not hashed again
	prev   *pumpBody
}

// wait waits until nothing reads ahead any more.
func (p *pump) wait() {
	if p.prev != nil {
		p.prev.Close()
		<-p.prev.ended
	}
}

// body returns the n bytes at offset at as a request body.
func (p *pump) body(at, n int64) io.ReadCloser {
	if p.known {
		return io.NopCloser(io.NewSectionReader(p.f, at, n))
	}
	p.wait()
	b := &pumpBody{full: make(chan []byte, 6), free: make(chan []byte, 8), stop: make(chan struct{}), ended: make(chan struct{})}
	if p.prev != nil {
		b.mem = p.prev.mem
	} else {
		b.mem = make([]byte, cap(b.free)*idealPiece)
	}
	p.prev = b
	for i := range cap(b.free) {
		b.free <- b.mem[i*idealPiece : (i+1)*idealPiece]
	}
	go func() {
		defer close(b.ended)
		defer close(b.full)
		for n > 0 {
			var buf []byte
			select {
			case buf = <-b.free:
			case <-b.stop:
				return
			}
			m, err := p.f.ReadAt(buf[:min(n, idealPiece)], at)
			if m == 0 && err != nil {
				return // the body comes out short, and the request fails
			}
			if fresh := at + int64(m) - p.hashed; fresh > 0 {
				p.h.Write(buf[int64(m)-fresh : m])
				p.hashed += fresh
			}
			at, n = at+int64(m), n-int64(m)
			select {
			case b.full <- buf[:m]:
			case <-b.stop:
				return
			}
		}
	}()
	return b
}

type pumpBody struct {
	mem        []byte
	full, free chan []byte
	cur, whole []byte
	stop       chan struct{}
	once       sync.Once
	ended      chan struct{}
}

func (b *pumpBody) Read(p []byte) (int, error) {
	if len(b.cur) == 0 {
		if b.whole != nil {
			b.free <- b.whole[:cap(b.whole)]
		}
		var ok bool
		if b.whole, ok = <-b.full; !ok {
			return 0, io.EOF
		}
		b.cur = b.whole
	}
	n := copy(p, b.cur)
	b.cur = b.cur[n:]
	return n, nil
}

func (b *pumpBody) Close() error {
	b.once.Do(func() { close(b.stop) })
	return nil
}

// patch sends the n bytes at offset off. When that breaks, it asks how far the
// registry got and sends the rest.
func (c *ideal) patch(ctx context.Context, scope, loc string, off, n int64, body func(at, n int64) io.ReadCloser) (string, error) {
	end := off + n
	for try := 0; ; try++ {
		resp, err := c.once(ctx, call{method: "PATCH", path: loc, scope: scope, stream: body(off, end-off), length: end - off, header: map[string]string{
			"Content-Type": "application/octet-stream", "Content-Range": fmt.Sprintf("%d-%d", off, end-1)}})
		wait := 50 * time.Millisecond << try
		if err == nil {
			drain(resp)
			if resp.StatusCode == http.StatusAccepted {
				return resp.Header.Get("Location"), nil
			}
			switch resp.StatusCode {
			case http.StatusNotFound:
				return "", errGone
			case http.StatusRequestEntityTooLarge:
				return "", errTooLong
			}
			err = fmt.Errorf("PATCH: %w %s", errStatus, resp.Status)
			if s, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil {
				wait = time.Duration(s) * time.Second
			}
		}
		if try == idealRetries {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(wait):
		}
		st, err := c.do(ctx, call{method: "GET", path: loc, scope: scope, want: []int{204, 404}})
		if err != nil {
			return "", err
		}
		drain(st)
		if st.StatusCode == http.StatusNotFound {
			return "", errGone
		}
		if l := st.Header.Get("Location"); l != "" {
			loc = l
		}
		// "0-0" means nothing, or one byte: take it for nothing.
		_, last, _ := strings.Cut(st.Header.Get("Range"), "-")
		if got, e := strconv.ParseInt(last, 10, 64); e == nil && got > 0 && got+1 > off {
			if off = got + 1; off >= end {
				return loc, nil
			}
		}
	}
}
