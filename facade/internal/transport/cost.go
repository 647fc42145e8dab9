package transport

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/pace"
)

// cost is what one exchange has cost so far.
type cost struct {
	ctx            context.Context // of the request
	moving         context.Context // of the exchange: nobody waits to move bytes after its end
	ledger         *observe.Ledger
	told           func(context.Context, observe.Request)
	began          time.Time
	method, host   string
	status         int
	took           time.Duration // until the response began, or the request failed
	sent, received atomic.Int64
	rate           *pace.Rate
}

// begin counts the request. ctx is that of the exchange.
func (c *cost) begin(ctx context.Context, req *http.Request, s *sender) {
	c.ctx, c.moving, c.ledger, c.told, c.rate = req.Context(), ctx, observe.LedgerOf(req.Context()), s.told, s.rate
	c.method, c.host, c.began = req.Method, req.URL.Host, time.Now()
	c.ledger.Add(observe.Requests, 1)
}

// answered notes the response; nil if there is none.
func (c *cost) answered(resp *http.Response) {
	c.took = time.Since(c.began)
	if resp != nil {
		c.status = resp.StatusCode
	}
}

// take waits until there is time for bytes of a body, and returns the part of p that may be moved. moved has to be called with the
// result. It fails if the exchange is over.
func (c *cost) take(p []byte) ([]byte, error) {
	p, err := c.rate.Take(c.moving, p)
	if err != nil {
		return nil, reason(c.moving, err)
	}
	return p, nil
}

// moved counts n bytes of a body, of as many as could have been moved.
func (c *cost) moved(k observe.Kind, n, could int) {
	c.rate.Return(could - max(n, 0))
	if n <= 0 {
		return
	}
	c.ledger.Add(k, int64(n))
	if k == observe.BytesSent {
		c.sent.Add(int64(n))
	} else {
		c.received.Add(int64(n))
	}
}

// tell reports the exchange. It is over.
func (c *cost) tell() {
	if c.told == nil {
		return
	}
	k := call.Of(c.ctx)
	c.told(c.ctx, observe.Request{
		Operation: k.Operation, Method: c.method, Host: c.host, Status: c.status, Try: max(k.Try, 1), Waited: k.Waited, Duration: c.took,
		BytesSent: c.sent.Load(), BytesReceived: c.received.Load(),
	})
}
