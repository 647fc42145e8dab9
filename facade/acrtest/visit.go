package acrtest

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// visit is one request on its way through the emulator.
type visit struct {
	*line

	s     *Server
	conn  *conn
	reply *reply
	body  *requestBody
}

// enter writes a request into the ledger and puts the counters around its body and reply.
func (s *Server) enter(origin Origin, w http.ResponseWriter, r *http.Request) (*visit, *http.Request) {
	x := &visit{line: new(line), s: s, conn: connOf(r.Context())}
	header := r.Header.Clone()
	header.Del("Authorization")
	header.Del("Cookie")
	x.entry = Request{
		Time: s.now(), Origin: origin, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: header,
		Credential: credentialKind(r),
	}
	if x.conn != nil {
		x.entry.Connection = x.conn.id
	}
	x.reply = &reply{x: x, w: w, head: r.Method == http.MethodHead}
	// A shallow copy, so that net/http's own request keeps its own body.
	own := new(http.Request)
	*own = *r
	x.body = &requestBody{x: x, body: r.Body, ctx: r.Context()}
	own.Body = x.body
	s.ledger.add(x.line)
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
	x.s.ledger.mu.Lock()
	defer x.s.ledger.mu.Unlock()
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
	x.s.ledger.mu.Lock()
	defer x.s.ledger.mu.Unlock()
	return x.entry.Operation
}

// sniffForm looks into the form of a request that went astray, to see whether there is a credential in it.
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
