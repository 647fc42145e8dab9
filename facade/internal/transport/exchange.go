package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

const (
	// idleTimeout is how long a reply may say nothing in the middle of its body, for calls other than blobs: whoever reads those minds the time itself.
	idleTimeout = 30 * time.Second
	// idleErrorTimeout is that for replies with a status of 400 and above. They are small and made at once.
	idleErrorTimeout = 10 * time.Second
	// idleRedirectTimeout is that for redirects, whose bodies nobody reads.
	idleRedirectTimeout = time.Second
)

// exchange is one attempt of one request and all that ends with it: its context, its time limits, its forks of the request's body.
type exchange struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer // of the wait for headers
	whole   *time.Timer
	sent    []*sentBody
	sending int
	over    bool // the headers have come, or will not
	ended   bool
}

// body hands b to the transport. The wait for headers begins when all that was handed out is closed.
func (x *exchange) body(b io.ReadCloser) io.ReadCloser {
	s := &sentBody{ReadCloser: b, x: x}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sending++
	if x.ended {
		_ = b.Close() // too late: reads of it fail
		return s
	}
	x.sent = append(x.sent, s)
	if x.timer != nil { // an earlier fork was sent in vain
		x.timer.Stop()
		x.timer = nil
	}
	return s
}

// wait begins the wait for headers, if nothing is left to be sent. The mutex is held.
func (x *exchange) wait() {
	if x.sending == 0 && !x.over {
		x.timer = time.AfterFunc(HeaderTimeout, func() { x.cancel(ErrHeaderTimeout) })
	}
}

// begun ends the wait for headers.
func (x *exchange) begun() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.timer != nil {
		x.timer.Stop()
	}
}

// end ends everything. Bodies that the transport has not closed yet are closed, for not every transport does.
func (x *exchange) end() {
	x.mu.Lock()
	if x.ended {
		x.mu.Unlock()
		return
	}
	x.ended, x.over = true, true
	sent := x.sent
	for _, t := range []*time.Timer{x.timer, x.whole} {
		if t != nil {
			t.Stop()
		}
	}
	x.mu.Unlock()
	x.cancel(nil)
	for _, b := range sent {
		_ = b.Close()
	}
}

// sentBody is a request's body in the transport's hands.
type sentBody struct {
	io.ReadCloser
	x    *exchange
	once sync.Once
}

func (b *sentBody) Close() (err error) {
	b.once.Do(func() {
		err = b.ReadCloser.Close()
		b.x.mu.Lock()
		defer b.x.mu.Unlock()
		b.x.sending--
		b.x.wait()
	})
	return err
}

// replyBody is a reply's body. It ends the exchange with itself, and gives up where nothing comes for too long.
type replyBody struct {
	io.Reader
	io.Closer
	x    *exchange
	ctx  context.Context // the exchange's
	idle time.Duration   // 0: any time
	limp *time.Timer
}

func (b *replyBody) Read(p []byte) (int, error) {
	if b.idle > 0 {
		if b.limp == nil {
			b.limp = time.AfterFunc(b.idle, func() { b.x.cancel(wait.ErrStalled) })
		} else {
			b.limp.Reset(b.idle)
		}
	}
	n, err := b.Reader.Read(p)
	if b.limp != nil {
		b.limp.Stop()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = reason(b.ctx, err)
	}
	return n, err
}

func (b *replyBody) Close() error {
	err := b.Closer.Close()
	b.x.end()
	return err
}

// reason is why the exchange came to its end: one of our limits, or err.
func reason(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); cause { //nolint:errorlint // the very values that exchanges are cancelled with
	case ErrHeaderTimeout, wait.ErrStalled, errWhole:
		return cause
	}
	return err
}
