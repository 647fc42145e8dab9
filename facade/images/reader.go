package images

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// verifyingReader returns io.EOF only after exactly the expected bytes.
type verifyingReader struct {
	r        io.Reader
	closer   io.Closer // nil: there is nothing to close
	verifier digest.Verifier
	left     int64
	digest   digest.Digest
	err      error
}

// Read implements io.Reader.
func (v *verifyingReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.left -= int64(n)
	_, _ = v.verifier.Write(p[:n]) // a hash takes everything
	switch {
	case v.left < 0:
		err = fmt.Errorf("%w: %s is longer than its descriptor says", acr.ErrSizeMismatch, v.digest)
	case err == io.EOF && v.left > 0: //nolint:errorlint // readers return it as it is
		err = fmt.Errorf("%w: %s ends %d bytes too early", acr.ErrSizeMismatch, v.digest, v.left)
	case err == io.EOF && !v.verifier.Verified(): //nolint:errorlint // the same
		err = fmt.Errorf("%w: the content is not that of %s", acr.ErrDigestMismatch, v.digest)
	}
	v.err = err
	return n, err
}

// Close implements io.Closer.
func (v *verifyingReader) Close() error {
	if v.closer == nil {
		return nil
	}
	return v.closer.Close()
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// lazyReader opens its content when it is first read. An upload whose context ended may still be in
// Read when it is closed: then Read closes what was opened.
type lazyReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
	err  error // of open

	mu              sync.Mutex
	reading, closed bool
}

// Read implements io.Reader.
func (l *lazyReader) Read(p []byte) (int, error) {
	if !l.enter() {
		return 0, fs.ErrClosed
	}
	defer l.leave()
	if l.r == nil && l.err == nil {
		r, err := l.open()
		if l.err = err; err == nil {
			l.r = r
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p)
}

func (l *lazyReader) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = !l.closed
	return l.reading
}

func (l *lazyReader) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	if l.closed && l.r != nil {
		_ = l.r.Close() // nobody waits for it any more
	}
}

// Close closes what was opened.
func (l *lazyReader) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.reading || l.r == nil {
		return nil
	}
	return l.r.Close()
}
