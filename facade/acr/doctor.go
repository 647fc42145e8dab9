package acr

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/internal/auth"
	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/version"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// DoctorOptions are the choices of Doctor. The zero value, or nil, looks at everything but the rights on a repository.
type DoctorOptions struct {
	// Repository whose pull and push rights are looked at. It need not exist. Empty: those steps are skipped.
	Repository string

	// Reference is a tag or digest of Repository, of a manifest or a blob, of which one byte is read, to see that storage can be reached.
	// Empty: that step is skipped.
	Reference string

	// TryPush starts an upload in Repository and cancels it; nothing stays. A missing push right is then a failure. False: the right is
	// read from the access token, nothing is sent, and a missing one is only a warning.
	TryPush bool

	// StepTimeout bounds each step. 0: 30 s.
	StepTimeout time.Duration
}

// Doctor finds out why a registry cannot be used, or that it can: it walks name resolution, connection, TLS, clocks, challenge, Entra
// token, exchange, access token, catalog, the rights on a repository, anonymous access and storage, and reports on each what was seen
// and what to do. Nothing in the registry is changed.
//
// It goes the road of every other call: the client's transport, policies and credential, no foreign origin. Each request is sent once, without
// retries; about a dozen in all. Tokens are obtained anew and forgotten; those of the client stay as they are. Connections that are
// idle are closed first, so that a new one is seen; with a Transport of the caller's an open one may be used again, and the report says so.
//
// What is wrong with the registry is in the report alone. Errors: ErrInvalidArgument for bad options, before anything is sent; the end of ctx, with the report as far as it got.
func (c *Client) Doctor(ctx context.Context, opts *DoctorOptions) (*DoctorReport, error) {
	d := &doctor{client: c, witness: &witness{next: c.transport}}
	if opts != nil {
		d.options = *opts
	}
	if d.options.StepTimeout <= 0 {
		d.options.StepTimeout = 30 * time.Second
	}
	if err := d.options.check(); err != nil {
		return nil, err
	}
	var err error
	if d.auth, err = c.auth.Examine(d.witness, d.options.StepTimeout); err != nil {
		return nil, opDoctor.fail(err)
	}
	d.report = &DoctorReport{
		Registry: c.Endpoint(), Credential: d.auth.Kind(), Time: time.Now().Round(0),
		Client: version.Product + " " + version.Module() + ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	ctx, end := azruntime.StartSpan(ctx, "acr.Doctor", c.azure.Tracer(), nil)
	defer func() { end(d.report.Err()) }()
	d.contact(ctx)
	d.signIn(ctx)
	d.rights(ctx)
	if ctx.Err() != nil {
		return d.report, opDoctor.fail(ctx.Err())
	}
	return d.report, nil
}

// check refuses what could not be asked for.
func (o *DoctorOptions) check() error {
	if o.Repository == "" {
		if o.Reference != "" || o.TryPush {
			return badArgument("Repository", "", "Reference and TryPush need one")
		}
		return nil
	}
	if err := checkName(o.Repository); err != nil {
		return err
	}
	if o.Reference == "" {
		return nil
	}
	_, _, err := parseReference(o.Reference)
	return err
}

// doctor is one walk.
type doctor struct {
	client  *Client
	options DoctorOptions
	auth    *auth.Authenticator // of the same identity, without tokens
	witness *witness
	report  *DoctorReport
	granted func(context.Context) (auth.Grant, error) // an access token for all rights on the repository, fetched once
}

// step takes one step, unless one that it stands on stands in the way. look fills in what it sees; an untouched status is DoctorOK.
func (d *doctor) step(ctx context.Context, name string, standsOn []string, look func(context.Context, *DoctorStep)) {
	s := DoctorStep{Name: name}
	for _, base := range standsOn {
		if b := d.report.Step(base); b.barredBy != "" && s.Status == "" {
			s.barredBy = b.barredBy
			s.skip("not looked at, because of " + b.barredBy)
		}
	}
	if s.Status == "" && ctx.Err() != nil {
		s.barredBy = "the end of the context"
		s.skip("not looked at, because of " + s.barredBy)
	}
	if s.Status == "" {
		limited, cancel := context.WithTimeout(ctx, d.options.StepTimeout)
		began := time.Now()
		look(limited, &s)
		if !s.timed && s.Status != DoctorSkipped {
			s.Duration = time.Since(began)
		}
		cancel()
	}
	d.add(s)
}

// add puts a step into the report, its texts in one line each and without secrets.
func (d *doctor) add(s DoctorStep) {
	if s.Status == "" {
		s.Status = DoctorOK
	}
	switch s.Status {
	case DoctorFailed:
		s.barredBy = s.Name
	case DoctorSkipped:
		s.Duration = 0
	default:
	}
	for _, text := range []*string{&s.Seen, &s.Advice, &s.CorrelationID} {
		*text = redact.OneLine(d.client.auth.Scrub(d.auth.Scrub(*text)))
	}
	d.report.Steps = append(d.report.Steps, s)
}

// skip says why the step is not taken.
func (s *DoctorStep) skip(why string) { s.Status, s.Seen = DoctorSkipped, why }

// warn says what to do about what was seen.
func (s *DoctorStep) warn(advice string) { s.Status, s.Advice = DoctorWarn, advice }

// fail takes an error apart: what was seen, what to do, the correlation id.
func (s *DoctorStep) fail(op *operation, err error) {
	s.Status, s.Err = DoctorFailed, op.fail(err)
	signIn, isSignIn := errors.AsType[*auth.Error](err)
	refusal, isRefusal := errors.AsType[*Error](s.Err)
	switch {
	case isRefusal:
		s.Seen, s.Advice, s.CorrelationID = refusal.summary(), refusal.advice, refusal.CorrelationID
	case isSignIn:
		s.Seen, s.CorrelationID = signInSummary(signIn), signIn.CorrelationID
	default:
		if call, ok := errors.AsType[*opError](err); ok {
			err = call.err
		}
		s.Seen = err.Error()
	}
	s.Seen = strings.ReplaceAll(s.Seen, context.DeadlineExceeded.Error(), "no answer in time") // it is a step's, not the caller's
	if isSignIn && signIn.Advice != "" {
		s.Advice = signIn.Advice
	}
	s.Advice = cmp.Or(s.Advice, adviseAnyway(s.Err))
}

// adviseAnyway is for errors whose cause nobody knows.
func adviseAnyway(err error) string {
	refusal, isRefusal := errors.AsType[*Error](err)
	_, network := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time: look for a firewall or proxy on the way that drops packets"
	case wire.IsUntrusted(err, wire.BadRedirect), wire.IsUntrusted(err, wire.ForeignOrigin):
		return "what answers sends readers elsewhere, where this client does not go: check the endpoint, and look for a proxy or portal in between"
	case isRefusal && (refusal.StatusCode == http.StatusTooManyRequests || refusal.StatusCode >= http.StatusInternalServerError):
		return "try again in a while; where it stays, give the correlation id to Azure support"
	case network && !errors.Is(err, context.Canceled):
		return "the connection broke off: look for a firewall or proxy in between"
	}
	return ""
}

// summary is Error without what a report shows elsewhere.
func (e *Error) summary() string {
	text := e.Operation + ": " + strconv.Itoa(e.StatusCode) + " " + cmp.Or(string(e.Code), http.StatusText(e.StatusCode))
	for _, cause := range e.causes {
		if a, ok := errors.AsType[*auth.Error](cause); ok && a.Cause != nil {
			return joined(text, a.Cause.Error(), a.Message)
		}
	}
	return joined(text, e.Message)
}

// signInSummary is the same of a sign-in that got no answer.
func signInSummary(e *auth.Error) string {
	var cause, beneath string
	if e.Cause != nil {
		cause = e.Cause.Error()
	}
	if e.Err != nil && e.Message == "" {
		beneath = e.Err.Error()
	}
	return joined(e.Operation, cause, e.Message, beneath)
}

// ask sends one request of an operation, once, signed by the grant or (nil) not at all. seen gets the reply that op.check let pass; its body
// is closed behind it.
func (d *doctor) ask(ctx context.Context, op *operation, grant *auth.Grant, scopes []string, send func(context.Context, gen.RequestEditorFn) (*http.Response, error), seen func(*http.Response) error) error {
	ctx = policy.WithRetryOptions(call.WithKind(ctx, op.call), policy.RetryOptions{MaxRetries: -1})
	answer, err := send(ctx, func(_ context.Context, r *http.Request) error {
		if grant != nil {
			grant.Sign(r)
		}
		return nil
	})
	resp, err := op.check(answer, err)
	if err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok && answer != nil {
			refusal.explain(d.auth.Explain(answer, refusal.body, scopes...))
			refusal.body = nil
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	err = seen(resp)
	wire.Drain(resp)
	return err
}

// correlate keeps the id of an answer.
func (s *DoctorStep) correlate(resp *http.Response) error {
	s.CorrelationID = correlationOf(resp)
	return nil
}

// correlationOf is the id of an answer.
func correlationOf(resp *http.Response) string {
	return redact.OneLine(resp.Header.Get("X-Ms-Correlation-Request-Id"))
}

// witness sees the token requests of the walk.
type witness struct {
	next policy.Transporter
	mu   sync.Mutex
	last string // correlation id of the last answer
}

// Do implements policy.Transporter.
func (w *witness) Do(r *http.Request) (*http.Response, error) {
	resp, err := w.next.Do(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = ""
	if err == nil {
		w.last = correlationOf(resp)
	}
	return resp, err
}

// correlation is the id of the last answer.
func (w *witness) correlation() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}
