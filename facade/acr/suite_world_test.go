package acr_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// way is by which transport the clients of a world send.
type way string

const (
	ownTransport way = "own transport" // the library's, as with no Transport in the options
	httpClient   way = "http.Client"   // a caller's, with a cookie jar and net/http's rule for redirects
)

// bothWays are those that have to obey the same rules.
var bothWays = []way{ownTransport, httpClient}

// world is the registry of a row, with a client and a repository for each call made in it.
type world struct {
	t         testing.TB
	srv       *acrtest.Server
	way       way
	transport *http.Client // of httpClient
	spy       *spy
	options   []option
	sign      signIn
	unheld    bool // replies are not held against the document
	made      int
	log       *logBuffer
}

// signIn is with what a fixture's client signs in.
type signIn string

const (
	byEntra     signIn = "Entra"
	byPassword  signIn = "password"
	byRefresh   signIn = "refresh token"
	byAnonymous signIn = "anonymous"
)

// newWorld starts a registry whose clients send over a caller's http.Client; every exchange of theirs is held against the document, but
// for replies that a fault has altered.
func newWorld(t testing.TB, opts ...acrtest.Option) *world {
	t.Helper()
	return newWorldBy(t, httpClient, opts...)
}

// newWorldBy is newWorld with the clients sending by the given way.
func newWorldBy(t testing.TB, by way, opts ...acrtest.Option) *world {
	t.Helper()
	w := &world{t: t, srv: acrtest.New(t, append([]acrtest.Option{acrtest.WithSoftDelete(7)}, opts...)...), way: by, sign: byEntra, log: &logBuffer{}}
	_, password := w.srv.Admin()
	_, _, secret := w.srv.ServicePrincipal()
	secrets.learn(passwordSecret, password, "")
	secrets.learn(clientSecret, secret, "")
	if by == httpClient {
		w.use(w.srv.HTTPClient().Transport)
	}
	return w
}

// use lets the clients send over another base transport.
func (w *world) use(base http.RoundTripper) {
	w.spy = &spy{base: base, login: w.srv.Host(), authority: strings.TrimPrefix(w.srv.Authority(), "https://")}
	jar, _ := cookiejar.New(nil) // never fails
	held := contract.New(w.t, w.spy, contract.Allow(func(resp *http.Response) bool {
		return w.unheld || resp.Header.Get(acrtest.FaultHeader) != ""
	}), contract.Skip(func(r *http.Request) bool { return w.unheld || w.isStranger(r.URL.Host) }))
	w.transport = &http.Client{Transport: held, Jar: jar}
}

// isStranger tells whether a host is none of the registry's.
func (w *world) isStranger(host string) bool {
	return host != w.srv.Host() && host != w.srv.StorageHost()
}

// strangers is what was sent to hosts that are none of the registry's. Of the library's own transport nothing is known: then it is the
// listeners that say.
func (w *world) strangers() []sight {
	if w.spy == nil {
		return nil
	}
	return w.spy.requests(func(s sight) bool { return w.isStranger(s.Host) })
}

// fixture is one call in a world: a repository prepared for it, a client without tokens, and what the call is about.
type fixture struct {
	*world

	call call
	ctx  context.Context
	note string // variant of the row, for its failures

	client *acr.Client
	cred   *learningCredential

	name, tag  string        // of the repository and of its image
	image      digest.Digest // the tagged image
	blob       digest.Digest // a layer of it
	content    []byte        // of blob
	loose      digest.Digest // a blob that no manifest names
	manifest   []byte        // a new manifest of the same blobs
	source     string        // another repository, which has fresh
	fresh      digest.Digest
	deleted    digest.Digest  // a manifest in the recycle bin
	checkpoint acr.Checkpoint // of an upload that was begun, for calls that go on with one
	begun      []byte         // all of that upload's content
}

// over prepares a fixture for each call, lets test script the registry, make the call and judge what comes of it, and looks through it all
// for secrets. Faults and ledger are fresh for each.
func (w *world) over(calls []call, test func(f *fixture)) {
	w.t.Helper()
	for _, c := range calls {
		test(w.fixture(c))
	}
}

// inTurn gives each call of over another one of the values.
func inTurn[T any](values ...T) func() T {
	i := -1
	return func() T {
		i++
		return values[i%len(values)]
	}
}

// fixture prepares the registry for one call.
func (w *world) fixture(c call) *fixture {
	w.t.Helper()
	w.srv.ClearFaults()
	w.made++
	f := &fixture{world: w, call: c, ctx: w.t.Context(), name: fmt.Sprintf("suite/r%04d", w.made), tag: "v1", source: fmt.Sprintf("other/r%04d", w.made)}
	f.content = bytes.Repeat(fmt.Appendf(nil, "layer of %s\n", f.name), 200)
	f.image = w.srv.SeedImage(w.t, f.name+":"+f.tag, f.content)
	f.blob = digest.FromBytes(f.content)
	switch c.op {
	case "ListReferrers":
		w.srv.SeedReferrer(w.t, f.name, f.image, "application/vnd.suite")
	case "DeleteBlob":
		f.loose = w.srv.SeedBlob(w.t, f.name, []byte("loose blob of "+f.name))
	}
	if c.has("from") {
		f.fresh = w.srv.SeedBlob(w.t, f.source, []byte("fresh blob of "+f.source))
	}
	f.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json",`+
		`"digest":"%s","size":%d},"layers":[]}`, f.blob, len(f.content))
	f.begun = bytes.Repeat([]byte("begun upload "), 300)
	if c.prepare != nil {
		f.client = f.trusted()
		if err := c.prepare(f); err != nil {
			w.t.Fatalf("preparing %s: %v", c.method, err)
		}
	}
	f.client = f.newClient()
	w.srv.Ledger().Reset()
	w.log.reset()
	if w.spy != nil {
		w.spy.mu.Lock()
		w.spy.sent = nil
		w.spy.mu.Unlock()
	}
	return f
}

// trusted is a client for preparations.
func (f *fixture) trusted() *acr.Client {
	o := &acr.ClientOptions{ClientOptions: f.srv.ClientOptions(), AllowedHosts: []string{f.srv.Host()}}
	c, err := acr.NewClient(f.srv.Endpoint(), f.srv.Credential(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.CloseIdleConnections)
	return c
}

// clientOptions are those of the fixture's client: everything that it logs and traces is looked through.
func (f *fixture) clientOptions() *acr.ClientOptions {
	o := &acr.ClientOptions{ClientOptions: f.srv.ClientOptions(), AllowedHosts: []string{f.srv.Host()}}
	o.Transport = nil
	if f.way == httpClient {
		o.Transport = f.transport
	}
	o.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(lineWriter{f.call.method}, f.log), &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.TracingProvider = spanRecorder(f.call.method)
	for _, opt := range f.options {
		opt(o)
	}
	return o
}

// newClient is a client without tokens.
func (f *fixture) newClient() *acr.Client {
	f.t.Helper()
	f.cred = &learningCredential{TokenCredential: f.srv.Credential()}
	var c *acr.Client
	var err error
	switch o := f.clientOptions(); f.sign {
	case byPassword:
		user, password := f.srv.Admin()
		c, err = acr.NewClientWithPassword(f.srv.Endpoint(), user, password, o)
	case byRefresh:
		login, err := f.trusted().Login(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		secrets.learn(refreshSecret, login.Password, "")
		c, err = acr.NewClientWithRefreshToken(f.srv.Endpoint(), login.Password, o)
		if err != nil {
			f.t.Fatal(err)
		}
	case byAnonymous:
		c, err = acr.NewClient(f.srv.Endpoint(), nil, o)
	default:
		c, err = acr.NewClient(f.srv.Endpoint(), f.cred, o)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.CloseIdleConnections)
	return c
}

// run makes the call.
func (f *fixture) run() error { return f.runWith(f.ctx) }

// runWith makes the call with a context, and looks for secrets in what it fails with.
func (f *fixture) runWith(ctx context.Context) error {
	err := f.call.run(ctx, f)
	if err != nil && secrets.lookError("the error of "+f.call.method, err) {
		f.errorf("the error shows a secret")
	}
	return err
}

// repository is the handle of the call.
func (f *fixture) repository() *acr.Repository { return f.client.Repository(f.name) }

// artifact is the handle of the call on its tag.
func (f *fixture) artifact() *acr.Artifact { return f.repository().Artifact(f.tag) }

// errorf reports a failure of the call.
func (f *fixture) errorf(format string, args ...any) {
	f.t.Helper()
	note := ""
	if f.note != "" {
		note = " [" + f.note + "]"
	}
	f.t.Errorf("%s by %s%s: %s", f.call.method, f.way, note, fmt.Sprintf(format, args...))
}

// mustWork demands that the call went well.
func (f *fixture) mustWork(err error) {
	f.t.Helper()
	if err != nil {
		f.errorf("%v", err)
	}
}

// tokenOperations are what a sign-in sends.
var tokenOperations = []string{"ExchangeEntraToken", "GetAccessToken", "GetAccessTokenWithBasic"}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// once lets clients try a request once.
func once(o *acr.ClientOptions) { o.Retry = policy.RetryOptions{MaxRetries: -1} }

// prepareSuites lets the library's own transport trust the emulators of this process, and listens to azcore's log.
func prepareSuites() (stop func(), err error) {
	srv, err := acrtest.Start()
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	file, err := os.CreateTemp("", "acr-suite-*.pem")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(srv.CA())
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", file.Name()) // read when the first certificate is verified
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return nil, err
	}
	silence := recordAzureLogs()
	log.SetOutput(lineWriter{"the process's log"}) // net/http's, of connections that went wrong
	return func() {
		silence()
		log.SetOutput(os.Stderr)
		_ = os.Remove(file.Name())
	}, nil
}
