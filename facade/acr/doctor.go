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
	"github.com/acrkit/acrkit/facade/internal/wait"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// DoctorOptions are the options of [Client.Doctor]. The zero value (or nil) checks everything
// except the rights on a repository and access to storage.
type DoctorOptions struct {
	// Repository is the repository whose pull and push rights are checked. It need not exist.
	// Default: these steps are skipped.
	Repository string

	// Reference is a tag or digest of a manifest, or the digest of a blob, in Repository. Doctor
	// reads one byte of a blob, to check that storage can be reached. It requires Repository.
	// Default: this step is skipped.
	Reference string

	// TryPush starts an upload in Repository and cancels it, so that a missing push right is a
	// failure. It requires Repository. Default: Doctor reads the right from the access token,
	// starts no upload, and only warns if the right is missing.
	TryPush bool

	// StepTimeout is the time limit of each step. Default: 30 s.
	StepTimeout time.Duration
}

// Doctor finds out why a registry cannot be used, or confirms that it can. It checks name
// resolution, connection, TLS, clock, challenge, Entra token, exchange, access token, catalog, the
// rights on a repository, anonymous access and storage. It reports for each what was found and what
// to do. It changes nothing in the registry, except that DoctorOptions.TryPush starts an upload and
// cancels it.
//
// It uses the client's own transport, policies and credential, and contacts no other host than a
// normal call would. It sends about a dozen requests, each once and without retries. It obtains its
// own tokens and discards them. Idle connections are closed first, so that a new one is observed; a
// Transport of the caller may still reuse one, and the report says so.
//
// Problems that it finds are in the report, not in the returned error.
//
// Errors:
//   - [ErrInvalidArgument] if an option is invalid
//   - the error of ctx if it ends; the report is then returned too, with the steps done so far
func (c *Client) Doctor(ctx context.Context, opts *DoctorOptions) (*DoctorReport, error) {
	if err := cmp.Or(c.bad(), checkContext(ctx)); err != nil {
		return nil, err
	}
	d := &doctor{client: c, options: given(opts), witness: &witness{next: c.transport}}
	if d.options.StepTimeout <= 0 {
		d.options.StepTimeout = 30 * time.Second
	}
	if err := d.options.check(c); err != nil {
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
	ctx, end := azruntime.StartSpan(staying(ctx), "acr.Doctor", c.tracer, nil)
	defer func() { end(d.report.Err()) }()
	d.network(ctx) // each of the three is in the file of its name
	d.signIn(ctx)
	d.rights(ctx)
	if ctx.Err() != nil {
		return d.report, opDoctor.fail(wait.Cause(ctx))
	}
	return d.report, nil
}

// check checks the options.
func (o *DoctorOptions) check(c *Client) error {
	if o.Repository == "" {
		if o.Reference != "" || o.TryPush {
			return badArgument("Repository", "", "Reference and TryPush need one")
		}
		return nil
	}
	if err := c.checkName(o.Repository); err != nil {
		return err
	}
	if o.Reference == "" {
		return nil
	}
	_, _, err := parseReference(o.Reference)
	return err
}

// doctor is one run of Doctor.
type doctor struct {
	client  *Client
	options DoctorOptions
	auth    *auth.Authenticator // with the same identity, without tokens
	witness *witness
	report  *DoctorReport
	granted func(context.Context) (auth.Grant, error) // an access token for all rights on the repository, fetched once
}

// step runs one step, unless a step that it depends on failed. look fills in what it finds; a
// status that it does not set is DoctorOK.
func (d *doctor) step(ctx context.Context, name string, standsOn []string, look func(context.Context, *DoctorStep)) {
	s := DoctorStep{Name: name}
	for _, base := range standsOn {
		if b := d.report.Step(base); b.barredBy != "" && s.Status == "" {
			s.barredBy = b.barredBy
			s.skip("skipped because of " + b.barredBy)
		}
	}
	if s.Status == "" && ctx.Err() != nil {
		s.barredBy = "the end of the context"
		s.skip("skipped because of " + s.barredBy)
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

// add adds a step to the report. Its texts become one line each, without secrets.
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
		*text = redact.OneLine(d.scrub(*text))
	}
	d.report.Steps = append(d.report.Steps, s)
}

// scrub takes the secrets of the client, and those of this run, out of a text.
func (d *doctor) scrub(text string) string { return d.client.auth.Scrub(d.auth.Scrub(text)) }

// skip records why the step is skipped.
func (s *DoctorStep) skip(why string) { s.Status, s.Seen = DoctorSkipped, why }

// warn records what to do about a finding.
func (s *DoctorStep) warn(advice string) { s.Status, s.Advice = DoctorWarn, advice }

// fail splits an error into what was found, what to do, and the correlation id.
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
	s.Seen = strings.ReplaceAll(s.Seen, context.DeadlineExceeded.Error(), "no response in time") // it is a step's, not the caller's
	if isSignIn && signIn.Advice != "" {
		s.Advice = signIn.Advice
	}
	s.Advice = cmp.Or(s.Advice, adviseAnyway(s.Err))
}

// adviseAnyway returns advice for errors whose cause is not known.
func adviseAnyway(err error) string {
	refusal, isRefusal := errors.AsType[*Error](err)
	_, network := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no response in time: look for a firewall or proxy that drops packets"
	case wire.IsUntrusted(err, wire.BadRedirect), wire.IsUntrusted(err, wire.ForeignOrigin):
		return "the server redirects to a host that this client does not trust: check the endpoint, and look for a proxy or portal in between"
	case isRefusal && (refusal.StatusCode == http.StatusTooManyRequests || refusal.StatusCode >= http.StatusInternalServerError):
		return auth.Later(refusal.CorrelationID)
	case network && !errors.Is(err, context.Canceled):
		return "the connection was interrupted: look for a firewall or proxy in between"
	}
	return ""
}

// summary returns the text of Error without the parts that a report shows elsewhere.
func (e *Error) summary() string {
	text := e.Operation + ": " + strconv.Itoa(e.StatusCode) + " " + cmp.Or(string(e.Code), http.StatusText(e.StatusCode))
	for _, cause := range e.causes {
		if a, ok := errors.AsType[*auth.Error](cause); ok && a.Cause != nil {
			return joined(text, a.Cause.Error(), a.Message)
		}
	}
	return joined(text, e.Message)
}

// signInSummary returns the same for a sign-in that got no response.
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

// ask sends one request of an operation, once, signed by the grant, or not signed if grant is nil.
// seen gets the response if op.check accepts it; its body is closed afterwards.
func (d *doctor) ask(ctx context.Context, op *operation, grant *auth.Grant, scopes []string, send func(context.Context, gen.RequestEditorFn) (*http.Response, error), seen func(*http.Response) error) error {
	ctx = policy.WithRetryOptions(call.With(ctx, func(k *call.Call) { k.Kind, k.Scrub = op.call, d.scrub }), policy.RetryOptions{MaxRetries: -1})
	answer, failure := send(ctx, func(_ context.Context, r *http.Request) error {
		if grant != nil {
			grant.Sign(r)
		}
		return nil
	})
	resp, err := op.check(answer, failure)
	if err != nil {
		if failure == nil {
			explain(err, answer, d.auth, scopes)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	err = seen(resp)
	wire.Drain(resp)
	return err
}

// correlate stores the correlation id of a response.
func (s *DoctorStep) correlate(resp *http.Response) error {
	s.CorrelationID = correlationOf(resp)
	return nil
}

// list keeps the correlation id of a response, which must be a list of names.
func (s *DoctorStep) list(op *operation, key string) func(*http.Response) error {
	return func(resp *http.Response) error {
		s.CorrelationID = correlationOf(resp)
		body, err := readBody(resp, nil, maxPageSize)
		if err == nil {
			_, err = decodeNames(key)(reply{body: body}, nil)
		}
		if err != nil {
			return op.malformed(&reply{body: body, header: resp.Header, status: resp.StatusCode, sent: resp.Request}, err)
		}
		return nil
	}
}

// correlationOf returns the correlation id of a response.
func correlationOf(resp *http.Response) string {
	return redact.OneLine(resp.Header.Get("X-Ms-Correlation-Request-Id"))
}

// witness observes the token requests of a run, for their correlation ids.
type witness struct {
	next policy.Transporter
	mu   sync.Mutex
	last string // correlation id of the last response
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

// correlation returns the id of the last response.
func (w *witness) correlation() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}
