package wire

import (
	"context"
	"io"
	"sync"
	"time"
)

// headerTimer bounds the wait for response headers on transports that are not ours, as http.Transport.ResponseHeaderTimeout does on ours: it runs from the moment the
// request's body was handed over. A nil timer does nothing.
type headerTimer struct {
	after  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	done  bool
}

func (h *headerTimer) start() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.done && h.timer == nil {
		h.timer = time.AfterFunc(h.after, func() { h.cancel(ErrHeaderTimeout) })
	}
}

func (h *headerTimer) stop() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = true
	if h.timer != nil {
		h.timer.Stop()
	}
}

// body starts the timer when b is closed.
func (h *headerTimer) body(b io.ReadCloser) io.ReadCloser {
	if h == nil {
		return b
	}
	return &timedBody{b, h}
}

type timedBody struct {
	io.ReadCloser
	h *headerTimer
}

func (b *timedBody) Close() error {
	b.h.start()
	return b.ReadCloser.Close()
}

// cancelBody ends the attempt's context with the response's body.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
