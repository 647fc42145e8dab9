package content_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// cancelled makes the call with a context that ends once it is under way, by each of the ways in which contexts end. It demands that the
// call returns at once, says why, and leaves nothing running. Time is that of a bubble, so that a call that waits for anything shows.
func cancelled(f *acrsuite.Fixture, run func(ctx context.Context) error) {
	f.T.Helper()
	before := f.Running()
	for _, way := range []string{"cancel", "deadline"} {
		ctx, cancel := context.WithCancelCause(f.Ctx)
		want := []error{context.Canceled}
		left := time.Now().Add(time.Second)
		stop := func() bool { return false }
		if way == "cancel" {
			stop = time.AfterFunc(time.Second, func() { cancel(acrsuite.ErrLeft) }).Stop
		} else {
			var end context.CancelFunc
			ctx, end = context.WithDeadline(ctx, left)
			defer end()
			want = []error{context.DeadlineExceeded}
		}
		err := run(ctx)
		e, refused := errors.AsType[*acr.Error](err)
		if took := time.Since(left); refused && e.RetryAfter > time.Second && took < 0 {
			stop() // there is no time for the wait that was asked for: the caller is told so at once
		} else if way == "deadline" && took < 0 && strings.HasPrefix(f.Note, "governor") && errors.Is(err, context.DeadlineExceeded) {
			stop() // the same, for a budget
		} else if stop() || ctx.Err() == nil {
			f.Errorf("ended before it was left: %v", err)
		} else {
			f.LeftIn(took, err, want...)
		}
		cancel(nil)
	}
	f.NothingRuns(before)
}

// stages are where a call is left, by name. Each prepares the registry so that any call gets there and no further.
var stages = []struct {
	name    string
	network func(w *acrsuite.World) // nil: as it is
	prepare func(f *acrsuite.Fixture)
	calls   func(c acrsuite.Call) bool // nil: all
}{
	{name: "dial", network: func(w *acrsuite.World) {
		w.Use(dialing(w, func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, acrsuite.DialTime)
			defer cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	}},
	{name: "TLS", network: func(w *acrsuite.World) {
		w.Use(dialing(w, func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				buf := make([]byte, 4096)
				for { // reads, and never says a word
					if _, err := there.Read(buf); err != nil {
						return
					}
				}
			}()
			return here, nil
		}))
	}},
	{name: "headers", prepare: func(f *acrsuite.Fixture) { f.Srv.On(f.Call.Op).Always().Stall() }},
	{name: "body", prepare: func(f *acrsuite.Fixture) { f.Srv.On(f.Call.Op).Always().StallAfter(10) }, calls: func(c acrsuite.Call) bool {
		return slices.Contains([]acrsuite.Kind{acrsuite.ListCall, acrsuite.ReadCall}, c.Kind) && !strings.HasPrefix(c.Op, "Head")
	}},
	{name: "body from storage", prepare: func(f *acrsuite.Fixture) { f.Srv.On("GetBlobContent").Always().StallAfter(10) }, calls: func(c acrsuite.Call) bool { return c.Kind == acrsuite.DownloadCall }},
	{name: "headers from storage", prepare: func(f *acrsuite.Fixture) { f.Srv.On("GetBlobContent").Always().Stall() }, calls: func(c acrsuite.Call) bool { return c.Kind == acrsuite.DownloadCall }},
	{name: "back-off of storage", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable, 50*time.Second)
	}, calls: func(c acrsuite.Call) bool { return c.Kind == acrsuite.DownloadCall }},
	{name: "request body", prepare: func(f *acrsuite.Fixture) { f.Srv.On(f.Call.Op).Always().StallRequestAfter(10) }, calls: func(c acrsuite.Call) bool {
		return slices.Contains([]string{"PutManifest", "UploadChunk", "UpdateTagAttributes"}, c.Op)
	}},
	{name: "back-off", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On(f.Call.Op).Always().Status(http.StatusServiceUnavailable, 50*time.Second)
	}, calls: func(c acrsuite.Call) bool { return c.Kind != acrsuite.ExamineCall }},
	{name: "governor", prepare: func(f *acrsuite.Fixture) {
		govern(f, map[acr.Budget]int{acr.BudgetRead: 1, acr.BudgetWrite: 1, acr.BudgetDelete: 1, acr.BudgetReferrers: 1})
	}, calls: func(c acrsuite.Call) bool { // tokens have a budget of their own, and Doctor has no time for that
		return (c.Kind != acrsuite.LoginCall || c.Op == "CheckSupport") && c.Kind != acrsuite.ExamineCall
	}},
	{name: "governor of tokens", prepare: func(f *acrsuite.Fixture) { govern(f, map[acr.Budget]int{acr.BudgetSignIn: 1}) }},
	{name: "token wait", prepare: func(f *acrsuite.Fixture) { f.Srv.On(acrsuite.TokenOperations...).Always().Stall() }},
	{name: "back-off of tokens", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On(acrsuite.TokenOperations...).Always().Status(http.StatusServiceUnavailable, 50*time.Second)
	}, calls: func(c acrsuite.Call) bool { return c.Kind != acrsuite.ExamineCall }},
}

// govern gives the client of the call a governor whose budgets are spent: the next request of each may be sent in a minute.
func govern(f *acrsuite.Fixture, budgets map[acr.Budget]int) {
	f.T.Helper()
	g, err := acr.NewGovernor(&acr.GovernorOptions{PerMinute: budgets})
	if err != nil {
		f.T.Fatal(err)
	}
	f.Options = []acrsuite.Option{func(o *acr.ClientOptions) { o.Governor = g }}
	f.Client = f.NewClient()
	_, err = acr.Collect(f.Repository().Referrers(f.Ctx, f.Image, nil))
	_, writeErr := f.Artifact().UpdateTagAttributes(f.Ctx, acr.ChangeableAttributes{ListEnabled: new(true)})
	if err = errors.Join(err, writeErr); err != nil {
		f.T.Fatal(err)
	}
	if err := f.Repository().Artifact("none").DeleteTag(f.Ctx); !errors.Is(err, acr.ErrNotFound) {
		f.T.Fatal(err)
	}
	f.Client = f.NewClient()
}

// polls are the calls that send a request again and again, by what they wait for.
var polls = []struct {
	name, call string // for the fixture
	prepare    func(f *acrsuite.Fixture)
	run        func(ctx context.Context, f *acrsuite.Fixture) error
}{
	{name: "WaitForTag", call: "Repository.HeadManifest", run: func(ctx context.Context, f *acrsuite.Fixture) error {
		_, err := f.Repository().WaitForTag(ctx, "none", "", nil)
		return err
	}},
	{name: "Conversion.Wait", call: "Conversion.Poll", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On("GetOperation").Always().ReplyBody(`{"name":"x","resource":"y","status":"Running","startTime":"2026-01-01T00:00:00Z","progress":"0%","details":""}`)
	}, run: func(ctx context.Context, f *acrsuite.Fixture) error {
		_, err := f.Repository().Conversion(f.Conversion).Wait(ctx)
		return err
	}},
	{name: "BlobWait", call: "Repository.PutManifest", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On("PutManifest").Always().Status(http.StatusBadRequest).Code("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
	}, run: func(ctx context.Context, f *acrsuite.Fixture) error {
		_, err := f.Repository().PutManifest(ctx, f.Tag, f.Manifest, &acr.PutManifestOptions{BlobWait: time.Minute})
		return err
	}},
	{name: "referrers tag", call: "Repository.PutManifest", prepare: func(f *acrsuite.Fixture) {
		f.Srv.On("ListReferrers").Always().Status(http.StatusNotFound)
		f.Srv.On("PutManifest").Always().WithoutHeader("Oci-Subject")
		f.Srv.On("GetManifest").Always().Lag() // as if others overwrote it again and again
	}, run: func(ctx context.Context, f *acrsuite.Fixture) error {
		subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: f.Image, Size: 1}
		config := ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: f.Blob, Size: int64(len(f.Content))}
		_, err := f.Repository().PutImage(ctx, "", ocispec.Manifest{ArtifactType: "x/y", Config: config, Subject: &subject}, nil)
		return err
	}},
}

// TestSuiteCancel: wherever a call is, it ends with its context.
func TestSuiteCancel(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F72 the caller leaves", func(t *testing.T) {
		for _, s := range stages {
			t.Run(s.name, func(t *testing.T) {
				bubble(t, func(w *acrsuite.World) {
					for _, c := range acrsuite.Calls {
						if s.calls != nil && !s.calls(c) || c.Op == "CancelUpload" {
							continue // a cancelled upload is to end at the registry, too: five seconds are spent on that
						}
						base := w.Spy.Base
						f := w.Fixture(c)
						f.Note = s.name
						if s.prepare != nil {
							s.prepare(f)
						}
						if s.network != nil {
							s.network(w)
							f.Client = f.NewClient()
						}
						cancelled(f, f.RunWith)
						w.Use(base)
						w.Options = nil
					}
				})
			})
		}
		t.Run("a token that others wait for", waitForOthers)
		t.Run("between polls", func(t *testing.T) {
			bubble(t, func(w *acrsuite.World) {
				for _, p := range polls {
					f := w.Fixture(acrsuite.CallNamed(t, p.call))
					f.Note = p.name
					if p.prepare != nil {
						p.prepare(f)
					}
					cancelled(f, func(ctx context.Context) error { return p.run(ctx, f) })
				}
			})
		})
		t.Run("between pages", func(t *testing.T) {
			listings(t, func(l *listing) {
				ctx, cancel := context.WithCancelCause(l.Ctx)
				defer cancel(nil)
				n, left := 0, time.Time{}
				var err error
				for _, err = range l.list.run(ctx, l.Fixture, 5, "") {
					if n++; n == 5 {
						left = time.Now()
						cancel(acrsuite.ErrLeft)
					}
				}
				l.LeftIn(time.Since(left), err, context.Canceled)
				if n != 6 { // five entries and the error
					l.Errorf("%d turns", n)
				}
				l.AtMost(1, l.op())
				l.NothingRuns(nil)
			})
		})
		t.Run("between ranges", func(t *testing.T) {
			for _, cause := range []error{nil, acrsuite.ErrLeft} {
				acrsuite.Deliveries(t, acrsuite.EveryForm, func(d *acrsuite.Delivery) { leftIn(d, cause, func(leave func()) { progressed(d, leave) }) })
			}
		})
		t.Run("in the writer", func(t *testing.T) {
			acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ByWriteTo, acrsuite.ToWriter, acrsuite.ToWriterInN}, func(d *acrsuite.Delivery) {
				leftIn(d, acrsuite.ErrLeft, func(leave func()) {
					d.Sink = &acrsuite.Sink{Hook: acrsuite.Locked(func(off, _ int64) {
						if off > acrsuite.RangeStream {
							leave()
						}
					})}
				})
			})
		})
		t.Run("while the file is hashed again", func(t *testing.T) {
			acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
				leftIn(d, nil, func(leave func()) { progressed(d, leave) })
				d.Opts.Progress = nil
				ctx, cancel := context.WithCancel(d.Ctx)
				cancel()
				began := time.Now()
				d.LeftIn(time.Since(began), d.FetchWith(ctx), context.Canceled)
				if left := d.Partial(); len(left) == 0 {
					d.Errorf("what was there is gone")
				}
				d.Arrives()
			})
		})
	})
}

// leftIn downloads and leaves at the moment that arrange chooses.
func leftIn(d *acrsuite.Delivery, cause error, arrange func(leave func())) {
	d.T.Helper()
	ctx, cancel := context.WithCancelCause(d.Ctx)
	defer cancel(nil)
	var left time.Time
	arrange(func() {
		if left.IsZero() {
			left = time.Now()
			cancel(cause)
		}
	})
	err := d.FetchWith(ctx)
	took := time.Since(left)
	if left.IsZero() {
		d.Errorf("it was never left: %v", err)
	}
	d.LeftIn(took, err, context.Canceled)
	if cause != nil {
		d.LeftIn(took, err, cause)
	}
	d.Failed(err, context.Canceled)
}

// progressed leaves when a part of the blob has come.
func progressed(d *acrsuite.Delivery, leave func()) {
	d.Srv.On("GetBlobContent").Always().Slow(100_000)
	d.Opts.Progress = func(p acr.Progress) {
		if p.Offset > acrsuite.RangeStream {
			leave()
		}
	}
}

// dialing is a transport of the registry's that dials another way.
func dialing(w *acrsuite.World, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	tr := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: acrsuite.DialTime}
	w.T.Cleanup(tr.CloseIdleConnections)
	return tr
}

// waitForOthers: of many who wait for one token each leaves when it wants to, and the others get it.
func waitForOthers(t *testing.T) {
	bubble(t, func(w *acrsuite.World) {
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
		f.Srv.On("GetAccessToken").Always().DelayReply(10 * time.Second)
		const all = 20
		type end struct {
			leaves bool
			took   time.Duration
			err    error
		}
		ends := make(chan end, all)
		for i := range all {
			go func() {
				ctx, cancel := context.WithCancel(f.Ctx)
				defer cancel()
				if i%2 == 0 { // the first of them, which fetches the token, too
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()
				_, err := f.Repository().GetManifest(ctx, f.Tag)
				ends <- end{i%2 == 0, time.Since(began), err}
			}()
		}
		for range all {
			switch e := <-ends; {
			case e.leaves && (!errors.Is(e.err, context.Canceled) || e.took > time.Second+acrsuite.Promptly):
				f.Errorf("who left got %v after %v", e.err, e.took)
			case !e.leaves && e.err != nil:
				f.Errorf("who stayed got %v", e.err)
			}
		}
		f.AtMost(1, "GetAccessToken")
		f.NothingRuns(nil)
	}, acrtest.WithLatency(0))
}
