package retry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

const (
	defaultRetries    = 4 // five attempts
	defaultDelay      = 250 * time.Millisecond
	defaultMaxDelay   = 30 * time.Second
	defaultRetryAfter = 60 * time.Second
	// maxLostIdle is how many idle connections that turn out to be closed a call tries without spending retries. A
	// transport of our own hands out a new connection after the first.
	maxLostIdle = 3
	// hastyWait is how long a request waits at the server's wish if there is another endpoint to ask.
	hastyWait = time.Second
)

// New returns a retry policy on a budget that other policies may spend from too, with a gate before each try (nil:
// none). It comes first of PipelineOptions.PerRetry, with ClientOptions.Retry {MaxRetries: -1} and NewGuard in the same
// pipeline.
//
// o is the user's; zero fields mean 4 retries, 250 ms doubling up to 30 s with full jitter, a Retry-After up to 60 s, and
// the status codes 408, 429, 500, 502, 503 and 504. A MaxRetryDelay bounds both waits. The policy returns at once a
// response that asks for a longer wait, or for one beyond the context's deadline. It sends PATCH and PUT of a
// [call.Upload] once. A request whose response did not begin in time is sent once more if it only reads, and otherwise
// not. A reused connection that breaks before the first byte of a response costs no retry. Every wait ends with the
// context. A TryTimeout includes reading the body. A hasty request whose endpoint fails is tried twice, and does not wait long for
// the second time; a refusal such as 429 says nothing of the endpoint, and is retried like that of any other request.
func New(o policy.RetryOptions, b *Budget, gate Gate) policy.Policy {
	return &retryPolicy{options: o, budget: b, gate: gate}
}

// Gate is called before each try, and may wait: the time limit of the try begins afterwards. The function that it returns is
// called with the outcome of the try. An error ends the request.
type Gate func(r *http.Request) (after func(*http.Response, error), err error)

type retryPolicy struct {
	options policy.RetryOptions
	budget  *Budget
	gate    Gate
}

// rules are RetryOptions with the defaults filled in.
type rules struct {
	policy.RetryOptions
	retryAfter time.Duration
}

func rulesOf(o policy.RetryOptions) rules {
	r := rules{o, defaultRetryAfter}
	switch {
	case o.MaxRetries == 0:
		r.MaxRetries = defaultRetries
	case o.MaxRetries < 0:
		r.MaxRetries = 0
	}
	switch {
	case o.RetryDelay == 0:
		r.RetryDelay = defaultDelay
	case o.RetryDelay < 0:
		r.RetryDelay = 0
	}
	switch {
	case o.MaxRetryDelay == 0:
		r.MaxRetryDelay = defaultMaxDelay
	case o.MaxRetryDelay < 0:
		r.MaxRetryDelay, r.retryAfter = 1<<63-1, 1<<63-1
	default:
		r.retryAfter = o.MaxRetryDelay
	}
	if o.StatusCodes == nil {
		r.StatusCodes = []int{408, 429, 500, 502, 503, 504}
	}
	return r
}

// rules returns how the request is retried, and whether it is in a hurry.
func (p *retryPolicy) rules(req *policy.Request) (r rules, hasty bool) {
	o := p.options
	var override retryOverride
	if req.OperationValue(&override) {
		o = override.options
	}
	r = rulesOf(o)
	if carriesContent(req.Raw()) {
		r.MaxRetries = 0
	}
	return r, call.Of(req.Raw().Context()).Hasty
}

func (p *retryPolicy) Do(req *policy.Request) (*http.Response, error) {
	r, hasty := p.rules(req)
	ctx := req.Raw().Context()
	sent, pause := 0, time.Duration(0)
	for try, lost, silent := int32(1), 0, 0; ; try++ {
		if err := req.RewindBody(); err != nil {
			return nil, err
		}
		sent++
		resp, err := p.gated(req, sent, pause, r.TryTimeout)
		wants := ctx.Err() == nil && r.retryable(resp, err)
		if !wants && try == 1 && err == nil {
			p.budget.earn()
		}
		if wants && lost < maxLostIdle && r.MaxRetries > 0 && transport.IsLostIdle(err) {
			lost, try, pause = lost+1, try-1, 0
			report(req.Raw(), resp, err, 0)
			observe.Repeated(ctx)
			continue // at once, and for nothing: it says nothing of the server
		}
		if errors.Is(err, transport.ErrHeaderTimeout) {
			if silent++; hasty {
				return nil, err
			}
		}
		moves := hasty && Failed(resp, err) // to another endpoint, if it does not get better at once
		if !wants || try > r.MaxRetries || moves && try > 1 || timedOut(req.Raw(), silent, err) {
			return resp, err
		}
		asked := false
		if pause = 0; resp != nil {
			pause, asked = wire.RetryAfter(resp.Header, time.Now())
		}
		switch {
		case asked && (pause > r.retryAfter || endsBefore(ctx, pause) || moves && pause > hastyWait):
			return resp, err // an answer now, rather than the context's end later
		case asked && pause > 0:
			pause += spread(pause) // those who were told the same do not all come back at once
		case !p.budget.spend():
			return resp, err
		default:
			pause = wait.Backoff(int(try), r.RetryDelay, r.MaxRetryDelay)
		}
		report(req.Raw(), resp, err, pause)
		wire.Drain(resp)
		if err := wait.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		observe.Repeated(ctx)
	}
}

// Failed reports whether an endpoint failed: it sent no response, or a status code from 500 on.
func Failed(resp *http.Response, err error) bool {
	return err != nil || resp.StatusCode >= http.StatusInternalServerError
}

// timedOut reports whether a request whose response did not begin in time is not sent again: one that may change
// something never, for the registry may still be at it, and others not after the second time.
func timedOut(r *http.Request, silent int, err error) bool {
	if !errors.Is(err, transport.ErrHeaderTimeout) {
		return false
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead || call.Of(r.Context()).Kind == call.Token
	return !reads || silent > 1
}

// endsBefore says whether the context ends within the pause, as far as it knows.
func endsBefore(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= pause
}

// spread is up to a tenth of the pause, and up to a second.
func spread(pause time.Duration) time.Duration {
	if most := min(pause/10, time.Second); most > 0 {
		return rand.N(most)
	}
	return 0
}

// report writes a log record that a request is sent again after a pause.
func report(r *http.Request, resp *http.Response, err error, pause time.Duration) {
	observe.Retrying(r.Context(), redact.Outcome(resp, err), pause, slog.String("method", r.Method), slog.String("url", redact.URL(r.URL)))
}

// longWait is how long a wait for the gate has to be to be reported.
const longWait = time.Second

// gated is one try behind the gate, sent after the pause.
func (p *retryPolicy) gated(req *policy.Request, try int, pause, timeout time.Duration) (*http.Response, error) {
	if p.gate == nil {
		return attempt(req, try, pause, timeout)
	}
	began := time.Now()
	after, err := p.gate(req.Raw())
	if err != nil {
		return nil, &gateError{err}
	}
	waited := time.Since(began)
	if waited >= longWait {
		observe.Info(req.Raw().Context(), "request delayed by the Governor", slog.String("method", req.Raw().Method),
			slog.String("url", redact.URL(req.Raw().URL)), slog.Duration("pause", waited))
	}
	var resp *http.Response
	err = errPanicked
	defer func() { after(resp, err) }() // also if the caller's code panics: others may wait for this turn to end
	resp, err = attempt(req, try, pause+waited, timeout)
	return resp, err
}

// errPanicked is the outcome of a try in which the caller's code panicked.
var errPanicked = errors.New("retry: a policy or transport panicked")

// gateError is an error of the gate: trying again would not help.
type gateError struct{ error }

// Unwrap returns the gate's error.
func (e *gateError) Unwrap() error { return e.error }

// NonRetriable marks the error as one that ends the request.
func (*gateError) NonRetriable() {}

// attempt is one try, within its own time when it has one.
func attempt(req *policy.Request, try int, waited, timeout time.Duration) (*http.Response, error) {
	ctx := call.With(req.Raw().Context(), func(c *call.Call) { c.Try, c.Waited = try, waited })
	if timeout <= 0 {
		return req.Clone(ctx).Next()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	resp, err := req.Clone(ctx).Next()
	if err != nil || resp.Body == nil {
		cancel()
		return resp, err
	}
	resp.Body = &timeoutBody{resp.Body, cancel}
	return resp, nil
}

type timeoutBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *timeoutBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// retryable says whether another try could end better. The context's end has been seen to.
func (r rules) retryable(resp *http.Response, err error) bool {
	var never interface{ NonRetriable() }
	if errors.As(err, &never) {
		return false
	}
	if r.ShouldRetry != nil {
		return r.ShouldRetry(resp, err)
	}
	if err != nil {
		return !permanent(err)
	}
	return slices.Contains(r.StatusCodes, resp.StatusCode)
}

// permanent says whether the error is about who is there rather than how it went.
func permanent(err error) bool {
	var (
		dns      *net.DNSError
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// carriesContent says whether the request carries bytes of a blob, or completes an upload. Whether such a request was
// applied is for the upload to find out: it asks before anything is sent again.
func carriesContent(r *http.Request) bool {
	if call.Of(r.Context()).Kind != call.Upload {
		return false
	}
	return r.Method == http.MethodPatch || r.Method == http.MethodPut || r.Body != nil && r.Body != http.NoBody
}
