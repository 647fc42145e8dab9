package acr_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestBlobWriterResume: an upload is gone on with by another client, from a checkpoint in JSON.
func TestBlobWriterResume(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	ctx := t.Context()
	want := acrsuite.Content(5<<20 + 99)
	acked := make(chan struct{}, 1)
	opts := &acr.UploadOptions{ChunkSize: 1 << 20, Checkpoint: func(acr.Checkpoint) {
		select {
		case acked <- struct{}{}:
		default:
		}
	}}
	w, err := acrsuite.NewClient(t, srv).Repository("big/one").StartUpload(ctx, acrsuite.StartOptions(opts))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(want[:3<<20+7]); err != nil {
		t.Fatal(err)
	}
	if w.Offset() != 3<<20+7 {
		t.Errorf("offset %d", w.Offset())
	}
	<-acked // the registry has something
	if cp, err := w.Checkpoint(); err != nil || cp.Offset == 0 {
		t.Errorf("%+v %v", cp, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cp, err := w.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := json.Marshal(cp)
	if err != nil {
		t.Fatal(err)
	}

	var loaded acr.Checkpoint
	if err := json.Unmarshal(saved, &loaded); err != nil {
		t.Fatal(err)
	}
	r := acrsuite.NewClient(t, srv).Repository("big/one")
	srv.Ledger().Reset()
	again, err := r.ResumeUpload(ctx, loaded, acrsuite.ResumeOptions(opts))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Cancel()
	if again.Offset() != loaded.Offset {
		t.Errorf("goes on at %d, the checkpoint is at %d", again.Offset(), loaded.Offset)
	}
	if _, err := again.ReadFrom(bytes.NewReader(want[again.Offset():])); err != nil {
		t.Fatal(err)
	}
	desc, err := again.Commit()
	if err != nil || desc.Digest != digest.FromBytes(want) {
		t.Fatalf("%+v %v", desc, err)
	}
	sent := int64(0)
	for _, q := range srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
		sent += q.BytesIn
	}
	if sent > int64(len(want))-loaded.Offset {
		t.Errorf("%d bytes were sent, %d were missing", sent, int64(len(want))-loaded.Offset)
	}
	if got := acrsuite.Download(t, r, desc.Digest); !bytes.Equal(got, want) {
		t.Error("another content came back")
	}
	if _, err := again.Write(nil); err != nil {
		t.Error(err)
	}
	if _, err := again.Write([]byte("x")); !errors.Is(err, acr.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := r.ResumeUpload(ctx, loaded, nil); !errors.Is(err, acr.ErrUploadLost) {
		t.Errorf("what is complete was gone on with: %v", err)
	}
	if _, err := acrsuite.NewClient(t, srv).Repository("another/one").ResumeUpload(ctx, loaded, nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("in another repository: %v", err)
	}
	loaded.Location = "https://attacker.example/v2/big/one/blobs/uploads/x"
	if _, err := r.ResumeUpload(ctx, loaded, nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("at another host: %v", err)
	}
	loaded.Location = "/v2/another/one/blobs/uploads/x"
	if _, err := r.ResumeUpload(ctx, loaded, nil); !errors.Is(err, acr.ErrUntrusted) {
		t.Errorf("of another repository: %v", err)
	}
}

// TestUploadResume: an interrupted UploadBlob of a file is gone on with from the checkpoint that it gave.
func TestUploadResume(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	ctx := t.Context()
	want := acrsuite.Content(12 << 20)
	var last *acr.Checkpoint
	opts := &acr.UploadOptions{ChunkSize: 2 << 20, Checkpoint: func(cp acr.Checkpoint) { last = &cp }}
	srv.On("UploadChunk").Nth(4).Status(403).Code("DENIED", "not any more")
	if _, err := acrsuite.NewClient(t, srv).Repository("big/two").UploadBlob(ctx, bytes.NewReader(want), opts); !errors.Is(err, acr.ErrDenied) {
		t.Fatal(err)
	}
	if last == nil || last.Offset == 0 {
		t.Fatalf("%+v", last)
	}
	srv.Ledger().Reset()
	r := acrsuite.NewClient(t, srv).Repository("big/two")
	opts.Resume = last
	from := last.Offset
	var told []acr.Checkpoint
	opts.Checkpoint = func(cp acr.Checkpoint) { told = append(told, cp) }
	opts.Progress = func(p acr.Progress) {
		if p.Offset < from {
			t.Errorf("%+v, resumed at %d", p, from)
		}
	}
	srv.On("GetUploadStatus").Delay(150 * time.Millisecond) // the registry has not said yet what it has
	desc, err := r.UploadBlob(ctx, bytes.NewReader(want), opts)
	if err != nil || desc.Digest != digest.FromBytes(want) {
		t.Fatalf("%+v %v", desc, err)
	}
	if len(told) == 0 || told[len(told)-1].Offset <= from || told[len(told)-1].Location == "" {
		t.Errorf("resumed at %d, the checkpoints told are %+v", from, told)
	}
	if n := srv.Ledger().Count("UploadChunk"); n != 2 {
		t.Errorf("%d chunks, 2 were missing before the last", n)
	}
	// The session is complete, so that the same checkpoint leads to a new one.
	var p acr.Progress
	again := &acr.UploadOptions{Resume: last, Progress: func(now acr.Progress) { p = now }}
	if _, err := r.UploadBlob(ctx, bytes.NewReader(want), again); err != nil || p.Restarts != 1 {
		t.Errorf("%v: %+v", err, p)
	}
}

// TestUploadResumeOfWhatIsComplete: a process that ends between the completion of its upload and the removal of its checkpoint costs
// one question, if the digest is given or little has to be read for it.
func TestUploadResumeOfWhatIsComplete(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("big/done")
	content := acrsuite.Content(24 << 20)
	var told []acr.Checkpoint
	_, err := r.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{
		ChunkSize: 2 << 20, Checkpoint: func(cp acr.Checkpoint) { told = append(told, cp) },
	})
	if err != nil || len(told) < 2 {
		t.Fatalf("%v, %d checkpoints", err, len(told))
	}
	dgst := digest.FromBytes(content)
	early, late := told[0], told[len(told)-1]
	for _, row := range []struct {
		name     string
		cp       acr.Checkpoint
		dgst     digest.Digest
		trust    bool
		complete bool
	}{
		{"late", late, "", false, true},
		{"early", early, "", false, false},
		{"early, digest given", early, dgst, false, true},
		{"early, digest trusted", early, dgst, true, true},
		{"late, another digest", late, digest.FromString("another"), false, false},
	} {
		srv.Ledger().Reset()
		var last acr.Progress
		desc, err := r.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{
			Resume: &row.cp, Digest: row.dgst, TrustDigest: row.trust, Progress: func(p acr.Progress) { last = p },
		})
		if !row.complete {
			if srv.Ledger().Count("StartUpload") != 1 || last.Skipped {
				t.Errorf("%s: %v, %+v", row.name, err, last)
			}
			continue
		}
		if err != nil || desc.Digest != dgst || desc.Size != int64(len(content)) || !last.Skipped || !last.Done || last.Restarts != 0 || last.Fraction() != 1 {
			t.Errorf("%s: %v, %+v, %+v", row.name, err, desc, last)
		}
		srv.Ledger().Exactly(t, map[string]int{"GetUploadStatus": 1, "HeadBlob": 1})
	}
}

// TestRedirectIsNoBlob: a redirect that no registry sends, or to where the blob is not, does not say that the registry has it, neither to
// a new upload nor to a resumed one nor after a commit that failed.
func TestRedirectIsNoBlob(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, to string
		ofAPI    bool
	}{
		{"a portal", "https://login.portal.example/signin", false}, {"a portal without TLS", "http://login.portal.example/", true},
		{"no host", "https:///x", true}, {"storage without it", "", true},
	} {
		srv := acrsuite.NewServer(t)
		r := acrsuite.NewClient(t, srv).Repository("big/redirect")
		to := row.to
		if to == "" {
			storage, err := srv.Canary(http.NotFoundHandler())
			if err != nil {
				t.Fatal(err)
			}
			to = storage + "/x"
		}
		redirect := srv.On("HeadBlob").Always().Redirect(http.StatusTemporaryRedirect, to)
		if !row.ofAPI {
			redirect.WithoutHeader("Docker-Distribution-Api-Version")
		}
		content := acrsuite.Content(7 << 20)
		dgst := digest.FromBytes(content)
		var cp acr.Checkpoint
		refusal := srv.On("CompleteUpload").Always().Status(http.StatusForbidden)
		if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{
			ChunkSize: 2 << 20, Checkpoint: func(now acr.Checkpoint) { cp = now },
		}); err == nil || cp.Offset == 0 {
			t.Fatalf("%s: %v, %+v", row.name, err, cp)
		}
		refusal.Remove()
		failing := srv.On("CompleteUpload").Always().Status(http.StatusForbidden) // whatever is tried, nothing can be stored
		srv.On("GetUploadStatus").Nth(1).Status(http.StatusNotFound).Code("BLOB_UPLOAD_UNKNOWN", "gone")
		for what, opts := range map[string]*acr.UploadOptions{"new": {Digest: dgst}, "resumed": {Resume: &cp}} {
			if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content), opts); err == nil {
				t.Errorf("%s, %s: success, and the registry has the blob: %v", row.name, what, srv.HasBlob("big/redirect", dgst))
			}
		}
		failing.Remove()
		if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{Digest: dgst}); err != nil || !srv.HasBlob("big/redirect", dgst) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// TestUploadResumeOfWhatChanged: the source is looked at before a completed upload counts as that of the source.
func TestUploadResumeOfWhatChanged(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("big/changed")
	path, content := filepath.Join(t.TempDir(), "layer"), acrsuite.Content(7<<20)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var cp acr.Checkpoint
	opts := &acr.UploadOptions{ChunkSize: 2 << 20, Checkpoint: func(now acr.Checkpoint) { cp = now }}
	if _, err := r.UploadBlob(t.Context(), f, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	srv.On("HeadBlob").Do(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		next.ServeHTTP(w, req)
	})
	if _, err := r.UploadBlob(t.Context(), f, &acr.UploadOptions{Resume: &cp}); !errors.Is(err, acr.ErrSourceChanged) {
		t.Errorf("%v", err)
	}
}

// TestProgressOfResumedUpload: it begins at the checkpoint, in UploadBlob and with a writer, and falls to 0 when the registry knows
// nothing of the upload any more, before a new one is open.
func TestProgressOfResumedUpload(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("big/three")
	content := acrsuite.Content(6 << 20)
	w, err := r.StartUpload(t.Context(), &acr.StartUploadOptions{ChunkSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content[:3<<20]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cp, err := w.Checkpoint()
	if err != nil || cp.Offset == 0 {
		t.Fatalf("%+v, %v", cp, err)
	}
	const wait = 250 * time.Millisecond // longer than between two events
	srv.On("GetUploadStatus").Nth(1).Delay(wait)
	var first atomic.Int64
	progress := func(p acr.Progress) { first.CompareAndSwap(0, p.Offset+1) } // 0: none has come
	w, err = r.ResumeUpload(t.Context(), cp, &acr.ResumeUploadOptions{Progress: progress})
	if err != nil || first.Load() != cp.Offset+1 {
		t.Fatalf("%v: the progress of a writer began at %d, its checkpoint is at %d", err, first.Load()-1, cp.Offset)
	}
	if err := w.Cancel(); err != nil {
		t.Error(err)
	}
	srv.On("StartUpload").Delay(wait)
	sawBoth := 0
	opts := &acr.UploadOptions{Resume: &cp, ChunkSize: 1 << 20, Progress: func(p acr.Progress) {
		if p.Restarts == 1 && p.Sent == 0 {
			sawBoth++
			if p.Offset != 0 {
				t.Errorf("started again, and still %+v", p)
			}
		}
	}}
	if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content), opts); err != nil || sawBoth == 0 {
		t.Errorf("%v, %d events before anything was sent", err, sawBoth)
	}
	cp.Location = ""
	if _, err := r.UploadBlob(t.Context(), bytes.NewReader(content), opts); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("a checkpoint of no upload: %v", err)
	}
}

// TestUploadResumeOfChangedFile: the beginning of a file as it was and the rest of it as it is now never become a blob.
func TestUploadResumeOfChangedFile(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("big/file")
	path, content := filepath.Join(t.TempDir(), "layer"), acrsuite.Content(6<<20)
	written := time.Now().Add(-time.Hour)
	upload := func(content []byte, opts *acr.UploadOptions) (digest.Digest, error) {
		if err := cmp.Or(os.WriteFile(path, content, 0o600), os.Chtimes(path, written, written)); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }() // it was only read
		desc, err := r.UploadBlob(t.Context(), f, opts)
		return desc.Digest, err
	}
	var saved []byte
	opts := &acr.UploadOptions{ChunkSize: 1 << 20, Checkpoint: func(cp acr.Checkpoint) { saved, _ = json.Marshal(cp) }} // of plain values
	srv.On("UploadChunk").Nth(3).Status(403)
	if _, err := upload(content, opts); !errors.Is(err, acr.ErrDenied) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(saved, &opts.Resume); err != nil || opts.Resume.Offset == 0 {
		t.Fatalf("%s: %v", saved, err)
	}
	content[0] ^= 1
	written = written.Add(time.Millisecond)
	srv.Ledger().Reset()
	if _, err := upload(content, opts); !errors.Is(err, acr.ErrSourceChanged) || !strings.Contains(err.Error(), "without Resume") {
		t.Errorf("%v", err)
	}
	if n := len(srv.Ledger().Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	opts.Resume.Modified = time.Time{}
	for _, other := range [][]byte{content[:5<<20], slices.Concat(content, content), content[:1], nil} {
		if _, err := upload(other, opts); !errors.Is(err, acr.ErrSourceChanged) && len(other) > 0 || err == nil {
			t.Errorf("%d bytes: %v", len(other), err)
		}
	}
	content[0] ^= 1 // a copy of the file, whoever knows it
	if d, err := upload(content, opts); err != nil || d != digest.FromBytes(content) || srv.Ledger().Count("StartUpload") != 0 {
		t.Errorf("%s, %v, %d sessions", d, err, srv.Ledger().Count("StartUpload"))
	}
}

// TestBlobWriterCancel: a cancelled upload is ended at the registry.
func TestBlobWriterCancel(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	w, err := acrsuite.NewClient(t, srv).Repository("a").StartUpload(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "something"); err != nil {
		t.Fatal(err)
	}
	if err := w.Cancel(); err != nil {
		t.Fatal(err)
	}
	if n := srv.Ledger().Count("CancelUpload"); n != 1 {
		t.Errorf("%d cancelled", n)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("committed what was cancelled")
	}
}

// A source that blocks for ever keeps ReadFrom only until the context ends. The writer can then be ended.
func TestBlobWriterSourceThatBlocks(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *acr.BlobWriter) error{
		"Cancel": func(w *acr.BlobWriter) error { return w.Cancel() },
		"Close": func(w *acr.BlobWriter) error {
			if err := w.Close(); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("Close: %w", err)
			}
			return nil
		},
		"Commit": func(w *acr.BlobWriter) error {
			if _, err := w.Commit(); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("Commit: %w", err)
			}
			return w.Cancel()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				ctx, cancel := context.WithCancel(t.Context())
				w, err := acrsuite.NewClient(t, srv).Repository("a/b").StartUpload(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				source, sink := io.Pipe()
				defer sink.Close()
				go func() {
					_, _ = sink.Write([]byte("some bytes"))
					time.Sleep(time.Hour)
					cancel()
				}()
				began := time.Now()
				if n, err := w.ReadFrom(source); n != 10 || !errors.Is(err, context.Canceled) || time.Since(began) > time.Hour+time.Second {
					t.Errorf("%d bytes and %v after %s", n, err, time.Since(began))
				}
				if err := end(w); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
