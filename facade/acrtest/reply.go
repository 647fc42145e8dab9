package acrtest

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// reply counts a reply, writes its status into the ledger before the caller can see it, and does to
// it what the script says. A nil plan is the usual case.
type reply struct {
	x    *visit
	w    http.ResponseWriter
	plan *plan
	head bool

	wrote   bool
	broken  bool // nothing more goes out
	stalled bool // the connection stays open without a reply
	dropped bool // the handler talks to nobody
	lingers bool // the reply goes out before the request's body has been read
	cut     bool // the body ends here
	pos     int64
	limit   int64 // where the length that the script claims ends the body; -1 is nowhere
}

func (w *reply) Header() http.Header { return w.w.Header() }

func (w *reply) Flush() {
	if w.dropped || w.broken {
		return
	}
	_ = http.NewResponseController(w.w).Flush() // both of net/http's writers can
}

// Unwrap lets http.ResponseController reach the connection.
func (w *reply) Unwrap() http.ResponseWriter { return w.w }

func (w *reply) WriteHeader(status int) {
	if status < 200 {
		w.w.WriteHeader(status)
		return
	}
	if w.wrote || w.broken {
		return
	}
	w.wrote = true
	if p := w.plan; p != nil {
		status = w.changeHead(p, status)
		if w.dropped || w.broken {
			return
		}
	}
	h := w.w.Header()
	if status == http.StatusTemporaryRedirect {
		// The service gives no X-Ms-Request-Id along with the link to storage.
		h.Del("X-Ms-Request-Id")
		h.Del("X-Ms-Client-Request-Id")
	}
	w.x.update(func(e *Request) { e.Status = status })
	w.lingers = w.x.replyAhead(w.w)
	w.w.WriteHeader(status)
	if w.plan != nil && (w.plan.truncateClean || w.plan.endless) {
		w.Flush() // before net/http sees that the body is short, and gives it a length
	}
}

// changeHead applies the script to the status and header, and gives the status to send.
func (w *reply) changeHead(p *plan, status int) int {
	if p.dropReply {
		w.dropped = true
		return status
	}
	if p.delayReply > 0 && !w.x.wait(p.delayReply) {
		w.broken = true
		return status
	}
	if p.replyStatus != 0 {
		status = p.replyStatus
	}
	h := w.w.Header()
	if p.replaceBody {
		h["Content-Length"] = []string{strconv.Itoa(len(p.replyBody))}
	}
	for _, edit := range p.edits {
		edit(h)
	}
	if p.truncateClean || p.endless {
		h.Del("Content-Length")
	}
	w.limit = -1
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		w.limit = n
	}
	if p.altered {
		h.Set(FaultHeader, w.x.fault())
	}
	return status
}

func (w *reply) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.broken {
		return 0, errGone
	}
	if w.dropped {
		return len(b), nil
	}
	if w.head {
		return w.w.Write(b)
	}
	if w.plan == nil {
		w.x.out.Add(int64(len(b)))
		return w.w.Write(b)
	}
	if w.plan.replaceBody {
		return len(b), nil
	}
	return w.send(b)
}

var errGone = errors.New("acrtest: a fault ended the connection")

// send writes a part of the body as the script has it. The handler is not told of what it does not
// need to know.
func (w *reply) send(b []byte) (int, error) {
	p, whole := w.plan, len(b)
	for len(b) > 0 && !w.cut {
		part := b
		if p.rate > 0 {
			part = part[:min(len(part), max(1, int(p.rate/20)))]
		}
		for _, at := range []int64{p.resetAt, p.truncateAt, p.stallAt, w.limit} {
			if at >= 0 {
				part = part[:min(int64(len(part)), max(0, at-w.pos))]
			}
		}
		if len(part) == 0 {
			return w.endAt(whole)
		}
		if i := p.flipAt - w.pos; p.flip && i >= 0 && i < int64(len(part)) {
			part = append([]byte{}, part...)
			part[i] ^= 0x01
		}
		w.pos += int64(len(part))
		w.x.out.Add(int64(len(part)))
		if _, err := w.w.Write(part); err != nil {
			return 0, err
		}
		if p.rate > 0 {
			w.Flush()
			if !w.x.wait(time.Duration(float64(len(part)) / float64(p.rate) * float64(time.Second))) {
				w.broken = true
				return 0, errGone
			}
		}
		b = b[len(part):]
	}
	return whole, nil
}

// endAt does what the script has for the byte the reply has come to.
func (w *reply) endAt(whole int) (int, error) {
	p := w.plan
	w.Flush()
	switch {
	case p.resetAt >= 0 && w.pos >= p.resetAt:
		w.broken = true
		w.x.reset()
		return 0, errGone
	case p.stallAt >= 0 && w.pos >= p.stallAt:
		w.x.hang(w.x.body.ctx)
		w.broken = true
		return 0, errGone
	}
	w.cut = true
	return whole, nil
}

// finish is called when the handler is done. It does not return where the reply is not to end as a
// reply does.
func (w *reply) finish() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	p := w.plan
	if w.broken || p == nil {
		if w.stalled {
			w.x.hang(w.x.body.ctx)
		}
		if w.broken {
			panic(http.ErrAbortHandler)
		}
		w.linger()
		return
	}
	if w.dropped {
		w.x.reset()
		panic(http.ErrAbortHandler)
	}
	if p.replaceBody && !w.head {
		p.replaceBody = false
		_, _ = w.send(p.replyBody) // the caller may be gone
	}
	if p.endless && !w.head {
		w.repeat()
	}
	// A fault at a byte the reply never came to happens at its end, so that no script is without
	// effect.
	if p.resetAt >= 0 || p.stallAt >= 0 {
		_, _ = w.endAt(0)
	}
	if w.broken || (p.truncateAt >= 0 && !p.truncateClean) {
		w.Flush()
		panic(http.ErrAbortHandler)
	}
	if p.closeIdle && w.x.conn != nil {
		w.x.conn.closeIdle.Store(true) // once net/http has sent the last of the reply
	}
	w.linger()
}

func (w *reply) linger() {
	if w.lingers {
		w.x.linger(w.w)
	}
}

// repeat sends bytes until the caller has had enough.
func (w *reply) repeat() {
	filler := make([]byte, 32<<10)
	for i := range filler {
		filler[i] = ' '
	}
	for !w.cut && !w.broken && !w.x.isClosing() {
		if _, err := w.send(filler); err != nil {
			w.broken = true
		}
	}
}
