package images

import (
	"context"
	"fmt"
	"io"

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
