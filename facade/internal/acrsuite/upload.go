package acrsuite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// How content is handed to an upload.
const (
	AsFile   = "file"   // *os.File, from an offset on
	AsReader = "reader" // io.ReaderAt and io.Seeker in memory
	AsSeeker = "seeker" // io.Seeker only
	AsStream = "stream" // can be read once
	AsSpool  = "spool"  // a stream that is copied to a temporary file
	AsWriter = "writer" // written to a BlobWriter
)

// Ways to hand content to an upload, and what an upload sends.
var (
	EverySource    = []string{AsFile, AsReader, AsSeeker, AsSpool, AsWriter, AsStream} // either half has some that can be read again
	ReadAgain      = []string{AsFile, AsReader, AsSeeker, AsSpool}                     // survive the loss of a session
	ReaderSources  = []string{AsFile, AsReader, AsSeeker, AsStream, AsSpool}
	OnePerKind     = []string{AsFile, AsStream, AsSpool}
	UploadRequests = []string{"StartUpload", "UploadChunk", "CompleteUpload", "GetUploadStatus", "CancelUpload", "HeadBlob"}
)

// Sizes of an upload of several chunks that is over quickly.
const (
	RowChunk = 48 << 10
	RowSize  = 4*RowChunk + 37
	RowLead  = 11 // bytes of a source before the offset that it is read from
)

// Small makes a few bytes go the way of many: by chunks, hashed a little ahead.
var Small = transfer.Tuning{Whole: -1, Piece: 4 << 10, Ahead: 16 << 10, Mark: 8 << 10, Least: 4 << 10}

// Upload is one upload in a world of its own whose time is that of a bubble.
type Upload struct {
	*Fixture

	TT     *testing.T
	How    string
	Want   []byte
	whole  []byte // what is read of the source before it is handed in, and Want
	Digest digest.Digest
	Opts   acr.UploadOptions
	Tune   *transfer.Tuning // nil: as in production

	Source   io.Reader
	closed   atomic.Bool
	Progress acr.Progress
	Desc     ocispec.Descriptor
	Lost     int // sessions that nobody can end, because the registry named no location or denied that they are there
}

// Uploads runs test in memory, once for each way to hand in content.
func Uploads(t *testing.T, hows []string, test func(u *Upload), opts ...acrtest.Option) {
	t.Helper()
	UploadsIn(t, []Setting{InMemory}, hows, test, opts...)
}

// UploadsIn is Uploads in other settings. On loopback one way of each kind to hand in content is tried, in memory under
// the race detector every other one of more than three ways.
func UploadsIn(t *testing.T, settings []Setting, hows []string, test func(u *Upload), opts ...acrtest.Option) {
	t.Helper()
	tried := map[Setting][]string{InMemory: Thinned(t, hows, 3, 2), OnLoopback: triedOnLoopback(t, hows, OnePerKind)}
	for _, s := range settings {
		for _, how := range tried[s] {
			s.run(t, how, func(t *testing.T) {
				u := newUpload(t, s, how, opts...)
				test(u)
			})
		}
	}
}

// NewUpload is an upload of RowSize bytes in chunks of RowChunk, in a registry of its own. It is called in a bubble.
func NewUpload(t *testing.T, how string, opts ...acrtest.Option) *Upload {
	t.Helper()
	return newUpload(t, InMemory, how, opts...)
}

func newUpload(t *testing.T, s Setting, how string, opts ...acrtest.Option) *Upload {
	t.Helper()
	u := &Upload{TT: t, How: how}
	size := 5<<20 + 1234
	if s == InMemory {
		opts = append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)
		u.Tune, u.Opts.ChunkSize, size = &Small, RowChunk, RowSize
	} else {
		u.Opts.ChunkSize = 1 << 20
	}
	u.Fixture = NewWorld(t, opts...).Fixture(Call{Method: "UploadBlob of a " + how, Kind: UploadCall, Op: "UploadChunk"})
	u.Fill(size)
	return u
}

// Fill sets the content to n random bytes.
func (u *Upload) Fill(n int) {
	u.whole = make([]byte, RowLead+n)
	u.Want = u.whole[RowLead:]
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(u.Want) // never fails
	u.Digest = digest.FromBytes(u.Want)
}

// Open makes the source, whose first bytes have been read already.
func (u *Upload) Open() io.Reader {
	u.T.Helper()
	r := bytes.NewReader(u.whole)
	_, _ = r.Seek(RowLead, io.SeekStart) // never fails
	switch u.How {
	case AsFile:
		path := filepath.Join(u.T.TempDir(), "source")
		written := time.Unix(1_000_000_000, 0) // always the same: to resume with a file that was written since is refused
		if err := cmp.Or(os.WriteFile(path, u.whole, 0o600), os.Chtimes(path, written, written)); err != nil {
			u.T.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			u.T.Fatal(err)
		}
		u.T.Cleanup(func() {
			if err := f.Close(); err != nil {
				u.Errorf("the caller's file was closed: %v", err)
			}
		})
		if _, err := f.Seek(RowLead, io.SeekStart); err != nil {
			u.T.Fatal(err)
		}
		return f
	case AsReader:
		return &ClosableAt{r, closable{r, &u.closed}}
	case AsSeeker:
		return &ClosableSeeker{r, closable{r, &u.closed}}
	}
	return &closable{r, &u.closed}
}

// Send uploads, and looks for secrets in what it fails with.
func (u *Upload) Send() error {
	u.T.Helper()
	return u.SendWith(u.Ctx)
}

// SendWith is Send with another context.
func (u *Upload) SendWith(ctx context.Context) error {
	u.T.Helper()
	if u.Tune != nil {
		ctx, u.Ctx = transfer.WithTuning(ctx, *u.Tune), transfer.WithTuning(u.Ctx, *u.Tune)
	}
	if u.Source == nil {
		u.Source = u.Open()
	}
	o := u.Opts
	if o.Progress == nil {
		o.Progress = func(p acr.Progress) { u.Progress = p }
	}
	if o.Spool = u.How == AsSpool; o.Spool {
		o.SpoolDir = u.T.TempDir()
		defer u.empty(o.SpoolDir)
	}
	var err error
	if u.How == AsWriter {
		err = u.write(ctx, &o)
	} else {
		u.Desc, err = u.Repository().UploadBlob(ctx, u.Source, &o)
	}
	if err != nil {
		Secrets.LookError("the error of "+u.Call.Method, err)
	}
	if u.closed.Load() {
		u.Errorf("the caller's reader was closed")
	}
	return err
}

// write is sendWith for a BlobWriter, in pieces that know nothing of chunks.
func (u *Upload) write(ctx context.Context, o *acr.UploadOptions) error {
	w, err := u.Repository().StartUpload(ctx, StartOptions(o))
	if err != nil {
		return err
	}
	defer func() {
		if err := w.Cancel(); err != nil {
			u.Errorf("Cancel: %v", err)
		}
	}()
	for p := u.Want; len(p) > 0; {
		n := min(len(p), 10_007)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	u.Desc, err = w.Commit()
	return err
}

// empty demands that no temporary file is left.
func (u *Upload) empty(dir string) {
	u.T.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		u.Errorf("left in the directory for temporary files: %v %v", files, err)
	}
}

// Arrives uploads and demands that the registry has the content, that no session is open, and that the source is at its end.
func (u *Upload) Arrives() {
	u.T.Helper()
	if err := u.Send(); err != nil {
		u.Errorf("%v", err)
		return
	}
	u.Arrived()
}

// Arrived demands of an upload that went well what Arrives demands.
func (u *Upload) Arrived() {
	u.T.Helper()
	if u.Desc.Digest != u.Digest || u.Desc.Size != int64(len(u.Want)) {
		u.Errorf("descriptor %+v", u.Desc)
	}
	if !u.Srv.HasBlob(u.Name, u.Digest) {
		u.Errorf("the registry does not have the blob")
	} else if got := u.fetch(); !bytes.Equal(got, u.Want) {
		u.Errorf("the registry has other content: %d bytes", len(got))
	}
	u.NothingOpen()
	if u.How != AsWriter {
		unread := u.Progress.Skipped && (u.How == AsStream || u.How == AsSpool)
		if n, err := u.Source.Read(make([]byte, 1)); !unread && (n != 0 || !errors.Is(err, io.EOF)) {
			u.Errorf("the source is not at its end: %d %v", n, err)
		}
		if !u.Progress.Done || u.Progress.Offset != int64(len(u.Want)) && !u.Progress.Skipped && !u.Progress.Mounted {
			u.Errorf("progress at the end: %+v", u.Progress)
		}
	}
}

// fetch reads the blob back, without the faults of the row.
func (u *Upload) fetch() []byte {
	u.T.Helper()
	u.Srv.ClearFaults()
	c := u.Trusted()
	defer c.CloseIdleConnections()
	return Download(u.T, c.Repository(u.Name), u.Digest)
}

// NothingOpen demands that no session is left.
func (u *Upload) NothingOpen() {
	u.T.Helper()
	if n := u.Srv.Uploads(u.Name); n > u.Lost {
		u.Errorf("%d sessions are left", n)
	}
}

// Fails uploads and demands one of the errors, that nothing is left at the registry, and that the source is where it was, as far as it
// can be put there.
func (u *Upload) Fails(want ...error) error {
	u.T.Helper()
	err := u.Send()
	if err == nil {
		u.Errorf("it went well, want one of %v", want)
		return nil
	}
	u.Failed(err, want...)
	return err
}

// Failed demands of an upload that failed what Fails demands.
func (u *Upload) Failed(err error, want ...error) {
	u.T.Helper()
	if !slices.ContainsFunc(want, func(w error) bool {
		e, ok := errors.AsType[*acr.Error](err)
		return errors.Is(err, w) || ok && StatusError(e.StatusCode) == w //nolint:errorlint // the very value
	}) {
		u.Errorf("got %v, want one of %v", err, want)
	}
	OneLine(u.TT, err)
	u.Srv.ClearFaults()
	if u.Srv.HasBlob(u.Name, u.Digest) {
		u.Errorf("the registry has the blob")
	}
	u.NothingOpen()
	if s, ok := u.Source.(io.Seeker); ok {
		if at, err := s.Seek(0, io.SeekCurrent); err != nil || at != RowLead {
			u.Errorf("the source is at %d, it was at %d: %v", at, RowLead, err)
		}
	}
}

// Again is whether the source can be read more than once.
func (u *Upload) Again() bool { return slices.Contains(ReadAgain, u.How) }

// Survives demands that the upload arrives where its source can be read again, and is lost otherwise.
func (u *Upload) Survives() {
	u.T.Helper()
	if u.Again() {
		u.Arrives()
		return
	}
	_ = u.Fails(acr.ErrUploadLost)
}

// resent is how many bytes the registry got more than the blob has.
func (u *Upload) resent() int64 {
	n := -int64(len(u.Want))
	for _, q := range u.Srv.Ledger().Requests("StartUpload", "UploadChunk", "CompleteUpload") {
		n += q.BytesIn
	}
	return n
}

// ResentAtMost demands that the bytes that were sent again are no more than n.
func (u *Upload) ResentAtMost(n int64) {
	u.T.Helper()
	if got := u.resent(); got > n {
		u.Errorf("%d bytes were sent again, want at most %d:%s", got, n, u.log1())
	}
}

// Count demands how many requests of an operation there were.
func (u *Upload) Count(want int, op string) {
	u.T.Helper()
	if got := u.Srv.Ledger().Count(op); got != want {
		u.Errorf("%d requests %s, want %d:%s", got, op, want, u.log1())
	}
}

// log1 is the ledger in short.
func (u *Upload) log1() string {
	var b bytes.Buffer
	for _, q := range u.Srv.Ledger().Requests(UploadRequests...) {
		b.WriteString("\n\t" + q.String())
	}
	return b.String()
}

// After returns the upload request that followed the nth of an operation.
func (u *Upload) After(op string, n int) acrtest.Request {
	all := u.Srv.Ledger().Requests(UploadRequests...)
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

// Forget reads n bytes of a chunk, throws them away and breaks the connection.
func Forget(n int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, n) // it may be shorter
		panic(http.ErrAbortHandler)
	}
}

// StartOptions returns the options of an upload as StartUpload takes them.
func StartOptions(o *acr.UploadOptions) *acr.StartUploadOptions {
	return &acr.StartUploadOptions{
		Digest: o.Digest, Size: o.Size, MediaType: o.MediaType, ChunkSize: o.ChunkSize, Spool: o.Spool, SpoolDir: o.SpoolDir,
		Checkpoint: o.Checkpoint, Progress: o.Progress,
	}
}

// ResumeOptions returns the options of an upload as ResumeUpload takes them.
func ResumeOptions(o *acr.UploadOptions) *acr.ResumeUploadOptions {
	return &acr.ResumeUploadOptions{
		Digest: o.Digest, Size: o.Size, MediaType: o.MediaType, ChunkSize: o.ChunkSize, Checkpoint: o.Checkpoint, Progress: o.Progress,
	}
}
