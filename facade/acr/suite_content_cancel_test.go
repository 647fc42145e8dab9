package acr_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F72")

// errLeft is why the calls of this file are given up.
var errLeft = errors.New("the caller has left")

// promptly is how soon a call returns once its context has ended.
const promptly = 100 * time.Millisecond

// dialTime is how long net/http goes on dialling for a request that was given up: the connection would serve the next one.
const dialTime = 10 * time.Second

// cancelled makes the call with a context that ends once it is under way, by each of the ways in which contexts end. It demands that the
// call returns at once, says why, and leaves nothing running. Time is that of a bubble, so that a call that waits for anything shows.
func cancelled(f *fixture, run func(ctx context.Context) error) {
	f.t.Helper()
	before := f.running()
	for _, way := range []string{"cancel", "deadline"} {
		ctx, cancel := context.WithCancelCause(f.ctx)
		want := []error{context.Canceled}
		left := time.Now().Add(time.Second)
		stop := func() bool { return false }
		if way == "cancel" {
			stop = time.AfterFunc(time.Second, func() { cancel(errLeft) }).Stop
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
		} else if stop() || ctx.Err() == nil {
			f.errorf("ended before it was left: %v", err)
		} else {
			f.leftIn(took, err, want...)
		}
		cancel(nil)
	}
	f.nothingRuns(before)
}

// leftIn demands that a call ended promptly, for the reason that it was left.
func (f *fixture) leftIn(took time.Duration, err error, want ...error) {
	f.t.Helper()
	if took > promptly {
		f.errorf("returned %v after it was left", took)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			f.errorf("%v, want %v", err, w)
		}
	}
	if err != nil {
		secrets.lookError("the error of a call that was left", err)
		if strings.ContainsAny(err.Error(), "\n\r") {
			f.errorf("the error has lines: %v", err)
		}
	}
}

// running gives the goroutines of the library and of its connections, but for idle ones.
func (f *fixture) running() []string {
	f.client.CloseIdleConnections()
	f.transport.CloseIdleConnections()
	synctest.Wait()
	return stragglers("facade/internal/transfer.", "facade/internal/wire.", "facade/internal/auth.", "facade/acr.", "net/http.(*persistConn)", "net/http.(*Transport)")
}

// nothingRuns demands that there are no more goroutines of the library and of its connections than there were before.
func (f *fixture) nothingRuns(before []string) {
	f.t.Helper()
	f.client.CloseIdleConnections()
	synctest.Wait()
	if left := stragglers("facade/internal/transfer.", "facade/internal/auth.", "facade/acr."); len(left) > 0 {
		f.errorf("%d goroutines are left, such as\n%s", len(left), left[0])
	}
	time.Sleep(dialTime)
	if left := f.running(); len(left) > len(before) {
		f.errorf("%d goroutines are left, before there were %d; the last is\n%s", len(left), len(before), left[len(left)-1])
	}
}

// stages are where a call is left, by name. Each prepares the registry so that any call gets there and no further.
var stages = []struct {
	name    string
	network func(w *world) // nil: as it is
	prepare func(f *fixture)
	calls   func(c call) bool // nil: all
}{
	{name: "dial", network: func(w *world) {
		w.use(dialing(w, func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTime)
			defer cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	}},
	{name: "TLS", network: func(w *world) {
		w.use(dialing(w, func(context.Context, string, string) (net.Conn, error) {
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
	{name: "headers", prepare: func(f *fixture) { f.srv.On(f.call.op).Always().Stall() }},
	{name: "body", prepare: func(f *fixture) { f.srv.On(f.call.op).Always().StallAfter(10) }, calls: func(c call) bool {
		return slices.Contains([]kind{listCall, readCall}, c.kind) && !strings.HasPrefix(c.op, "Head")
	}},
	{name: "body from storage", prepare: func(f *fixture) { f.srv.On("GetBlobContent").Always().StallAfter(10) }, calls: func(c call) bool { return c.kind == downloadCall }},
	{name: "headers from storage", prepare: func(f *fixture) { f.srv.On("GetBlobContent").Always().Stall() }, calls: func(c call) bool { return c.kind == downloadCall }},
	{name: "back-off of storage", prepare: func(f *fixture) {
		f.srv.On("GetBlobContent").Always().Status(http.StatusServiceUnavailable, 50*time.Second)
	}, calls: func(c call) bool { return c.kind == downloadCall }},
	{name: "request body", prepare: func(f *fixture) { f.srv.On(f.call.op).Always().StallRequestAfter(10) }, calls: func(c call) bool {
		return slices.Contains([]string{"PutManifest", "UploadChunk", "UpdateTagAttributes"}, c.op)
	}},
	{name: "back-off", prepare: func(f *fixture) { f.srv.On(f.call.op).Always().Status(http.StatusServiceUnavailable, 50*time.Second) }, calls: func(c call) bool { return c.kind != examineCall }},
	{name: "token wait", prepare: func(f *fixture) { f.srv.On(tokenOperations...).Always().Stall() }},
	{name: "back-off of tokens", prepare: func(f *fixture) {
		f.srv.On(tokenOperations...).Always().Status(http.StatusServiceUnavailable, 50*time.Second)
	}, calls: func(c call) bool { return c.kind != examineCall }},
}

// TestSuiteCancel: wherever a call is, it ends with its context.
func TestSuiteCancel(t *testing.T) {
	t.Parallel()
	row(t, "F72 the caller leaves", survived, func(t *testing.T) {
		for _, s := range stages {
			t.Run(s.name, func(t *testing.T) {
				bubble(t, func(w *world) {
					for _, c := range calls {
						if s.calls != nil && !s.calls(c) || c.op == "CancelUpload" {
							continue // a cancelled upload is to end at the registry, too: five seconds are spent on that
						}
						base := w.spy.base
						f := w.fixture(c)
						f.note = s.name
						if s.prepare != nil {
							s.prepare(f)
						}
						if s.network != nil {
							s.network(w)
							f.client = f.newClient()
						}
						cancelled(f, f.runWith)
						w.use(base)
					}
				})
			})
		}
		t.Run("a token that others wait for", waitForOthers)
		t.Run("between pages", func(t *testing.T) {
			listings(t, func(l *listing) {
				ctx, cancel := context.WithCancelCause(l.ctx)
				defer cancel(nil)
				n, left := 0, time.Time{}
				var err error
				for _, err = range l.list.run(ctx, l.fixture, 5, "") {
					if n++; n == 5 {
						left = time.Now()
						cancel(errLeft)
					}
				}
				l.leftIn(time.Since(left), err, context.Canceled)
				if n != 6 { // five entries and the error
					l.errorf("%d turns", n)
				}
				l.atMost(1, l.op())
				l.nothingRuns(nil)
			})
		})
		t.Run("between ranges", func(t *testing.T) {
			for _, cause := range []error{nil, errLeft} {
				deliveries(t, everyForm, func(d *delivery) { leftIn(d, cause, d.progressed) })
			}
		})
		t.Run("in the writer", func(t *testing.T) {
			deliveries(t, []form{byWriteTo, toWriter, toWriterInN}, func(d *delivery) {
				leftIn(d, errLeft, func(leave func()) {
					d.sink = &sink{hook: locked(func(off, _ int64) {
						if off > rangeStream {
							leave()
						}
					})}
				})
			})
		})
		t.Run("while the file is hashed again", func(t *testing.T) {
			deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
				leftIn(d, nil, d.progressed)
				d.opts.Progress = nil
				ctx, cancel := context.WithCancel(d.ctx)
				cancel()
				began := time.Now()
				d.leftIn(time.Since(began), d.fetchWith(ctx), context.Canceled)
				if left := d.partial(); len(left) == 0 {
					d.errorf("what was there is gone")
				}
				d.arrives()
			})
		})
	})
}

// leftIn downloads and leaves at the moment that arrange chooses.
func leftIn(d *delivery, cause error, arrange func(leave func())) {
	d.t.Helper()
	ctx, cancel := context.WithCancelCause(d.ctx)
	defer cancel(nil)
	var left time.Time
	arrange(func() {
		if left.IsZero() {
			left = time.Now()
			cancel(cause)
		}
	})
	err := d.fetchWith(ctx)
	took := time.Since(left)
	if left.IsZero() {
		d.errorf("it was never left: %v", err)
	}
	d.leftIn(took, err, context.Canceled)
	if cause != nil {
		d.leftIn(took, err, cause)
	}
	d.failed(err, context.Canceled)
}

// progressed leaves when a part of the blob has come.
func (d *delivery) progressed(leave func()) {
	d.srv.On("GetBlobContent").Always().Slow(100_000)
	d.opts.Progress = func(p acr.Progress) {
		if p.Offset > rangeStream {
			leave()
		}
	}
}

// dialing is a transport of the registry's that dials another way.
func dialing(w *world, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	tr := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTime}
	w.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// waitForOthers: of many who wait for one token each leaves when it wants to, and the others get it.
func waitForOthers(t *testing.T) {
	bubble(t, func(w *world) {
		f := w.fixture(callNamed(t, "Repository.GetManifest"))
		f.srv.On("GetAccessToken").Always().DelayReply(10 * time.Second)
		const all = 20
		type end struct {
			leaves bool
			took   time.Duration
			err    error
		}
		ends := make(chan end, all)
		for i := range all {
			go func() {
				ctx, cancel := context.WithCancel(f.ctx)
				defer cancel()
				if i%2 == 0 { // the first of them, which fetches the token, too
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()
				_, err := f.repository().GetManifest(ctx, f.tag)
				ends <- end{i%2 == 0, time.Since(began), err}
			}()
		}
		for range all {
			switch e := <-ends; {
			case e.leaves && (!errors.Is(e.err, context.Canceled) || e.took > time.Second+promptly):
				f.errorf("who left got %v after %v", e.err, e.took)
			case !e.leaves && e.err != nil:
				f.errorf("who stayed got %v", e.err)
			}
		}
		f.atMost(1, "GetAccessToken")
		f.nothingRuns(nil)
	}, acrtest.WithLatency(0))
}
