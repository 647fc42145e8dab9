package transport

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

const (
	// idleTimeout is how long a response may be silent in the middle of its body, for calls other than blobs: transfer has
	// limits of its own for those.
	idleTimeout = 30 * time.Second
	// idleErrorTimeout is that of a response with a status of 400 and above. They are small and made at once.
	idleErrorTimeout = 10 * time.Second
	// idleRedirectTimeout is that of redirects, whose bodies nobody reads.
	idleRedirectTimeout = time.Second
	// A body that is not at its end has to bring leastProgress bytes, 1 KiB a second, in each rateWindow spent in reading
	// it. Otherwise a server could keep a call busy for hours with a byte now and then.
	leastProgress = 60 << 10
	rateWindow    = time.Minute
)

// replyBody is the body of a response. It ends the exchange with itself, and fails if it stalls.
type replyBody struct {
	io.Reader
	io.Closer
	x       *exchange
	ctx     context.Context // the exchange's
	idle    time.Duration   // 0: any time, and at any rate
	silence *time.Timer     // ends the exchange after idle

	spent time.Duration // reading, in this window
	got   int           // bytes, in this window
}

func (b *replyBody) Read(p []byte) (int, error) {
	p, err := b.x.cost.take(p)
	if err != nil {
		return 0, err
	}
	if b.idle > 0 {
		if b.silence == nil {
			b.silence = time.AfterFunc(b.idle, func() { b.x.cancel(wait.ErrStalled) })
		} else {
			b.silence.Reset(b.idle)
		}
	}
	began := time.Now()
	n, err := b.Reader.Read(p)
	stop(b.silence)
	took := time.Since(began)
	b.x.cost.moved(observe.BytesReceived, n, len(p))
	if err == nil && b.idle > 0 && b.drips(n, took) {
		b.x.cancel(wait.ErrStalled)
		return n, wait.ErrStalled
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = reason(b.ctx, err)
	}
	return n, err
}

// drips reports whether too little has arrived in too long a time.
func (b *replyBody) drips(n int, took time.Duration) bool {
	b.got += n
	if b.spent += took; b.spent < rateWindow {
		return false
	}
	enough := b.got >= leastProgress
	b.spent, b.got = 0, 0
	return !enough
}

// Close closes the body and ends the exchange.
func (b *replyBody) Close() error {
	err := b.Closer.Close()
	b.x.end()
	return err
}
