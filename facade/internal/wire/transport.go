package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// DefaultHeaderTimeout is how long response headers may take once a request is sent.
const DefaultHeaderTimeout = 60 * time.Second

// TransportOptions are the choices of NewTransport; zero values are usable.
type TransportOptions struct {
	// StrictStorage allows blob redirects to StorageSuffixes and MoreStorage only. Default: any https host.
	StrictStorage bool
	// MoreStorage are further suffixes (".blob.example.net") that StrictStorage allows.
	MoreStorage []string
	// HeaderTimeout bounds the wait for response headers once a request is sent. Default 60 s.
	HeaderTimeout time.Duration
}

// Transport is the innermost policy.Transporter of a registry's pipeline. It sends requests to the login origin and nowhere else, without cookies; follows redirects by
// [Decide] alone; forks request bodies; cuts the bodies of errors at 64 KiB. Safe for concurrent use.
type Transport struct {
	login    Origin
	loopback bool
	strict   []string
	registry sender
	storage  sender
	own      []*http.Transport // made here, to be closed here
	base     *http.Transport   // registry's, nil where it is of another kind
	timeout  time.Duration     // the caller's client's
}

var _ policy.Transporter = (*Transport)(nil)

// NewTransport returns the transport of the registry at login.
//
// base nil: connections of its own, HTTP/1.1, at most 64 per host, proxies from the environment. An *http.Client is copied without its cookie jar and redirect rule;
// its RoundTripper serves storage too, in an HTTP/1.1 copy where it is an *http.Transport, so that parallel ranges get connections of their own. Any
// other Transporter is used as it is, and a redirect it follows by itself is an error.
func NewTransport(login *url.URL, base policy.Transporter, opts *TransportOptions) *Transport {
	var o TransportOptions
	if opts != nil {
		o = *opts
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = DefaultHeaderTimeout
	}
	t := &Transport{login: OriginOf(login)}
	t.loopback = loopbackHost(t.login.Host)
	if o.StrictStorage {
		t.strict = append(StorageSuffixes(), o.MoreStorage...)
	}
	if c, ok := base.(*http.Client); ok && c == nil {
		base = nil
	}
	switch base := base.(type) {
	case nil:
		registry, storage := newRegistryTransport(o.HeaderTimeout), newStorageTransport(o.HeaderTimeout)
		guardDial(storage, t.loopback)
		t.own, t.base = []*http.Transport{registry, storage}, registry
		t.registry = sender{do: bare(registry, 0).Do}
		t.storage = sender{do: bare(storage, 0).Do, idle: storage.CloseIdleConnections}
	case *http.Client:
		rt := base.Transport
		if rt == nil {
			rt = http.DefaultTransport
		}
		t.registry = sender{do: bare(rt, base.Timeout).Do, headerTimeout: o.HeaderTimeout}
		if tr, ok := rt.(*http.Transport); ok {
			storage := storageClone(tr)
			guardDial(storage, t.loopback)
			t.own, t.base, t.timeout = []*http.Transport{storage}, tr, base.Timeout
			rt = storage
		}
		client := bare(rt, base.Timeout)
		t.storage = sender{do: client.Do, headerTimeout: o.HeaderTimeout, idle: client.CloseIdleConnections}
	default:
		t.registry = sender{do: base.Do, headerTimeout: o.HeaderTimeout}
		t.storage = t.registry
	}
	return t
}

// bare is an http.Client without jar, and without a redirect rule: a 3xx comes back as it is.
func bare(rt http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: rt,
		Timeout:   timeout,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.Body != nil {
				_ = r.Body.Close() // net/http has forked it for the redirect, and forgets it
			}
			return http.ErrUseLastResponse
		},
	}
}

// Login returns the origin the transport is bound to.
func (t *Transport) Login() Origin { return t.login }

// CloseIdleConnections closes the idle connections of the transport's own making; those of a caller's client are the caller's.
func (t *Transport) CloseIdleConnections() {
	for _, tr := range t.own {
		tr.CloseIdleConnections()
	}
}

// Do sends req to the login origin. A redirect is followed, handed out (CallBlob) or refused as the context's Call says. The caller closes the response's body.
// Errors: *Refusal, *url.Error (without query).
func (t *Transport) Do(req *http.Request) (*http.Response, error) {
	call := CallOf(req.Context())
	if _, err := Decide(Move{Call: call, Step: StepSend, Method: req.Method, Login: t.login, To: req.URL}); err != nil {
		closeBody(req)
		return nil, err
	}
	if req.Host != "" && OriginOf(&url.URL{Scheme: req.URL.Scheme, Host: req.Host}) != t.login {
		closeBody(req)
		return nil, refuse(ErrForeignOrigin, "Host header "+req.Host)
	}
	via := t.senderFor(req.Context())
	for hops := 0; ; hops++ {
		resp, err := via.send(req)
		if err != nil {
			return nil, err
		}
		if !IsRedirect(resp.StatusCode) || call == CallBlob && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
			return resp, nil
		}
		next, err := redirectTarget(resp)
		if err == nil {
			_, err = Decide(Move{Call: call, Step: StepRedirect, Method: req.Method, Login: t.login, Hops: hops, To: next})
		}
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		Drain(resp)
		req = req.Clone(req.Context())
		req.URL, req.Host = next, ""
	}
}

// IsRedirect says whether the status sends a request elsewhere: 301, 302, 303, 307, 308.
func IsRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirectTarget returns the absolute Location of a redirect.
func redirectTarget(resp *http.Response) (*url.URL, error) {
	v := resp.Header.Values("Location")
	if len(v) != 1 {
		return nil, refuse(ErrRedirect, "a redirect needs one Location")
	}
	u, ok := resolve(resp.Request.URL, v[0])
	if !ok {
		return nil, refuse(ErrRedirect, "its Location is not a URL")
	}
	return u, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// sender is one set of connections.
type sender struct {
	do            func(*http.Request) (*http.Response, error)
	headerTimeout time.Duration // 0: the transport below sees to it
	idle          func()        // closes idle connections; nil: nobody can
}

// send makes one attempt of one request.
func (s sender) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := req.Context(), context.CancelCauseFunc(nil)
	var timer *headerTimer
	if s.headerTimeout > 0 {
		ctx, cancel = context.WithCancelCause(ctx)
		timer = &headerTimer{after: s.headerTimeout, cancel: cancel}
	}
	r := req.Clone(ctx)
	// Cookies and a Referer come from no one here; a policy of the caller's that adds them would send them to whatever answers.
	r.Header.Del("Cookie")
	r.Header.Del("Referer")
	attach(r, req.Body, timer)

	resp, err := s.do(r)
	timer.stop()
	if err == nil && resp == nil {
		err = errors.New("wire: the transport returned neither a response nor an error")
	}
	if err != nil {
		if cancel != nil {
			if errors.Is(context.Cause(ctx), ErrHeaderTimeout) && req.Context().Err() == nil {
				err = ErrHeaderTimeout
			}
			cancel(nil)
		}
		return nil, cleanError(req, err)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if cancel != nil {
		resp.Body = &cancelBody{resp.Body, cancel}
	}
	if resp.Request != nil && resp.Request.Response != nil { // set by net/http when a redirect led to the request
		_ = resp.Body.Close()
		return nil, refuse(ErrRedirect, "the caller's transport followed one by itself")
	}
	resp.Request = r
	dropEchoes(resp.Header, r.Header.Get("Authorization"))
	if headerSize(resp.Header) > maxHeader {
		_ = resp.Body.Close()
		return nil, refuse(ErrTooLarge, "response header")
	}
	if resp.StatusCode >= 400 {
		resp.Body = &cutBody{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
		if resp.ContentLength > maxErrorBody {
			resp.ContentLength = -1
		}
	}
	return resp, nil
}

// attach gives the attempt a body of its own.
func attach(r *http.Request, body io.ReadCloser, timer *headerTimer) {
	if b, ok := body.(*Body); ok {
		r.ContentLength = b.n
		if b.n == 0 {
			r.Body, r.GetBody = http.NoBody, nil
		} else {
			r.Body = timer.body(b.fork())
			// The transport asks for the body again when a connection dies before a byte was written, or on an HTTP/2 GOAWAY.
			r.GetBody = func() (io.ReadCloser, error) { return timer.body(b.fork()), nil }
		}
	} else if body != nil && body != http.NoBody {
		r.Body = timer.body(body)
		r.GetBody = nil // azcore's rewinds the body that is being sent
	}
	if r.Body == nil || r.Body == http.NoBody {
		timer.start()
	}
}

// cleanError takes the query out of the URL in an error of net/http: it may be a signature.
func cleanError(req *http.Request, err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok { // of the dial hook
		return refusal
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if strings.Contains(err.Error(), "server response headers exceeded") { // net/http has no name for it
		return refuse(ErrTooLarge, "response header")
	}
	op := "Get"
	if req.Method != "" {
		op = req.Method[:1] + strings.ToLower(req.Method[1:])
	}
	return &url.Error{Op: op, URL: RedactURL(req.URL), Err: err}
}
