package acr_test

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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// Sizes of a download of many ranges that is over quickly.
const (
	rangePart    = 64 << 10
	rangeWorkers = 4
	rangeStream  = rangePart // read in one stream before it turns out to be slow
	rangeSize    = 1<<20 + 37
	rangeRate    = 4 << 20 // bytes per second of a connection
)

// delivery is one download in a world of its own whose time is that of a bubble.
type delivery struct {
	*fixture

	tt   *testing.T
	form form
	want []byte
	dgst digest.Digest
	opts acr.DownloadOptions // for readers its Size and Progress

	dir, path string
	sink      *sink // of the forms that write
	got       []byte
	desc      ocispec.Descriptor
	progress  acr.Progress
	took      time.Duration
}

// deliveries runs test once for each form.
func deliveries(t *testing.T, forms []form, test func(d *delivery), opts ...acrtest.Option) {
	t.Helper()
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDelivery(t, f, opts...)
				test(d)
				d.settled()
			})
		})
	}
}

// newDelivery is a download of rangeSize bytes from a registry of its own. It is called in a bubble.
func newDelivery(t *testing.T, f form, opts ...acrtest.Option) *delivery {
	t.Helper()
	w := newWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork(), acrtest.WithBandwidth(rangeRate)}, opts...)...)
	d := &delivery{tt: t, form: f, dir: t.TempDir()}
	d.fixture = w.fixture(call{method: f.name, kind: downloadCall, op: "GetBlob"})
	d.opts = acr.DownloadOptions{Concurrency: 1, NoSync: true}
	if f.ranges {
		d.opts.Concurrency, d.opts.PartSize = rangeWorkers, rangePart
	}
	d.path = filepath.Join(d.dir, "layer")
	d.fill(rangeSize)
	return d
}

// fill makes the blob n random bytes.
func (d *delivery) fill(n int) {
	d.want = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(d.want) // never fails
	d.dgst = d.srv.SeedBlob(d.tt, d.name, d.want)
}

// fetch downloads and looks for secrets in what that fails with.
func (d *delivery) fetch() error {
	d.t.Helper()
	return d.fetchWith(d.ctx)
}

func (d *delivery) fetchWith(ctx context.Context) error {
	d.t.Helper()
	if d.sink == nil {
		d.sink = &sink{}
	}
	o := d.opts
	if o.Progress == nil {
		o.Progress = func(p acr.Progress) { d.progress = p }
	}
	began := time.Now()
	err := d.deliver(ctx, &o)
	d.took = time.Since(began)
	if err != nil {
		secrets.lookError("the error of "+d.form.name, err)
		oneLine(d.tt, err)
	}
	if !d.form.file {
		d.got = d.sink.b
	}
	return err
}

func (d *delivery) deliver(ctx context.Context, o *acr.DownloadOptions) (err error) {
	r := d.repository()
	switch {
	case d.form.file:
		if d.desc, err = r.DownloadBlobFile(ctx, d.dgst, d.path, o); err == nil {
			d.got, err = os.ReadFile(d.path)
		}
		return err
	case !d.form.reader:
		d.desc, err = r.DownloadBlob(ctx, d.dgst, d.sink, o)
		return err
	}
	b, err := r.GetBlob(ctx, d.dgst, &acr.GetBlobOptions{Size: o.Size, Progress: o.Progress})
	if err != nil {
		return err
	}
	defer func() {
		if closed := b.Close(); closed != nil {
			d.errorf("Close: %v", closed)
		}
	}()
	if d.form == byWriteTo {
		_, err = b.WriteTo(d.sink)
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{d.sink}, struct{ io.Reader }{b}, make([]byte, 10_007))
	}
	if err == nil {
		d.desc = b.Descriptor()
		if n, again := b.Read(make([]byte, 1)); n != 0 || !errors.Is(again, io.EOF) {
			d.errorf("after the end Read gave %d bytes and %v", n, again)
		}
	}
	return err
}

// arrives downloads and demands that the blob is there, whole, under its name and with nothing beside it.
func (d *delivery) arrives() {
	d.t.Helper()
	if err := d.fetch(); err != nil {
		d.errorf("%v%s", err, d.requests())
		return
	}
	d.arrived()
}

func (d *delivery) arrived() {
	d.t.Helper()
	if !bytes.Equal(d.got, d.want) {
		d.errorf("got %d bytes that are not the %d of the blob", len(d.got), len(d.want))
	}
	if d.desc.Digest != d.dgst || d.desc.Size != int64(len(d.want)) {
		d.errorf("descriptor %+v", d.desc)
	}
	if !d.progress.Done || d.progress.Offset != int64(len(d.want)) {
		d.errorf("progress at the end: %+v", d.progress)
	}
	if d.form.file {
		alone(d.tt, d.dir, filepath.Base(d.path))
	}
	d.srv.Ledger().NoCredentialLeaked(d.tt)
}

// fails downloads and demands one of the errors (any that can be told from others when none is given), and that nothing is left that
// could be taken for the blob.
func (d *delivery) fails(want ...error) error {
	d.t.Helper()
	err := d.fetch()
	d.failed(err, want...)
	return err
}

func (d *delivery) failed(err error, want ...error) {
	d.t.Helper()
	if d.mustFail(err, want...); err == nil {
		return
	}
	if d.progress.Done {
		d.errorf("progress at the end: %+v", d.progress)
	}
	if d.form.file {
		if _, err := os.Lstat(d.path); !errors.Is(err, os.ErrNotExist) {
			d.errorf("there is a file under the final name: %v", err)
		}
		mismatch := errors.Is(err, acr.ErrDigestMismatch) || errors.Is(err, acr.ErrSizeMismatch)
		if left := d.partial(); mismatch && len(left) > 0 {
			d.errorf("%q is kept, though it is not the blob", left)
		}
	}
	d.srv.Ledger().NoCredentialLeaked(d.tt)
}

// partial gives the names of what a broken-off download has left beside the file, and demands that nobody else may read it.
func (d *delivery) partial() []string {
	d.t.Helper()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
			d.errorf("%v", err)
		case e.Name() == filepath.Base(d.path):
			continue
		case info.Mode() != 0o600:
			d.errorf("%s has mode %v", e.Name(), info.Mode())
		case !strings.HasPrefix(e.Name(), "."):
			d.errorf("%s is not hidden", e.Name())
		}
		left = append(left, e.Name())
	}
	return left
}

// parts is in how many ranges the rest of the blob is asked for after the stream turned out to be slow.
func (d *delivery) parts() int { return (len(d.want) - rangeStream + rangePart - 1) / rangePart }

// breaking begins the fault on the answer in the middle of which things go wrong: the first one of a stream, the second range otherwise.
func (d *delivery) breaking() *acrtest.Fault {
	return d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
		from, _, _ := askedRange(r)
		return !d.form.ranges || from == rangeStream+rangePart
	}).Nth(1)
}

// middle is an offset in the middle of that answer.
func (d *delivery) middle() int64 {
	if d.form.ranges {
		return 20_000
	}
	return 300_000
}

// resuming begins the fault on requests that go on where an answer broke off; without more, on the first one.
func (d *delivery) resuming() *acrtest.Fault {
	return d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
		from, to, ok := askedRange(r)
		if !ok || !d.form.ranges {
			return ok && from > 0
		}
		return to-from < rangePart && to != int64(len(d.want))
	})
}

// askedRange is the range that is asked for, to exclusive; 0 where it is open.
func askedRange(r *http.Request) (from, to int64, ok bool) {
	h := r.Header.Get("Range")
	if n, _ := fmt.Sscanf(h, "bytes=%d-%d", &from, &to); n == 2 {
		return from, to + 1, true
	}
	n, _ := fmt.Sscanf(h, "bytes=%d-", &from)
	return from, 0, n == 1
}

// asked demands how often storage was asked: more is what the faults cost beyond the requests of an undisturbed download.
func (d *delivery) asked(more int) {
	d.t.Helper()
	want := 1 + more
	if d.form.ranges {
		want += d.parts()
	}
	if got := d.srv.Ledger().Count("GetBlobContent"); got != want {
		d.errorf("storage was asked %d times, want %d:%s", got, want, d.requests())
	}
}

// linked demands how often the registry was asked for a link.
func (d *delivery) linked(want int) {
	d.t.Helper()
	if got := d.srv.Ledger().Count("GetBlob"); got != want {
		d.errorf("the registry was asked %d times, want %d:%s", got, want, d.requests())
	}
}

// wastedAtMost demands that no more than n bytes were sent beyond those of the blob.
func (d *delivery) wastedAtMost(n int64) {
	d.t.Helper()
	if d.form.ranges {
		n += connectionSlack // of the stream that was given up
	}
	sent := -int64(len(d.want))
	for _, q := range d.srv.Ledger().Requests("GetBlob", "GetBlobContent") {
		if q.Status == http.StatusOK || q.Status == http.StatusPartialContent {
			sent += q.BytesOut
		}
	}
	if sent > n {
		d.errorf("%d bytes too many were sent, want at most %d:%s", sent, n, d.requests())
	}
}

// connectionSlack is how much may be under way on a connection that is given up: 256 KiB in the network in memory, and what the writer, TLS
// and net/http hold at both ends, which depends on who runs when: some 80 KiB at the most.
const connectionSlack = 384 << 10

// within demands how long it took, by the clock of the bubble.
func (d *delivery) within(least, most time.Duration) {
	d.t.Helper()
	if d.took < least || d.took > most {
		d.errorf("it took %v, want %v to %v", d.took, least, most)
	}
}

// requests is the ledger, for failures.
func (d *delivery) requests() string {
	var b strings.Builder
	for _, q := range d.srv.Ledger().Requests() {
		b.WriteString("\n\t" + q.String() + " " + q.Header.Get("Range"))
	}
	return b.String()
}

// settled demands that nothing runs any more: neither the library nor a connection whose answer nobody reads.
func (d *delivery) settled() {
	d.t.Helper()
	d.nothingRuns(nil)
}

var bubbleNumber = regexp.MustCompile(`synctest bubble \d+`)

// stragglers are the goroutines of this bubble, but for this one, whose stack holds one of the words.
func stragglers(words ...string) []string {
	buf := make([]byte, 256<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := strings.Split(string(buf[:n]), "\n\n")
	mine := bubbleNumber.FindString(all[0])
	if mine == "" {
		return []string{"stragglers was called outside of a bubble"}
	}
	return slices.DeleteFunc(all[1:], func(stack string) bool {
		header, _, _ := strings.Cut(stack, "\n")
		return !strings.HasSuffix(strings.TrimSuffix(header, "]:"), mine) || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(stack, w) })
	})
}
