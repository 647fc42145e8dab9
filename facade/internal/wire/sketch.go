// Package wire is the only code that trusts a server's word: origins, redirects, Location, Link, Range, Retry-After and the bounds of
// what is read into memory. It knows no tokens and no operations.
package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

var errSketch = errors.New("wire: not written yet")

// Sentinels of what wire refuses; facade/acr re-exports them. Every refusal is a *Refusal that unwraps to one of these.
var (
	ErrEndpoint         = errors.New("endpoint refused")
	ErrForeignOrigin    = errors.New("server pointed to a foreign origin")
	ErrRedirect         = errors.New("redirect refused")
	ErrForbiddenAddress = errors.New("address refused")
	ErrBadLocation      = errors.New("bad Location header")
	ErrBadLink          = errors.New("bad Link header")
	ErrBadRange         = errors.New("bad range header")
	ErrTooLarge         = errors.New("reply is larger than allowed")
)

// Refusal is an answer or a URL that was not acted upon. It is never retried.
type Refusal struct {
	Err    error  // one of the sentinels
	Detail string // one line, no query, no secret
}

func (r *Refusal) Error() string { return r.Err.Error() + ": " + r.Detail }
func (r *Refusal) Unwrap() error { return r.Err }

// NonRetriable marks the error for azcore's retry policy.
func (*Refusal) NonRetriable() {}

// Origin is scheme, lower-case host and effective port: what a credential is bound to. Comparable.
type Origin struct{ Scheme, Host, Port string }

// OriginOf returns the origin of an absolute URL.
func OriginOf(u *url.URL) Origin { return Origin{} }

// CheckEndpoint returns the login URL ("https://host[:port]", no path) of a registry. The scheme may be left out. Only https and only hosts one label
// below an ACR suffix (or regional NAME.REGION.geo.azurecr.io) pass, and hosts named in allowedHosts ("host" or "host:port", exact).
func CheckEndpoint(endpoint string, allowedHosts []string) (*url.URL, error) { return nil, errSketch }

// Call says which row of the redirect table a request belongs to.
type Call uint8

// The rows of the table.
const (
	CallAPI    Call = iota // manifests, tags, catalog, /acr/v1: GET and HEAD follow on the login origin, at most 3 hops
	CallToken              // /oauth2/*: nothing is followed
	CallUpload             // upload sessions: nothing is followed; PATCH and PUT are never retried by the retry policy
	CallBlob               // GET and HEAD of a blob: a redirect is handed to the caller, who goes on with BlobLink and Fetch
)

// WithCall marks the requests made with ctx.
func WithCall(ctx context.Context, c Call) context.Context { return ctx }

// Body is a request body over a section of an io.ReaderAt. It satisfies io.ReadSeekCloser for azcore (which then neither copies nor spools it); Transport
// replaces it by a fresh fork for each attempt, so that a rewind never races the old attempt's write loop.
type Body struct{}

// NewBody returns the n bytes of ra from off as a request body.
func NewBody(ra io.ReaderAt, off, n int64) *Body { return &Body{} }

// Size returns the number of bytes.
func (b *Body) Size() int64                                  { return 0 }
func (b *Body) Read(p []byte) (int, error)                   { return 0, io.EOF }
func (b *Body) Seek(offset int64, whence int) (int64, error) { return 0, errSketch }
func (b *Body) Close() error                                 { return nil }

// Wait returns nil when the transport has let go of every fork handed out so far (then ra's memory may be used again), or ctx's error.
func (b *Body) Wait(ctx context.Context) error { return errSketch }

// TransportOptions has usable zero values.
type TransportOptions struct {
	// StrictStorage allows blob redirects only to the suffixes of Azure storage and ACR data endpoints (default: any https host).
	StrictStorage bool
	// HeaderTimeout bounds the wait for response headers once the request is sent. Default 60 s.
	HeaderTimeout time.Duration
}

// Transport is the innermost policy.Transporter of a registry's pipeline.
type Transport struct{}

// NewTransport returns the transport of one registry. base nil: connections of its own (HTTP/1.1, at most 64 per host). An *http.Client is copied without jar and
// redirects; its RoundTripper serves storage too, over an HTTP/1.1 clone where it is an *http.Transport.
func NewTransport(login *url.URL, base policy.Transporter, opts *TransportOptions) *Transport {
	return &Transport{}
}

// Do sends req to the login origin, or refuses.
func (t *Transport) Do(req *http.Request) (*http.Response, error) { return nil, errSketch }

// Login returns the origin the transport is bound to.
func (t *Transport) Login() Origin { return Origin{} }

// CloseIdleConnections closes idle connections of the transport's own making.
func (t *Transport) CloseIdleConnections() {}

// Link is a checked target of a blob redirect. It prints without its query.
type Link struct{}

func (l *Link) String() string { return "" }

// BlobLink checks the redirect in resp (status 301, 302, 303, 307, 308 to a CallBlob GET or HEAD), drains and closes its body, and returns the target.
func (t *Transport) BlobLink(resp *http.Response) (*Link, error) { return nil, errSketch }

// Fetch sends the GET (or HEAD, as the redirected request was) to the link, with Range, If-Range, If-Match, Accept, Accept-Encoding and User-Agent of header and nothing else,
// over connections of the storage transport. It follows what is left of three hops. Any other status is returned as it is; the caller closes the body.
// A link may be used many times, also at the same time.
func (t *Transport) Fetch(ctx context.Context, link *Link, header http.Header) (*http.Response, error) {
	return nil, errSketch
}

// IsRedirect says whether status is one of 301, 302, 303, 307, 308.
func IsRedirect(status int) bool { return false }

// UploadLocation resolves the Location of an upload reply: on the login origin, under /v2/<name>/blobs/uploads/, query byte for byte. ErrBadLocation also when the header is missing.
func UploadLocation(resp *http.Response, login *url.URL, name string) (*url.URL, error) {
	return nil, errSketch
}

// CheckUploadURL applies the rule of UploadLocation to a stored location (a checkpoint), which may be relative.
func CheckUploadURL(location string, login *url.URL, name string) (*url.URL, error) {
	return nil, errSketch
}

// NextLink returns the rel="next" target of a page's Link headers, or nil when there is none. Its (decoded) path must equal samePath.
func NextLink(resp *http.Response, login *url.URL, samePath string) (*url.URL, error) {
	return nil, errSketch
}

// At returns a request editor (gen.RequestEditorFn) that sends the request to u instead, with the query built so far appended to u's.
func At(u *url.URL) func(context.Context, *http.Request) error { return nil }

// RetryAfter reads Retry-After (seconds or HTTP-date), retry-after-ms and x-ms-retry-after-ms. ok is false when there is none that can be read.
func RetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) { return 0, false }

// ContentRange reads "bytes start-end/size" of a 206, or "bytes */size" of a 416 (start and end -1); size is -1 for "*".
func ContentRange(h http.Header) (start, end, size int64, err error) { return 0, 0, 0, errSketch }

// UploadRange reads the Range of an upload reply ("0-n", "bytes=0-n") and returns the next offset n+1; ok is false when missing or unreadable.
// "0-0" gives 1: an empty session says the same, which only the caller can tell apart.
func UploadRange(h http.Header) (next int64, ok bool) { return 0, false }

// ReadAll reads r to its end, at most limit bytes; more is a Refusal with ErrTooLarge, returned along with the first limit bytes.
func ReadAll(r io.Reader, limit int64) ([]byte, error) { return nil, errSketch }

// NewGuard returns the per-call policy (first of PipelineOptions.PerCall): it takes over retry options a caller put in the context, switches azcore's own retry
// off and makes bodies replayable per attempt.
func NewGuard() policy.Policy { return nil }

// NewRetryPolicy returns the retry policy (first of PipelineOptions.PerRetry) of one client; ClientOptions.Retry must be {MaxRetries: -1} in the pipeline itself.
// o is the user's; zero fields: 5 attempts, 250 ms doubling with full jitter up to 30 s, Retry-After up to 60 s. A longer Retry-After returns the reply at once.
func NewRetryPolicy(o policy.RetryOptions) policy.Policy { return nil }

// OneLine returns s as one printable line of at most 4 KiB: control and bidi characters escaped, queries of URLs and things that look like tokens removed.
func OneLine(s string) string { return "" }

// RedactURL returns scheme, host and path.
func RedactURL(u *url.URL) string { return "" }
