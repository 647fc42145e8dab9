package acr

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// blobSource implements transfer.Blob with HTTP. The registry is asked once for the link to the
// content, which all requests share until storage reports that it has expired.
type blobSource struct {
	r    *Repository
	dgst digest.Digest

	mu     sync.Mutex
	size   int64 // as stated by the registry; 0 if not yet asked
	link   *transport.Link
	avoid  string // host of the endpoint whose storage failed
	inline bool   // the registry sends the blob itself
	asking chan struct{}
}

var _ transfer.Blob = (*blobSource)(nil)

// Open implements transfer.Blob.
func (b *blobSource) Open(ctx context.Context, off, end int64, fresh bool) (*transfer.Part, error) {
	rng := requestRange(off, end)
	if fresh {
		for _, e := range b.r.client.router.endpoints {
			e.transport.RenewStorage()
		}
	}
	for try := 0; ; try++ {
		link, resp, err := b.current(ctx, rng, fresh)
		if err != nil {
			return nil, err
		}
		if link == nil {
			return b.part(ctx, resp, func() { b.leave(nil, resp.Request.URL.Host) })
		}
		leave := func() { b.leave(link, link.Registry()) }
		if resp, err = b.fetch(ctx, link, rng); err != nil {
			leave()
			return nil, uploadFault(opGetBlob.fail(err), false)
		}
		if resp.StatusCode >= http.StatusInternalServerError {
			leave()
		}
		if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusUnauthorized || try > 0 {
			return b.part(ctx, resp, leave)
		}
		wire.Drain(resp) // the link has expired; links are valid for about twenty minutes
		b.expired(link)
		observe.Again(ctx, "the link to storage has expired")
		fresh = false
	}
}

// current returns the link to use. If there is none, the registry is asked once for all that wait.
// If the registry sends the content itself, each caller asks for it and gets a response instead of
// a link.
func (b *blobSource) current(ctx context.Context, rng string, fresh bool) (*transport.Link, *http.Response, error) {
	for {
		b.mu.Lock()
		if fresh {
			b.link, fresh = nil, false
		}
		link, asking := b.link, b.asking
		if link == nil && asking == nil && !b.inline {
			b.asking = make(chan struct{})
		}
		inline := b.inline
		b.mu.Unlock()
		switch {
		case link != nil:
			return link, nil, nil
		case inline:
			return b.ask(ctx, rng)
		case asking == nil:
			return b.askForAll(ctx, rng)
		}
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// askForAll is ask for all that wait for the link.
func (b *blobSource) askForAll(ctx context.Context, rng string) (link *transport.Link, resp *http.Response, err error) {
	defer func() { // also if the caller's code panics
		b.mu.Lock()
		defer b.mu.Unlock()
		b.link, b.inline = link, resp != nil
		close(b.asking)
		b.asking = nil
	}()
	return b.ask(ctx, rng)
}

// ask requests the content from the registry. The response has a link to it or, behind some private
// endpoints, the content itself.
func (b *blobSource) ask(ctx context.Context, rng string) (*transport.Link, *http.Response, error) {
	params := &gen.GetBlobParams{}
	if rng != "" {
		params.Range = &rng
	}
	b.mu.Lock()
	avoid := b.avoid
	b.mu.Unlock()
	ctx = call.With(ctx, func(k *call.Call) { k.Avoid = avoid })
	resp, err := b.r.do(ctx, opGetBlob, func(ctx context.Context) (*http.Response, error) {
		return b.r.client.gen.GetBlob(ctx, b.r.name, b.dgst, params, identity)
	})
	if err != nil {
		return nil, nil, uploadFault(err, true)
	}
	if !wire.IsRedirect(resp.StatusCode) {
		return nil, resp, nil
	}
	link, err := b.r.client.serving(resp).transport.BlobLink(resp)
	if err != nil {
		return nil, nil, &transfer.Fault{Kind: transfer.Final, Err: opGetBlob.fail(err)}
	}
	return link, nil, nil
}

// expired discards a link.
func (b *blobSource) expired(link *transport.Link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link == link {
		b.link = nil
	}
}

// leave discards a link, if there is one, and asks the endpoint at host last from now on: its storage
// failed, or it did itself. It does nothing if there is no other endpoint.
func (b *blobSource) leave(link *transport.Link, host string) {
	if len(b.r.client.router.endpoints) == 1 {
		return
	}
	b.expired(link)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.avoid = host
}

// stalling calls stalled if the body of a response stalls.
type stalling struct {
	io.ReadCloser
	ctx     context.Context // of the response
	stalled func()
}

// Read implements io.Reader.
func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && errors.Is(context.Cause(s.ctx), ErrStalled) {
		s.stalled()
	}
	return n, err
}

// fetch gets the content from storage.
func (b *blobSource) fetch(ctx context.Context, link *transport.Link, rng string) (*http.Response, error) {
	header := http.Header{}
	if rng != "" {
		header.Set("Range", rng)
	}
	return b.r.client.fetch(ctx, http.MethodGet, link, header)
}

// part reads from a response which part of the blob it has. If that stalls later, stalled is called.
func (b *blobSource) part(ctx context.Context, resp *http.Response, stalled func()) (*transfer.Part, error) {
	p := &transfer.Part{Body: &stalling{resp.Body, ctx, stalled}, End: transfer.Unknown, Size: transfer.Unknown}
	var err error
	switch resp.StatusCode {
	case http.StatusOK:
		if resp.ContentLength >= 0 {
			p.End, p.Size = resp.ContentLength, resp.ContentLength
		} else {
			p.Size = b.stated(ctx)
		}
	case http.StatusPartialContent:
		p.Offset, p.End, p.Size, err = wire.ContentRange(resp.Header)
		p.End++
		if err == nil && resp.ContentLength >= 0 && resp.ContentLength != p.End-p.Offset {
			err = contradicts(ErrUntrusted, "Content-Range states %d bytes, Content-Length %d", p.End-p.Offset, resp.ContentLength)
		}
		if err == nil && p.Size == transfer.Unknown {
			p.Size = b.stated(ctx) // the end of this range need not be the end of the blob
		}
	default:
		return nil, storageFault(resp)
	}
	kind := transfer.Doubt // a wrong range: the next response may be right
	if err == nil {
		err, kind = unencoded(resp), transfer.Final
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, &transfer.Fault{Kind: kind, Err: opGetBlob.fail(err)}
	}
	return p, nil
}

// stated returns the size of the blob that the registry states. A response without a length may
// never end.
func (b *blobSource) stated(ctx context.Context) int64 {
	b.mu.Lock()
	size := b.size
	b.mu.Unlock()
	if size > 0 {
		return size
	}
	size, err := b.r.headBlob(ctx, b.dgst)
	if err != nil {
		return transfer.Unknown
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = size
	return size
}

// unencoded fails if the body of a response is encoded, so that its bytes are not those of the
// blob.
func unencoded(resp *http.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") || resp.Uncompressed {
		return contradicts(ErrMalformedReply, "the blob has Content-Encoding %q, which was not requested", redact.OneLine(e))
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && t == "multipart/byteranges" {
		return contradicts(ErrMalformedReply, "the response has several ranges, one was requested")
	}
	return nil
}

// requestRange returns the Range header for the bytes from off to end; "" for the whole blob.
func requestRange(off, end int64) string {
	switch {
	case end != transfer.Unknown:
		return "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(end-1, 10)
	case off > 0:
		return "bytes=" + strconv.FormatInt(off, 10) + "-"
	}
	return ""
}

// identity requests the bytes without compression: net/http would otherwise request gzip and
// decompress it.
func identity(_ context.Context, r *http.Request) error {
	r.Header.Set("Accept-Encoding", "identity")
	return nil
}
