package transport

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/wait"
)

// sendStall is how long a connection may take no byte of a request body. It is longer than the limits of a response, as
// the last megabytes lie in buffers of the system where nobody sees them move.
const sendStall = 2 * time.Minute

// queueTime is how long an attempt may wait for a connection where others use all there may be. None of them is used for
// ever, so it only ends what has no limit of its own, such as a SOCKS proxy that does not answer.
const queueTime = time.Hour

// exchange is one attempt of one request and all that ends with it: its context, its time limits, its forks of the
// request body. It goes through three phases, each with a limit of its own:
//
//	connecting | until there is a connection: limit, or queueTime where requests queue for one
//	           | until the first byte of the body is asked for: limit, counted anew from each connection
//	sending    | while the body is sent: sendStall without a byte taken; the time that the source takes does not count
//	waiting    | until the response header has arrived: limit
//
// An attempt without a body goes from connecting to waiting.
type exchange struct {
	cancel context.CancelCauseFunc
	limit  time.Duration // of the response header; 0: none
	busy   *atomic.Int64 // of the sender
	queue  bool          // the attempt may have to wait for a connection that another one uses

	mu      sync.Mutex
	timer   *time.Timer // of the first and the third phase
	stall   *time.Timer // of the second
	whole   *time.Timer // of the caller's http.Client
	sent    []*sentBody
	sending int
	over    bool // the headers have come, or will not
	ended   bool

	seen seen

	cost cost
}

// body hands b to the transport.
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
	if x.sending == 1 && x.timer != nil { // an earlier fork was sent in vain: the attempt is looking for a connection again
		x.wait()
	}
	return s
}

// connect begins the wait for a connection. Behind others that is no wait for the server: a thousand calls that it answers
// in turn are not to fail because of the time that the first ones take. The mutex is held.
func (x *exchange) connect() {
	if x.queue && x.limit > 0 && x.limit < queueTime && !x.over && x.timer == nil {
		x.timer = time.AfterFunc(queueTime, func() { x.cancel(ErrHeaderTimeout) })
		return
	}
	x.wait()
}

// wait begins the wait for a connection or a header. The mutex is held.
func (x *exchange) wait() {
	if x.over || x.limit <= 0 {
		return
	}
	if x.timer == nil {
		x.timer = time.AfterFunc(x.limit, func() { x.cancel(ErrHeaderTimeout) })
		return
	}
	x.timer.Reset(x.limit)
}

// reading is called when the transport asks for more of a body, and when it has got it.
func (x *exchange) reading(begins bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	stop(x.timer)
	switch {
	case begins:
		stop(x.stall) // a slow source is no stalled connection
	case x.stall == nil:
		x.stall = time.AfterFunc(sendStall, func() { x.cancel(wait.ErrStalled) })
	default:
		x.stall.Reset(sendStall)
	}
}

// sentAll is called when the transport has closed a body.
func (x *exchange) sentAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sending--; x.sending == 0 {
		stop(x.stall)
		x.wait()
	}
}

// begun ends the wait for headers.
func (x *exchange) begun() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	stop(x.timer)
	stop(x.stall)
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
	defer x.cost.tell()
	for _, t := range []*time.Timer{x.timer, x.stall, x.whole} {
		stop(t)
	}
	x.mu.Unlock()
	if x.busy != nil {
		x.busy.Add(-1)
	}
	x.cancel(nil)
	for _, b := range sent {
		_ = b.Close()
	}
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// sentBody is a request body in the transport's hands.
type sentBody struct {
	io.ReadCloser
	x    *exchange
	once sync.Once
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.x.reading(true)
	defer b.x.reading(false)
	p, err := b.x.cost.take(p)
	if err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.x.cost.moved(observe.BytesSent, n, len(p))
	return n, err
}

func (b *sentBody) Close() (err error) {
	b.once.Do(func() {
		err = b.ReadCloser.Close()
		b.x.sentAll()
	})
	return err
}

// reason is why the exchange came to its end: one of our limits, or err.
func reason(ctx context.Context, err error) error {
	ours := []error{ErrHeaderTimeout, wait.ErrStalled, errClientTimeout, errManyConnections, errManyInterim}
	if cause := context.Cause(ctx); slices.Contains(ours, cause) {
		return cause
	}
	return err
}
