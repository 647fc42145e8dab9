package acrtest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// memListener is a listener in memory. Unlike net.Pipe its connections have a buffer, so that a
// peer that writes before it reads does not hang; unlike sockets they block durably, as
// testing/synctest asks for.
type memListener struct {
	addr  memAddr
	tcp   bool // connections say that they lead to an address of TCP, so that a client can come back to it
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

func newMemListener(addr string) *memListener {
	return &memListener{addr: memAddr(addr), queue: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := newMemPair(memAddr("client"), l.addr)
	client.tcp = l.tcp
	select {
	case l.queue <- server:
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: l.addr, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// memConn is one end of a connection in memory: it reads from one half and writes to the other.
type memConn struct {
	in, out       *memHalf
	local, remote memAddr
	tcp           bool
}

func newMemPair(client, server memAddr) (a, b *memConn) {
	up, down := newMemHalf(), newMemHalf()
	return &memConn{in: down, out: up, local: client, remote: server}, &memConn{in: up, out: down, local: server, remote: client}
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memConn) LocalAddr() net.Addr         { return c.local }

func (c *memConn) RemoteAddr() net.Addr {
	if c.tcp {
		if at, err := netip.ParseAddrPort(string(c.remote)); err == nil {
			return net.TCPAddrFromAddrPort(at)
		}
	}
	return c.remote
}

func (c *memConn) Close() error {
	c.out.end()
	c.in.drop(net.ErrClosed)
	return nil
}

// reset ends the connection as a TCP reset does: what is under way is lost.
func (c *memConn) reset() {
	c.out.drop(syscall.ECONNRESET)
	c.in.drop(syscall.ECONNRESET)
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.in.readBy.set(t)
	c.out.writeBy.set(t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.readBy.set(t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.writeBy.set(t)
	return nil
}

const memBuffer = 256 << 10

// memHalf is one direction.
type memHalf struct {
	mu       sync.Mutex
	moved    *sync.Cond
	buf      []byte
	readErr  error // after the buffer is empty
	writeErr error
	readBy   *deadline
	writeBy  *deadline
}

func newMemHalf() *memHalf {
	h := &memHalf{}
	h.moved = sync.NewCond(&h.mu)
	h.readBy, h.writeBy = &deadline{half: h}, &deadline{half: h}
	return h
}

func (h *memHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 {
		if h.readErr != nil {
			return 0, h.readErr
		}
		if h.readBy.passed {
			return 0, os.ErrDeadlineExceeded
		}
		if len(p) == 0 {
			return 0, nil
		}
		h.moved.Wait()
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	h.moved.Broadcast()
	return n, nil
}

func (h *memHalf) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for len(p) > 0 {
		if h.writeErr != nil {
			return written, h.writeErr
		}
		if h.writeBy.passed {
			return written, os.ErrDeadlineExceeded
		}
		room := memBuffer - len(h.buf)
		if room <= 0 {
			h.moved.Wait()
			continue
		}
		n := min(room, len(p))
		h.buf = append(h.buf, p[:n]...)
		p, written = p[n:], written+n
		h.moved.Broadcast()
	}
	return written, nil
}

// end closes the half for its writer: what is in the buffer can still be read.
func (h *memHalf) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil {
		h.readErr = io.EOF
	}
	if h.writeErr == nil {
		h.writeErr = syscall.EPIPE
	}
	h.stop()
}

// drop closes the half for both ends, and what is in the buffer is lost.
func (h *memHalf) drop(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf, h.readErr, h.writeErr = nil, err, err
	h.stop()
}

// stop is called with the half locked.
func (h *memHalf) stop() {
	h.readBy.stop()
	h.writeBy.stop()
	h.moved.Broadcast()
}

// deadline wakes those who wait on a half when its time has come. Its fields are guarded by the
// half.
type deadline struct {
	half   *memHalf
	timer  *time.Timer
	serial int
	passed bool
}

func (d *deadline) set(t time.Time) {
	d.half.mu.Lock()
	defer d.half.mu.Unlock()
	d.stop()
	d.passed = false
	if t.IsZero() || d.half.writeErr != nil {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		d.half.moved.Broadcast()
		return
	}
	serial := d.serial
	d.timer = time.AfterFunc(wait, func() {
		d.half.mu.Lock()
		defer d.half.mu.Unlock()
		if d.serial == serial {
			d.passed = true
			d.half.moved.Broadcast()
		}
	})
}

// stop is called with the half locked.
func (d *deadline) stop() {
	d.serial++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
