package acrtest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection that the registry has accepted: it has a number for the ledger, keeps to the
// bandwidth, and can be reset.
type conn struct {
	net.Conn
	id   int64
	rate int64           // bytes per second each way, 0 is without limit
	stop <-chan struct{} // ends all waiting
	up   pace
	down pace

	closeIdle atomic.Bool // when the reply is out
}

// connState is told by net/http how a connection fares.
func connState(c net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	if own := ownConn(c); own != nil && own.closeIdle.Load() {
		_ = own.Close() // unannounced, as a proxy that has lost patience
	}
}

// connListener numbers the connections of a listener.
type connListener struct {
	net.Listener
	next *atomic.Int64
	rate int64
	stop <-chan struct{}
}

func (l connListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, id: l.next.Add(1), rate: l.rate, stop: l.stop}, nil
}

func (c *conn) Read(p []byte) (int, error) {
	if c.rate > 0 {
		p = p[:min(len(p), c.slice())]
	}
	n, err := c.Conn.Read(p)
	if c.rate > 0 {
		c.await(c.up.take(n, c.rate))
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.rate <= 0 {
		return c.Conn.Write(p)
	}
	written := 0
	for len(p) > 0 {
		part := p[:min(len(p), c.slice())]
		c.await(c.down.take(len(part), c.rate))
		n, err := c.Conn.Write(part)
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// slice is how much moves at once under a bandwidth: a twentieth of a second's worth.
func (c *conn) slice() int { return int(max(1, c.rate/20)) }

// reset ends the connection so that the peer sees "connection reset".
func (c *conn) reset() {
	switch raw := c.Conn.(type) {
	case *net.TCPConn:
		_ = raw.SetLinger(0) // a connection that is gone already is what is wanted
		_ = raw.Close()
	case *memConn:
		raw.reset()
	default:
		_ = raw.Close()
	}
}

// pace holds one direction to a rate.
type pace struct {
	mu   sync.Mutex
	free time.Time // when the bytes taken so far are through
}

const (
	// paceCredit is how much time that was not used can be made up for: a timer that fires late
	// would otherwise cost bandwidth each time.
	paceCredit = 10 * time.Millisecond
	// paceAhead is how far bytes may run ahead of the rate before they wait: timers are not finer.
	paceAhead = 2 * time.Millisecond
)

// take books n bytes and gives how long to wait before more of them may follow.
func (p *pace) take(n int, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch earliest := now.Add(-paceCredit); {
	case p.free.IsZero():
		p.free = now
	case p.free.Before(earliest):
		p.free = earliest
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	if wait := p.free.Sub(now); wait > paceAhead {
		return wait
	}
	return 0
}

func (c *conn) await(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stop:
	}
}

type connKey struct{}

// withConn is the ConnContext of the servers.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if own := ownConn(c); own != nil {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

func ownConn(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
