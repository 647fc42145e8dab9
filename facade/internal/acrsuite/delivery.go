package acrsuite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// Sizes of a download of many ranges that is over quickly.
const (
	RangePart    = 64 << 10
	RangeWorkers = 4
	RangeStream  = RangePart // read in one stream before it turns out to be slow
	RangeSize    = 1<<20 + 37
	rangeRate    = 4 << 20 // bytes per second of a connection
)

// Delivery is one download in a world of its own whose time is that of a bubble.
type Delivery struct {
	*Fixture

	TT      *testing.T
	setting Setting
	Form    Form
	Want    []byte
	Digest  digest.Digest
	Opts    acr.DownloadFileOptions // for readers its Size and Progress

	Dir, Path string
	Sink      *Sink // of the forms that write
	Got       []byte
	desc      ocispec.Descriptor
	Progress  acr.Progress
	Took      time.Duration
}

// Deliveries runs test in memory, once for each form.
func Deliveries(t *testing.T, forms []Form, test func(d *Delivery), opts ...acrtest.Option) {
	t.Helper()
	DeliveriesIn(t, []Setting{InMemory}, forms, test, opts...)
}

// DeliveriesIn is Deliveries in other settings. On loopback one form of each kind is tried, in memory under the race
// detector every other one of more than three forms.
func DeliveriesIn(t *testing.T, settings []Setting, forms []Form, test func(d *Delivery), opts ...acrtest.Option) {
	t.Helper()
	tried := map[Setting][]Form{InMemory: Thinned(t, forms, 3, 2), OnLoopback: triedOnLoopback(t, forms, loopbackForms)}
	for _, s := range settings {
		for _, f := range tried[s] {
			if s == OnLoopback {
				s.run(t, f.Name, func(t *testing.T) { test(newDelivery(t, s, f, opts...)) })
				continue
			}
			t.Run(f.Name, func(t *testing.T) {
				s.run(t, f.Name, func(t *testing.T) {
					d := newDelivery(t, s, f, opts...)
					test(d)
					d.Settled()
				})
			})
		}
	}
}

// NewDelivery is a download of RangeSize bytes from a registry of its own. It is called in a bubble.
func NewDelivery(t *testing.T, f Form, opts ...acrtest.Option) *Delivery {
	t.Helper()
	return newDelivery(t, InMemory, f, opts...)
}

func newDelivery(t *testing.T, s Setting, f Form, opts ...acrtest.Option) *Delivery {
	t.Helper()
	network := []acrtest.Option{acrtest.WithMemoryNetwork(), acrtest.WithBandwidth(rangeRate)}
	size, part := RangeSize, int64(RangePart)
	if s == OnLoopback {
		network = []acrtest.Option{acrtest.WithBandwidth(64 << 20)}
		size, part = 1_000_000, 128<<10
	}
	d := &Delivery{TT: t, Form: f, Dir: t.TempDir(), setting: s}
	d.Fixture = NewWorld(t, append(network, opts...)...).Fixture(Call{Method: f.Name, Kind: DownloadCall, Op: "GetBlob"})
	d.Opts = acr.DownloadFileOptions{Concurrency: 1, NoSync: true}
	if f.Ranges {
		d.Opts.Concurrency, d.Opts.PartSize = RangeWorkers, part
	}
	d.Path = filepath.Join(d.Dir, "layer")
	d.Fill(size)
	return d
}

// Fill makes the blob n random bytes.
func (d *Delivery) Fill(n int) {
	d.Want = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(d.Want) // never fails
	d.Digest = d.Srv.SeedBlob(d.TT, d.Name, d.Want)
}

// Fetch downloads and looks for secrets in what that fails with.
func (d *Delivery) Fetch() error {
	d.T.Helper()
	return d.FetchWith(d.Ctx)
}

// FetchWith is Fetch with another context.
func (d *Delivery) FetchWith(ctx context.Context) error {
	d.T.Helper()
	if d.Sink == nil {
		d.Sink = &Sink{}
	}
	o := d.Opts
	if o.Progress == nil {
		o.Progress = func(p acr.Progress) { d.Progress = p }
	}
	began := time.Now()
	err := d.deliver(ctx, &o)
	d.Took = time.Since(began)
	if err != nil {
		Secrets.LookError("the error of "+d.Form.Name, err)
		OneLine(d.TT, err)
	}
	if !d.Form.File {
		d.Got = d.Sink.B
	}
	return err
}

func (d *Delivery) deliver(ctx context.Context, o *acr.DownloadFileOptions) (err error) {
	r := d.Repository()
	switch {
	case d.Form.File:
		if d.desc, err = r.DownloadBlobFile(ctx, d.Digest, d.Path, o); err == nil {
			d.Got, err = os.ReadFile(d.Path)
		}
		return err
	case !d.Form.Reader:
		d.desc, err = r.DownloadBlob(ctx, d.Digest, d.Sink, &acr.DownloadOptions{Size: o.Size, Concurrency: o.Concurrency, PartSize: o.PartSize, Progress: o.Progress})
		return err
	}
	b, err := r.GetBlob(ctx, d.Digest, &acr.GetBlobOptions{Size: o.Size, Progress: o.Progress})
	if err != nil {
		return err
	}
	defer func() {
		if closed := b.Close(); closed != nil {
			d.Errorf("Close: %v", closed)
		}
	}()
	if d.Form == ByWriteTo {
		_, err = b.WriteTo(d.Sink)
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{d.Sink}, struct{ io.Reader }{b}, make([]byte, 10_007))
	}
	if err == nil {
		d.desc = b.Descriptor()
		if n, again := b.Read(make([]byte, 1)); n != 0 || !errors.Is(again, io.EOF) {
			d.Errorf("after the end Read gave %d bytes and %v", n, again)
		}
	}
	return err
}

// Arrives downloads and demands that the blob is there, whole, under its name and with nothing beside it.
func (d *Delivery) Arrives() {
	d.T.Helper()
	if err := d.Fetch(); err != nil {
		d.Errorf("%v%s", err, d.Requests())
		return
	}
	d.Arrived()
}

// Arrived demands of a download that went well what Arrives demands.
func (d *Delivery) Arrived() {
	d.T.Helper()
	if !bytes.Equal(d.Got, d.Want) {
		d.Errorf("got %d bytes that are not the %d of the blob", len(d.Got), len(d.Want))
	}
	if d.desc.Digest != d.Digest || d.desc.Size != int64(len(d.Want)) {
		d.Errorf("descriptor %+v", d.desc)
	}
	if !d.Progress.Done || d.Progress.Offset != int64(len(d.Want)) {
		d.Errorf("progress at the end: %+v", d.Progress)
	}
	if d.Form.File {
		Alone(d.TT, d.Dir, filepath.Base(d.Path))
	}
	d.Srv.Ledger().NoCredentialLeaked(d.TT)
}

// Fails downloads and demands one of the errors (any that can be told from others when none is given), and that nothing is left that
// could be taken for the blob.
func (d *Delivery) Fails(want ...error) error {
	d.T.Helper()
	err := d.Fetch()
	d.Failed(err, want...)
	return err
}

// Failed demands of a download that failed what Fails demands.
func (d *Delivery) Failed(err error, want ...error) {
	d.T.Helper()
	if d.MustFail(err, want...); err == nil {
		return
	}
	if d.Progress.Done {
		d.Errorf("progress at the end: %+v", d.Progress)
	}
	if d.Form.File {
		if _, err := os.Lstat(d.Path); !errors.Is(err, os.ErrNotExist) {
			d.Errorf("there is a file under the final name: %v", err)
		}
		mismatch := errors.Is(err, acr.ErrDigestMismatch) || errors.Is(err, acr.ErrSizeMismatch)
		if left := d.Partial(); mismatch && len(left) > 0 {
			d.Errorf("%q is kept, though it is not the blob", left)
		}
	}
	d.Srv.Ledger().NoCredentialLeaked(d.TT)
}

// Partial gives the names of what a broken-off download has left beside the file, and demands that nobody else may read it.
func (d *Delivery) Partial() []string {
	d.T.Helper()
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		d.T.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
			d.Errorf("%v", err)
		case e.Name() == filepath.Base(d.Path):
			continue
		case info.Mode() != 0o600:
			d.Errorf("%s has mode %v", e.Name(), info.Mode())
		case !strings.HasPrefix(e.Name(), "."):
			d.Errorf("%s is not hidden", e.Name())
		}
		left = append(left, e.Name())
	}
	return left
}

// Parts is in how many ranges the rest of the blob is asked for after the stream turned out to be slow.
func (d *Delivery) Parts() int { return (len(d.Want) - RangeStream + RangePart - 1) / RangePart }

// Breaking begins the fault on the answer in the middle of which things go wrong: the first one of a
// stream, the second range otherwise; on loopback the first one.
func (d *Delivery) Breaking() *acrtest.Fault {
	return d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
		from, _, _ := AskedRange(r)
		return !d.Form.Ranges || d.setting == OnLoopback || from == RangeStream+RangePart
	}).Nth(1)
}

// Middle is an offset in the middle of that answer.
func (d *Delivery) Middle() int64 {
	if d.Form.Ranges {
		return 20_000
	}
	return 300_000
}

// Resuming begins the fault on requests that go on where an answer broke off; without more, on the first one.
func (d *Delivery) Resuming() *acrtest.Fault {
	return d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
		from, to, ok := AskedRange(r)
		if !ok || !d.Form.Ranges || d.setting == OnLoopback {
			return ok && from > 0
		}
		return to-from < RangePart && to != int64(len(d.Want))
	})
}

// AskedRange is the range that is asked for, to exclusive; 0 where it is open.
func AskedRange(r *http.Request) (from, to int64, ok bool) {
	h := r.Header.Get("Range")
	if n, _ := fmt.Sscanf(h, "bytes=%d-%d", &from, &to); n == 2 {
		return from, to + 1, true
	}
	n, _ := fmt.Sscanf(h, "bytes=%d-", &from)
	return from, 0, n == 1
}

// Asked demands how often storage was asked: more is what the faults cost beyond the requests of an undisturbed download.
func (d *Delivery) Asked(more int) {
	d.T.Helper()
	if d.setting == OnLoopback {
		return // how many ranges there are depends on how fast the first stream is
	}
	want := 1 + more
	if d.Form.Ranges {
		want += d.Parts()
	}
	if got := d.Srv.Ledger().Count("GetBlobContent"); got != want {
		d.Errorf("storage was asked %d times, want %d:%s", got, want, d.Requests())
	}
}

// Linked demands how often the registry was asked for a link.
func (d *Delivery) Linked(want int) {
	d.T.Helper()
	if got := d.Srv.Ledger().Count("GetBlob"); got != want {
		d.Errorf("the registry was asked %d times, want %d:%s", got, want, d.Requests())
	}
}

// WastedAtMost demands that no more than n bytes were sent beyond those of the blob.
func (d *Delivery) WastedAtMost(n int64) {
	d.T.Helper()
	if d.setting == OnLoopback {
		return // the system decides how much is under way
	}
	if d.Form.Ranges {
		n += ConnectionSlack // of the stream that was given up
	}
	sent := -int64(len(d.Want))
	for _, q := range d.Srv.Ledger().Requests("GetBlob", "GetBlobContent") {
		if q.Status == http.StatusOK || q.Status == http.StatusPartialContent {
			sent += q.BytesOut
		}
	}
	if sent > n {
		d.Errorf("%d bytes too many were sent, want at most %d:%s", sent, n, d.Requests())
	}
}

// ConnectionSlack is how much may be under way on a connection that is given up: 256 KiB in the network in memory, and what the writer, TLS
// and net/http hold at both ends, which depends on who runs when: some 80 KiB at the most.
const ConnectionSlack = 384 << 10

// Within demands how long it took.
func (d *Delivery) Within(least, most time.Duration) {
	d.T.Helper()
	if d.Took < least || d.Took > most {
		d.Errorf("it took %v, want %v to %v", d.Took, least, most)
	}
}

// Requests is the ledger, for failures.
func (d *Delivery) Requests() string {
	var b strings.Builder
	for _, q := range d.Srv.Ledger().Requests() {
		b.WriteString("\n\t" + q.String() + " " + q.Header.Get("Range"))
	}
	return b.String()
}

// Settled demands that nothing runs any more: neither the library nor a connection whose answer nobody reads.
func (d *Delivery) Settled() {
	d.T.Helper()
	d.NothingRuns(nil)
}

// Names demands that the error names the digest that was asked for and the one that came.
func (d *Delivery) Names(err error) {
	d.T.Helper()
	if err == nil {
		return
	}
	if text := err.Error(); !strings.Contains(text, d.Digest.String()) || strings.Count(text, "sha256:") < 2 {
		d.Errorf("it does not name both digests: %v", err)
	}
}
