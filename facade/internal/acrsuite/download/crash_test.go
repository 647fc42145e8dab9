package download_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// childDownload downloads to a file.
func childDownload(c *childTask) (r childReport) {
	client, err := c.client()
	if err == nil {
		if c.Limit > 0 {
			err = limitFiles(c.Limit)
		}
	}
	if err == nil {
		o := &acr.DownloadFileOptions{Size: c.Options.Size, PartSize: c.Options.PartSize, Concurrency: c.Options.Concurrency, NoSync: true, Progress: func(p acr.Progress) { r.Progress = p }}
		_, err = client.Repository(c.Name).DownloadBlobFile(context.Background(), c.Digest, c.Path, o)
	}
	if err != nil {
		r.Error = err.Error()
		_, r.Path = errors.AsType[*fs.PathError](err)
	}
	r.Held = append(r.Held, uint64(acrsuite.PeakMemory()))
	return r
}

// remote is a registry that children can reach, with a blob.
type remote struct {
	srv  *acrtest.Server
	want []byte
	task childTask
}

func newRemote(t *testing.T, size int, opts ...acrtest.Option) *remote {
	t.Helper()
	const password = "a password of the test's own"
	r := &remote{srv: acrtest.New(t, append([]acrtest.Option{acrtest.WithAdmin("admin", password)}, opts...)...), want: acrsuite.Content(size)}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, r.srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.task = childTask{
		Task: "download", Endpoint: r.srv.Endpoint(), Password: password, CA: ca, Name: "crash/blobs", Digest: r.srv.SeedBlob(t, "crash/blobs", r.want),
		Path: filepath.Join(t.TempDir(), "layer.tar"),
	}
	return r
}

// sent is how many bytes of blobs left the registry since the ledger was reset.
func (r *remote) sent() (n int64) {
	for _, q := range r.srv.Ledger().Requests("GetBlobContent") {
		n += q.BytesOut
	}
	return n
}

// files are the names in the directory of the download.
func (r *remote) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(r.task.Path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() != filepath.Base(r.task.Path) && info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info, err)
		}
		names = append(names, e.Name())
	}
	return names
}

// complete demands that the download is there, and nothing else.
func (r *remote) complete(t *testing.T) {
	t.Helper()
	if got, err := os.ReadFile(r.task.Path); err != nil || !bytes.Equal(got, r.want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	acrsuite.Alone(t, filepath.Dir(r.task.Path), filepath.Base(r.task.Path))
}

// TestSuiteCrashes: processes that end in the middle of a download, and places with no room for it.
func TestSuiteCrashes(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F17 disk full", func(t *testing.T) {
		acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ByWriteTo, acrsuite.ToWriter, acrsuite.ToWriterInN}, func(d *acrsuite.Delivery) {
			for _, full := range []int64{1, acrsuite.RangeStream + 1, 700_000, acrsuite.RangeSize - 1} {
				d.Note = "no room for byte " + strconv.FormatInt(full, 10)
				d.Sink = &acrsuite.Sink{Full: full}
				d.Fails(acrsuite.ErrFull)
				if d.Took > time.Second {
					d.Errorf("it took %v", d.Took)
				}
			}
		})
		acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToWriterInN}, func(d *acrsuite.Delivery) { // while other ranges are being written: they are waited for
			var writing atomic.Int64
			const full = acrsuite.RangeStream + 3*acrsuite.RangePart
			d.Sink = &acrsuite.Sink{Full: full, Hook: func(_, end int64) {
				if end > full || end <= acrsuite.RangeStream {
					return
				}
				writing.Add(1)
				defer writing.Add(-1)
				time.Sleep(5 * time.Second) // of the bubble
			}}
			err := d.Fetch()
			if n := writing.Load(); n > 0 || d.Took < 5*time.Second {
				d.Errorf("it came back after %v, when %d ranges were being written", d.Took, n)
			}
			d.Failed(err, acrsuite.ErrFull)
		})
		for _, workers := range []int{1, 4} {
			for _, noLength := range []bool{false, true} {
				r := newRemote(t, 1<<20, acrtest.WithBandwidth(40<<20), acrtest.WithInlineBlobs())
				if noLength { // the file grows until it may not
					r.srv.On("GetBlob", "GetBlobContent").Always().WithoutHeader("Content-Length")
					r.srv.On("HeadBlob").Always().Status(404)
				}
				r.task.Limit, r.task.Options = 500_000, childOptions{Concurrency: workers, PartSize: 64 << 10}
				report := runChild(t, &r.task)
				if !report.Path || !strings.Contains(report.Error, "file too large") {
					t.Errorf("%d workers: %+v", workers, report)
				}
				if _, err := os.Lstat(r.task.Path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("there is a file under the final name: %v", err)
				}
				// What is there is of use to the next call, which has room.
				r.files(t)
				r.srv.ClearFaults()
				r.task.Limit = 0
				if report := runChild(t, &r.task); report.Error != "" {
					t.Errorf("with room: %s", report.Error)
				}
				r.complete(t)
			}
		}
	})
	acrsuite.Row(t, "A53 killed in the middle", func(t *testing.T) {
		t.Run("one stream", func(t *testing.T) { killDownload(t, 1, false) })
		t.Run("ranges", func(t *testing.T) { killDownload(t, 4, false) })
		t.Run("and tampered with", func(t *testing.T) { killDownload(t, 4, true) })
	})
}

// killDownload lets a child download, kills it, and has the next call go on.
func killDownload(t *testing.T, workers int, tamper bool) {
	const size, until = 36 << 20, 28 << 20 // a killed process may lose 16 MiB
	r := newRemote(t, size)
	r.task.Options = childOptions{Concurrency: workers, PartSize: 1 << 20}
	silence := silentBehind(r.srv, until)
	cmd := childCommand(t, &r.task)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	silence.await(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(r.state()) == 0 {
		select {
		case <-tick.C: // the child is busy writing it
		case <-t.Context().Done():
			t.Fatal("the child writes no state")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child was not killed")
	}
	silence.end()
	left := r.files(t)
	if _, err := os.Lstat(r.task.Path); !errors.Is(err, fs.ErrNotExist) || len(left) != 2 {
		t.Fatalf("after the kill there are %q: %v", left, err)
	}
	var state struct{ Offset int64 }
	if err := json.Unmarshal(r.state(), &state); err != nil || state.Offset < 16<<20 {
		t.Fatalf("the state is %s: %v", r.state(), err)
	}
	if tamper {
		tamperWith(t, filepath.Dir(r.task.Path), "content")
	}
	r.srv.ClearFaults()
	r.srv.Ledger().Reset()
	report := runChild(t, &r.task)
	if report.Error != "" {
		t.Fatal(report.Error)
	}
	r.complete(t)
	switch {
	case tamper: // found when all was hashed: then it begins anew
		if report.Progress.Restarts != 1 || r.sent() < size {
			t.Errorf("%d bytes were sent, %+v", r.sent(), report.Progress)
		}
	case r.sent() < size-state.Offset, report.Progress.Restarts > 0:
		t.Errorf("%d bytes were sent where %d were missing: %+v", r.sent(), size-state.Offset, report.Progress)
	default: // what a busy machine asks for twice lies behind what was there, too
		for _, q := range r.srv.Ledger().Requests("GetBlobContent") {
			var from int64
			if n, _ := fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-", &from); n != 1 || from < state.Offset {
				t.Errorf("%q was asked for, though what lies before %d was there", q.Header.Get("Range"), state.Offset)
			}
		}
	}
}

// silence is storage that says nothing of what lies behind an offset.
type silence struct {
	limit   int64
	reached chan struct{}
	over    chan struct{}
	once    sync.Once
}

// silentBehind lets storage answer with what lies before an offset, however often it is asked for that, and fall silent there.
func silentBehind(srv *acrtest.Server, limit int64) *silence {
	s := &silence{limit: limit, reached: make(chan struct{}), over: make(chan struct{})}
	srv.On("GetBlobContent").Always().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		from, _, _ := acrsuite.AskedRange(r) // 0 for all of it
		next.ServeHTTP(&silentWriter{w, r.Context(), s, from}, r)
	})
	return s
}

func (s *silence) await(t *testing.T) {
	t.Helper()
	select {
	case <-s.reached:
	case <-t.Context().Done():
		t.Fatal("storage was not asked for so much")
	}
}

func (s *silence) end() { close(s.over) }

// silentWriter is an answer of such storage.
type silentWriter struct {
	http.ResponseWriter

	ctx context.Context
	s   *silence
	at  int64
}

// Write implements io.Writer.
func (w *silentWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), max(w.s.limit-w.at, 0))
	w.at += n
	if n == int64(len(p)) {
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:n]) // the caller may be gone
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.s.once.Do(func() { close(w.s.reached) })
	select {
	case <-w.s.over:
	case <-w.ctx.Done():
	}
	return 0, errors.New("silence")
}

// state is the file that says how far a download has got.
func (r *remote) state() []byte {
	names, _ := filepath.Glob(filepath.Join(filepath.Dir(r.task.Path), ".*.json")) // the pattern is good
	if len(names) != 1 {
		return nil
	}
	b, _ := os.ReadFile(names[0]) // it may be replaced at this moment
	return b
}
