package acrtest

import (
	"context"
	"errors"
	"io"
)

// requestBody counts the body of a request, and does to it what the script says.
type requestBody struct {
	x    *visit
	body io.ReadCloser
	ctx  context.Context // that of the request it belongs to, and lives as long
	plan *plan
	pos  int64

	length  int64 // -1 if the request does not say it
	eof     bool
	expects bool // the caller sends nothing until it is told to
}

// ended reports whether the whole body has been read.
func (b *requestBody) ended() bool { return b.eof || b.length >= 0 && b.pos >= b.length }

func (b *requestBody) Read(p []byte) (int, error) {
	p = b.within(p)
	if p == nil {
		return b.stop()
	}
	n, err := b.body.Read(p)
	b.pos += int64(n)
	b.eof = b.eof || errors.Is(err, io.EOF)
	b.x.in.Add(int64(n))
	return n, err
}

func (b *requestBody) Close() error { return b.body.Close() }

// within cuts p so that no more is read than the script allows; nil when it allows nothing more.
func (b *requestBody) within(p []byte) []byte {
	if b.plan == nil || len(p) == 0 {
		return p
	}
	for _, at := range []int64{b.plan.resetRequestAt, b.plan.stallRequestAt, b.plan.acceptOnly} {
		if at >= 0 {
			if b.pos >= at {
				return nil
			}
			p = p[:min(int64(len(p)), at-b.pos)]
		}
	}
	return p
}

// stop does what the script has for the byte the body has come to.
func (b *requestBody) stop() (int, error) {
	switch {
	case b.plan.resetRequestAt >= 0 && b.pos >= b.plan.resetRequestAt:
		b.x.reply.broken = true
		b.x.reset()
		return 0, io.ErrUnexpectedEOF
	case b.plan.stallRequestAt >= 0 && b.pos >= b.plan.stallRequestAt:
		// The handler is let go, so that it does not keep what it holds; the connection hangs when
		// it is done.
		b.x.reply.broken, b.x.reply.stalled = true, true
		return 0, io.ErrUnexpectedEOF
	}
	// The rest is read and lost, or the caller would not find the reply behind it.
	_, _ = io.Copy(io.Discard, b.body)
	b.eof = true
	return 0, io.EOF
}
