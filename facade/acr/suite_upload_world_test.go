package acr_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// How content is handed to an upload.
const (
	asFile   = "file"   // *os.File, from an offset on
	asReader = "reader" // io.ReaderAt and io.Seeker in memory
	asSeeker = "seeker" // io.Seeker only
	asStream = "stream" // can be read once
	asSpool  = "spool"  // a stream that is copied to a temporary file
	asWriter = "writer" // written to a BlobWriter
)

var (
	everySource    = []string{asFile, asReader, asSeeker, asStream, asSpool, asWriter}
	readAgain      = []string{asFile, asReader, asSeeker, asSpool} // survive the loss of a session
	readerSources  = []string{asFile, asReader, asSeeker, asStream, asSpool}
	onePerKind     = []string{asFile, asStream, asSpool}
	uploadRequests = []string{"StartUpload", "UploadChunk", "CompleteUpload", "GetUploadStatus", "CancelUpload", "HeadBlob"}
)

// Sizes of an upload of several chunks that is over quickly.
const (
	rowChunk = 48 << 10
	rowSize  = 4*rowChunk + 37
	rowLead  = 11 // bytes of a source before the offset that it is read from
)

// small makes a few bytes go the way of many: by chunks, hashed a little ahead.
var small = transfer.Tuning{Whole: -1, Piece: 4 << 10, Ahead: 16 << 10, Mark: 8 << 10, Least: 4 << 10}

// upload is one upload in a world of its own whose time is that of a bubble.
type upload struct {
	*fixture

	tt   *testing.T
	how  string
	want []byte
	dgst digest.Digest
	opts acr.UploadOptions
	tune *transfer.Tuning // nil: as in production

	source   io.Reader
	closed   atomic.Bool
	progress acr.Progress
	desc     ocispec.Descriptor
	lost     int // sessions that nobody can end, because the registry named no location or denied that they are there
}

// uploads runs test once for each way to hand in content.
func uploads(t *testing.T, hows []string, test func(u *upload), opts ...acrtest.Option) {
	t.Helper()
	for _, how := range hows {
		synctest.Test(t, func(t *testing.T) {
			u := newUpload(t, how, opts...)
			test(u)
		})
	}
}

// newUpload is an upload of rowSize bytes in chunks of rowChunk, in a registry of its own. It is called in a bubble.
func newUpload(t *testing.T, how string, opts ...acrtest.Option) *upload {
	t.Helper()
	w := newWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)...)
	u := &upload{tt: t, how: how, tune: &small, opts: acr.UploadOptions{ChunkSize: rowChunk}}
	u.fixture = w.fixture(call{method: "UploadBlob of a " + how, kind: uploadCall, op: "UploadChunk"})
	u.fill(rowSize)
	return u
}

// fill sets the content to n random bytes.
func (u *upload) fill(n int) {
	u.want = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(u.want) // never fails
	u.dgst = digest.FromBytes(u.want)
}

// open makes the source, whose first bytes have been read already.
func (u *upload) open() io.Reader {
	u.t.Helper()
	whole := append(bytes.Repeat([]byte{'-'}, rowLead), u.want...)
	r := bytes.NewReader(whole)
	_, _ = r.Seek(rowLead, io.SeekStart) // never fails
	switch u.how {
	case asFile:
		path := filepath.Join(u.t.TempDir(), "source")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			u.t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			u.t.Fatal(err)
		}
		u.t.Cleanup(func() {
			if err := f.Close(); err != nil {
				u.errorf("the caller's file was closed: %v", err)
			}
		})
		if _, err := f.Seek(rowLead, io.SeekStart); err != nil {
			u.t.Fatal(err)
		}
		return f
	case asReader:
		return &closableAt{r, closable{r, &u.closed}}
	case asSeeker:
		return &closableSeeker{r, closable{r, &u.closed}}
	}
	return &closable{r, &u.closed}
}

// closable notes that it was closed, which nobody but its owner may.
type closable struct {
	io.Reader
	closed *atomic.Bool
}

func (c *closable) Close() error { c.closed.Store(true); return nil }

type closableSeeker struct {
	io.Seeker
	closable
}

type closableAt struct {
	*bytes.Reader
	closable
}

func (c *closableAt) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// send uploads, and looks for secrets in what it fails with.
func (u *upload) send() error {
	u.t.Helper()
	return u.sendWith(u.ctx)
}

func (u *upload) sendWith(ctx context.Context) error {
	u.t.Helper()
	if u.tune != nil {
		ctx, u.ctx = transfer.WithTuning(ctx, *u.tune), transfer.WithTuning(u.ctx, *u.tune)
	}
	if u.source == nil {
		u.source = u.open()
	}
	o := u.opts
	if o.Progress == nil {
		o.Progress = func(p acr.Progress) { u.progress = p }
	}
	if o.Spool = u.how == asSpool; o.Spool {
		o.SpoolDir = u.t.TempDir()
		defer u.empty(o.SpoolDir)
	}
	var err error
	if u.how == asWriter {
		err = u.write(ctx, &o)
	} else {
		u.desc, err = u.repository().UploadBlob(ctx, u.source, &o)
	}
	if err != nil {
		secrets.lookError("the error of "+u.call.method, err)
	}
	if u.closed.Load() {
		u.errorf("the caller's reader was closed")
	}
	return err
}

// write is sendWith for a BlobWriter, in pieces that know nothing of chunks.
func (u *upload) write(ctx context.Context, o *acr.UploadOptions) error {
	w, err := u.repository().StartUpload(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err := w.Cancel(); err != nil {
			u.errorf("Cancel: %v", err)
		}
	}()
	for p := u.want; len(p) > 0; {
		n := min(len(p), 10_007)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	u.desc, err = w.Commit()
	return err
}

// empty demands that no temporary file is left.
func (u *upload) empty(dir string) {
	u.t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		u.errorf("left in the directory for temporary files: %v %v", files, err)
	}
}

// arrives uploads and demands that the registry has the content, that no session is open, and that the source is at its end.
func (u *upload) arrives() {
	u.t.Helper()
	if err := u.send(); err != nil {
		u.errorf("%v", err)
		return
	}
	u.arrived()
}

func (u *upload) arrived() {
	u.t.Helper()
	if u.desc.Digest != u.dgst || u.desc.Size != int64(len(u.want)) {
		u.errorf("descriptor %+v", u.desc)
	}
	if !u.srv.HasBlob(u.name, u.dgst) {
		u.errorf("the registry does not have the blob")
	} else if got := u.fetch(); !bytes.Equal(got, u.want) {
		u.errorf("the registry has other content: %d bytes", len(got))
	}
	u.nothingOpen()
	if u.how != asWriter {
		unread := u.progress.Skipped && (u.how == asStream || u.how == asSpool)
		if n, err := u.source.Read(make([]byte, 1)); !unread && (n != 0 || !errors.Is(err, io.EOF)) {
			u.errorf("the source is not at its end: %d %v", n, err)
		}
		if !u.progress.Done || u.progress.Offset != int64(len(u.want)) && !u.progress.Skipped && !u.progress.Mounted {
			u.errorf("progress at the end: %+v", u.progress)
		}
	}
}

// fetch reads the blob back, without the faults of the row.
func (u *upload) fetch() []byte {
	u.t.Helper()
	u.srv.ClearFaults()
	c := u.trusted()
	defer c.CloseIdleConnections()
	return download(u.t, c.Repository(u.name), u.dgst)
}

// nothingOpen demands that no session is left.
func (u *upload) nothingOpen() {
	u.t.Helper()
	if n := u.srv.Uploads(u.name); n > u.lost {
		u.errorf("%d sessions are left", n)
	}
}

// fails uploads and demands one of the errors, that nothing is left at the registry, and that the source is where it was, as far as it
// can be put there.
func (u *upload) fails(want ...error) error {
	u.t.Helper()
	err := u.send()
	if err == nil {
		u.errorf("it went well, want one of %v", want)
		return nil
	}
	u.failed(err, want...)
	return err
}

func (u *upload) failed(err error, want ...error) {
	u.t.Helper()
	if !slices.ContainsFunc(want, func(w error) bool {
		e, ok := errors.AsType[*acr.Error](err)
		return errors.Is(err, w) || ok && errStatus(e.StatusCode) == w //nolint:errorlint // the very value
	}) {
		u.errorf("got %v, want one of %v", err, want)
	}
	oneLine(u.tt, err)
	u.srv.ClearFaults()
	if u.srv.HasBlob(u.name, u.dgst) {
		u.errorf("the registry has the blob")
	}
	u.nothingOpen()
	if s, ok := u.source.(io.Seeker); ok {
		if at, err := s.Seek(0, io.SeekCurrent); err != nil || at != rowLead {
			u.errorf("the source is at %d, it was at %d: %v", at, rowLead, err)
		}
	}
}

// again is whether the source can be read more than once.
func (u *upload) again() bool { return slices.Contains(readAgain, u.how) }

// survives demands that the upload arrives where its source can be read again, and is lost otherwise.
func (u *upload) survives() {
	u.t.Helper()
	if u.again() {
		u.arrives()
		return
	}
	u.fails(acr.ErrUploadLost)
}

// resent is how many bytes the registry got more than the blob has.
func (u *upload) resent() int64 {
	n := -int64(len(u.want))
	for _, q := range u.srv.Ledger().Requests("StartUpload", "UploadChunk", "CompleteUpload") {
		n += q.BytesIn
	}
	return n
}

// resentAtMost demands that the bytes that were sent again are no more than n.
func (u *upload) resentAtMost(n int64) {
	u.t.Helper()
	if got := u.resent(); got > n {
		u.errorf("%d bytes were sent again, want at most %d:%s", got, n, u.log1())
	}
}

// count demands how many requests of an operation there were.
func (u *upload) count(want int, op string) {
	u.t.Helper()
	if got := u.srv.Ledger().Count(op); got != want {
		u.errorf("%d requests %s, want %d:%s", got, op, want, u.log1())
	}
}

// errStatus stands for an *acr.Error of the status.
type errStatus int

func (e errStatus) Error() string { return "status " + strconv.Itoa(int(e)) }

// log1 is the ledger in short.
func (u *upload) log1() string {
	var b bytes.Buffer
	for _, q := range u.srv.Ledger().Requests(uploadRequests...) {
		b.WriteString("\n\t" + q.String())
	}
	return b.String()
}

// after returns the upload request that followed the nth of an operation.
func (u *upload) after(op string, n int) acrtest.Request {
	all := u.srv.Ledger().Requests(uploadRequests...)
	for i, q := range all {
		if q.Operation != op {
			continue
		}
		if n--; n == 0 && i+1 < len(all) {
			return all[i+1]
		}
	}
	return acrtest.Request{}
}
