package acrsuite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// Fixture is one call in a world: a repository prepared for it, a client without tokens, and what the call is about.
type Fixture struct {
	*World

	Call Call
	Ctx  context.Context
	Note string // variant of the row, for its failures

	Client *acr.Client
	Cred   *learningCredential

	Name, Tag  string        // of the repository and of its image
	Image      digest.Digest // the tagged image
	Blob       digest.Digest // a layer of it
	Content    []byte        // of blob
	Loose      digest.Digest // a blob that no manifest names
	Manifest   []byte        // a new manifest of the same blobs
	Source     string        // another repository, which has fresh
	Fresh      digest.Digest
	Deleted    digest.Digest  // a manifest in the recycle bin
	Conversion string         // the ID of a conversion that was started
	Checkpoint acr.Checkpoint // of an upload that was begun, for calls that go on with one
	begun      []byte         // all of that upload's content
}

// Over prepares a fixture for each call, lets test script the registry, make the call and judge what comes of it, and looks through it all
// for secrets. Faults and ledger are fresh for each. Under the race detector it does so with every third call if there are many.
func (w *World) Over(calls []Call, test func(f *Fixture)) {
	w.T.Helper()
	for _, c := range Thinned(w.T, calls, 6, 3) {
		test(w.Fixture(c))
	}
}

// InTurn gives each call of over another one of the values.
func InTurn[T any](values ...T) func() T {
	i := -1
	return func() T {
		i++
		return values[i%len(values)]
	}
}

// fixtureNames begins the name of each fixture's repository.
const fixtureNames = "suite/r"

// Fixture prepares the registry for one call.
func (w *World) Fixture(c Call) *Fixture {
	w.T.Helper()
	w.Srv.ClearFaults()
	w.made++
	f := &Fixture{World: w, Call: c, Ctx: w.T.Context(), Name: fmt.Sprintf(fixtureNames+"%04d", w.made), Tag: "v1", Source: fmt.Sprintf("other/r%04d", w.made)}
	f.Content = bytes.Repeat(fmt.Appendf(nil, "layer of %s\n", f.Name), 200)
	f.Image = w.Srv.SeedImage(w.T, f.Name+":"+f.Tag, f.Content)
	f.Blob = digest.FromBytes(f.Content)
	switch c.Op {
	case "ListReferrers":
		w.Srv.SeedReferrer(w.T, f.Name, f.Image, "application/vnd.suite")
	case "DeleteBlob":
		f.Loose = w.Srv.SeedBlob(w.T, f.Name, []byte("loose blob of "+f.Name))
	}
	if c.Has("from") {
		f.Fresh = w.Srv.SeedBlob(w.T, f.Source, []byte("fresh blob of "+f.Source))
	}
	f.Manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json",`+
		`"digest":"%s","size":%d},"layers":[]}`, f.Blob, len(f.Content))
	f.begun = bytes.Repeat([]byte("begun upload "), 300)
	if c.Prepare != nil {
		f.Client = f.Trusted()
		if err := c.Prepare(f); err != nil {
			w.T.Fatalf("preparing %s: %v", c.Method, err)
		}
	}
	f.Client = f.NewClient()
	w.Srv.Ledger().Reset()
	w.Log.reset()
	if w.Spy != nil {
		w.Spy.mu.Lock()
		w.Spy.sent = nil
		w.Spy.mu.Unlock()
	}
	return f
}

// Trusted is a client for preparations.
func (f *Fixture) Trusted() *acr.Client {
	o := &acr.ClientOptions{ClientOptions: f.Srv.ClientOptions(), AllowedHosts: []string{f.Srv.Host()}}
	c, err := acr.NewClient(f.Srv.Endpoint(), f.Srv.Credential(), o)
	if err != nil {
		f.T.Fatal(err)
	}
	f.T.Cleanup(c.CloseIdleConnections)
	return c
}

// ClientOptions are those of the fixture's client: everything that it logs and traces is looked through.
func (f *Fixture) ClientOptions() *acr.ClientOptions {
	o := &acr.ClientOptions{ClientOptions: f.Srv.ClientOptions(), AllowedHosts: []string{f.Srv.Host()}}
	o.Transport = nil
	if f.Way == httpClient {
		o.Transport = f.Transport
	}
	o.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(lineWriter{f.Call.Method}, f.Log), &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.TracingProvider = spanRecorder(f.Call.Method)
	o.OnRequest = func(_ context.Context, m acr.RequestMetrics) {
		Secrets.LookHard("the metrics of "+f.Call.Method, fmt.Sprintf("%+v", m))
	}
	for _, opt := range f.Options {
		opt(o)
	}
	return o
}

// NewClient is a client without tokens.
func (f *Fixture) NewClient() *acr.Client {
	f.T.Helper()
	f.Cred = &learningCredential{TokenCredential: f.Srv.Credential()}
	var c *acr.Client
	var err error
	switch o := f.ClientOptions(); f.Sign {
	case ByPassword:
		user, password := f.Srv.Admin()
		c, err = acr.NewClientWithPassword(f.Srv.Endpoint(), user, password, o)
	case ByRefresh:
		login, err := f.Trusted().Login(f.T.Context())
		if err != nil {
			f.T.Fatal(err)
		}
		Secrets.Learn(refreshSecret, login.Password(), "")
		c, err = acr.NewClientWithRefreshToken(f.Srv.Endpoint(), login.Password(), o)
		if err != nil {
			f.T.Fatal(err)
		}
	case ByAnonymous:
		c, err = acr.NewClient(f.Srv.Endpoint(), nil, o)
	default:
		c, err = acr.NewClient(f.Srv.Endpoint(), f.Cred, o)
	}
	if err != nil {
		f.T.Fatal(err)
	}
	f.T.Cleanup(c.CloseIdleConnections)
	return c
}

// Run makes the call.
func (f *Fixture) Run() error { return f.RunWith(f.Ctx) }

// RunWith makes the call with a context, and looks for secrets in what it fails with.
func (f *Fixture) RunWith(ctx context.Context) error {
	usage := func() acr.Usage { return acr.Usage{} }
	if ctx != nil {
		ctx, usage = acr.WithUsage(ctx)
	}
	err := f.Call.run(ctx, f)
	Secrets.LookHard("the usage of "+f.Call.Method, fmt.Sprintf("%+v %v", usage(), ctx))
	if err != nil && Secrets.LookError("the error of "+f.Call.Method, err) {
		f.Errorf("the error shows a secret")
	}
	return err
}

// Repository is the handle of the call.
func (f *Fixture) Repository() *acr.Repository { return f.Client.Repository(f.Name) }

// Artifact is the handle of the call on its tag.
func (f *Fixture) Artifact() *acr.Artifact { return f.Repository().Artifact(f.Tag) }

// Sent returns the requests of the operations, of all if none is named, that came since the fixture was prepared. What an
// earlier fixture has given up may come as late as that: a chunk that its writer canceled is read from a socket that is
// closed by then. So requests to the repository of another fixture are left out.
func (f *Fixture) Sent(operations ...string) []acrtest.Request {
	return slices.DeleteFunc(f.Srv.Ledger().Requests(operations...), func(q acrtest.Request) bool {
		return q.Repository != f.Name && strings.HasPrefix(q.Repository, fixtureNames)
	})
}

// Errorf reports a failure of the call.
func (f *Fixture) Errorf(format string, args ...any) {
	f.T.Helper()
	note := ""
	if f.Note != "" {
		note = " [" + f.Note + "]"
	}
	f.T.Errorf("%s by %s%s: %s", f.Call.Method, f.Way, note, fmt.Sprintf(format, args...))
}

// MustWork demands that the call went well.
func (f *Fixture) MustWork(err error) {
	f.T.Helper()
	if err != nil {
		f.Errorf("%v", err)
	}
}

// Once lets clients try a request once.
func Once(o *acr.ClientOptions) { o.Retry = policy.RetryOptions{MaxRetries: -1} }
