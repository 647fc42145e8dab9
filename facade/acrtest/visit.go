package acrtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// visit is one request on its way through the emulator.
type visit struct {
	*line

	ledger  *Ledger
	closing <-chan struct{} // closed when the emulator closes
	region  *region         // nil for an origin other than the login server
	conn    *conn
	reply   *reply
	body    *requestBody
}

// enter writes a request into the ledger and puts the counters around its body and reply.
func (f *front) enter(origin Origin, at *region, w http.ResponseWriter, r *http.Request) (*visit, *http.Request) {
	x := &visit{line: new(line), ledger: f.ledger, closing: f.closing, region: at, conn: connOf(r.Context())}
	header := r.Header.Clone()
	header.Del("Authorization")
	header.Del("Cookie")
	x.entry = Request{
		Time: f.clock.now(), Origin: origin, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: header,
		Credential: credentialKind(r),
	}
	if at != nil {
		x.entry.Replica = at.name
	}
	if x.conn != nil {
		x.entry.Connection = x.conn.id
	}
	x.reply = &reply{x: x, w: w, head: r.Method == http.MethodHead}
	// A shallow copy, so that net/http's own request keeps its own body.
	own := new(http.Request)
	*own = *r
	x.body = &requestBody{x: x, body: r.Body, ctx: r.Context(), length: r.ContentLength, expects: r.Header.Get("Expect") != ""}
	own.Body = x.body
	f.ledger.add(x.line)
	return x, own
}

// credentialKind looks at the header alone; what a form holds is seen when it is read.
func credentialKind(r *http.Request) CredentialKind {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case scheme == "" && r.Header.Get("Cookie") == "":
		return NoCredential
	case strings.EqualFold(scheme, "Bearer"):
		return BearerCredential
	case strings.EqualFold(scheme, "Basic"):
		return BasicCredential
	}
	return OtherCredential
}

func (x *visit) update(f func(e *Request)) {
	x.ledger.mu.Lock()
	defer x.ledger.mu.Unlock()
	f(&x.entry)
}

func (x *visit) setOp(op string) { x.update(func(e *Request) { e.Operation = op }) }

func (x *visit) setRoute(rt route) {
	x.update(func(e *Request) { e.Operation, e.Repository, e.Reference = rt.op, rt.name, rt.reference })
}

func (x *visit) setCaller(id string) { x.update(func(e *Request) { e.Caller = id }) }

func (x *visit) setScope(scope string) { x.update(func(e *Request) { e.Scope = scope }) }

// setForm notes the scope of a token request, and whether a credential was in it.
func (x *visit) setForm(form url.Values) {
	x.update(func(e *Request) {
		e.Scope = strings.Join(form["scope"], " ")
		for _, key := range []string{"access_token", "refresh_token", "password", "client_secret", "client_assertion"} {
			if form.Get(key) != "" {
				e.Credential = FormCredential
			}
		}
	})
}

// op is what faults match; it is set before any other goroutine sees the visit's script.
func (x *visit) op() string {
	x.ledger.mu.Lock()
	defer x.ledger.mu.Unlock()
	return x.entry.Operation
}

// sniffForm looks into the form of a request that went astray, to see whether there is a credential
// in it.
func (x *visit) sniffForm(r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return
	}
	if form, err := url.ParseQuery(string(body)); err == nil {
		x.setForm(form)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
}

// How long the rest of a request's body is read after the reply: in all, and at most without a
// byte.
const (
	lingerTime    = 30 * time.Second
	lingerTimeout = 5 * time.Second
)

// replyAhead lets the reply go out although the request's body has not been read, and reports
// whether its rest is to be read afterwards. A caller that waits for "100 Continue" sends none.
func (x *visit) replyAhead(w http.ResponseWriter) bool {
	if x.body.ended() || x.body.expects {
		return false
	}
	return http.NewResponseController(w).EnableFullDuplex() == nil // HTTP/2 needs neither
}

// linger reads what is left of the request's body after the reply, as the service's front end does,
// so that a caller who sends all of it first finds the reply and not a reset. The bytes do not
// count as read.
func (x *visit) linger(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	buffer := make([]byte, 32<<10)
	for began := time.Now(); time.Since(began) < lingerTime; {
		_ = rc.SetReadDeadline(time.Now().Add(lingerTimeout))
		if _, err := x.body.body.Read(buffer); err != nil {
			break
		}
	}
	_ = rc.SetReadDeadline(time.Time{})
}

// rawReply writes bytes past net/http, which does not come back.
func (x *visit) rawReply(w http.ResponseWriter, raw []byte) {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = buffered.Write(raw) // the caller may be gone
		_ = buffered.Flush()
		_ = c.Close()
	}
	x.reply.wrote, x.reply.broken = true, true
}

// reset ends the connection of the visit.
func (x *visit) reset() {
	if x.conn != nil {
		x.conn.reset()
	}
}

// hang waits until the caller or the emulator is gone.
func (x *visit) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-x.closing:
	}
}

// wait sleeps, and tells whether the emulator is still there after it.
func (x *visit) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.closing:
		return false
	}
}

func (x *visit) fault() string {
	x.ledger.mu.Lock()
	defer x.ledger.mu.Unlock()
	return x.entry.Fault
}

func (x *visit) isClosing() bool {
	select {
	case <-x.closing:
		return true
	default:
		return false
	}
}
