package upload_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// uploadFaults are what an upload in chunks of 1 MiB survives, whatever the source.
var uploadFaults = map[string]struct {
	fault  func(*acrtest.Server)
	reread bool // only by a source that can be read again
	opts   []acrtest.Option
}{
	"F22 reset in a chunk":          {func(s *acrtest.Server) { s.On("UploadChunk").Nth(3).ResetRequestAfter(400_000) }, true, nil},
	"F22 reset before a chunk":      {func(s *acrtest.Server) { s.On("UploadChunk").Nth(3).ResetRequestAfter(0) }, true, nil},
	"F23 chunk applied, reply lost": {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).DropReply() }, true, nil},
	"F24 status says 404": {func(s *acrtest.Server) {
		s.On("UploadChunk").Nth(2).Status(503)
		s.On("GetUploadStatus").Status(404).Code("BLOB_UPLOAD_UNKNOWN", "x")
	}, true, nil},
	"F24 status says 416": {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).Status(503); s.On("GetUploadStatus").Status(416) }, true, nil},
	"F24 status says nothing": {func(s *acrtest.Server) {
		s.On("UploadChunk").Nth(2).Status(503)
		s.On("GetUploadStatus").WithoutHeader("Range")
	}, true, nil},
	"F25 session invalid":            {func(s *acrtest.Server) { s.On("UploadChunk").Nth(3).Status(404).Code("BLOB_UPLOAD_INVALID", "x") }, true, nil},
	"F26 commit applied, reply lost": {func(s *acrtest.Server) { s.On("CompleteUpload").DropReply() }, false, nil},
	"F27 503 on a chunk":             {func(s *acrtest.Server) { s.On("UploadChunk").First(2).Status(503) }, false, nil},
	"F27 429 on a chunk":             {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).Status(429, time.Second) }, false, nil},
	"F27 503 on the commit":          {func(s *acrtest.Server) { s.On("CompleteUpload").First(2).Status(503) }, false, nil},
	"F28 token revoked":              {func(s *acrtest.Server) { s.On("UploadChunk").Nth(3).Revoke() }, false, nil},
	"F29 early reply":                {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).Status(503).Early() }, false, nil},
	"F31 location missing":           {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).WithoutHeader("Location") }, true, nil},
	"F32 range missing":              {func(s *acrtest.Server) { s.On("UploadChunk").Always().WithoutHeader("Range") }, false, nil},
	"F32 range with unit": {func(s *acrtest.Server) {
		s.On("UploadChunk").Always().RewriteHeader("Range", func(v string) string { return "bytes=" + v })
	}, false, nil},
	"F33 part of a chunk accepted":         {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).Accept(300_000) }, false, nil},
	"F34 least size of a chunk":            {func(s *acrtest.Server) { s.On("StartUpload").Header("OCI-Chunk-Min-Length", "2000000") }, false, nil},
	"A34 absurd least size":                {func(s *acrtest.Server) { s.On("StartUpload").Header("OCI-Chunk-Min-Length", "9000000000000000000") }, false, nil},
	"A34 negative least size":              {func(s *acrtest.Server) { s.On("StartUpload").Header("OCI-Chunk-Min-Length", "-1") }, false, nil},
	"F36 413":                              {func(*acrtest.Server) {}, false, []acrtest.Option{acrtest.WithMaxBody(300_000)}},
	"F41 503 on the start":                 {func(s *acrtest.Server) { s.On("StartUpload").Status(503) }, false, nil},
	"F74 connection closed behind a reply": {func(s *acrtest.Server) { s.On("UploadChunk").Nth(2).CloseIdle() }, false, nil},
}

// TestUploadFaults: the blob arrives, and nothing is left of what went wrong on the way.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	b := acrsuite.Content(5<<20 + 1234)
	dir := t.TempDir()
	path := filepath.Join(dir, "source")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range uploadFaults {
		for _, kind := range []string{"file", "stream", "spooled"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				srv := acrsuite.NewServer(t, tc.opts...)
				tc.fault(srv)
				r := acrsuite.NewClient(t, srv).Repository("a/b")
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				var src io.Reader = f
				if kind != "file" {
					src = acrsuite.PipeReader{Reader: f}
				}
				desc, err := r.UploadBlob(t.Context(), src, &acr.UploadOptions{ChunkSize: 1 << 20, Spool: kind == "spooled", SpoolDir: dir})
				if kind == "stream" && tc.reread {
					if err != nil && !errors.Is(err, acr.ErrUploadLost) {
						t.Errorf("neither arrived nor lost: %v", err)
					}
					return
				}
				if err != nil {
					for _, q := range srv.Ledger().Requests() {
						t.Log(q)
					}
					t.Fatal(err)
				}
				if desc.Digest != digest.FromBytes(b) {
					t.Fatal(desc)
				}
				if got := acrsuite.Download(t, r, desc.Digest); !bytes.Equal(got, b) {
					t.Error("another content came back")
				}
			})
		}
	}
}

// TestUploadHostileLocation: A11 to A14. Nothing is sent to where a session's location must not lead.
func TestUploadHostileLocation(t *testing.T) {
	t.Parallel()
	for name, location := range map[string]string{
		"A11 another host":       "https://attacker.example/v2/a/b/blobs/uploads/x?_state=y",
		"A12 plain http":         "http://HOST/v2/a/b/blobs/uploads/x?_state=y",
		"A14 another repository": "/v2/c/d/blobs/uploads/x?_state=y",
		"A14 another path":       "/oauth2/token",
		"A17 user":               "https://reg@HOST/v2/a/b/blobs/uploads/x",
	} {
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			t.Run(name+" from "+op, func(t *testing.T) {
				t.Parallel()
				srv := acrsuite.NewServer(t)
				srv.On(op).Location(string(bytes.ReplaceAll([]byte(location), []byte("HOST"), []byte(srv.Host()))))
				_, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{ChunkSize: 5 << 20})
				if !errors.Is(err, acr.ErrUntrusted) {
					t.Errorf("%v", err)
				}
				for _, q := range srv.Ledger().Requests() {
					if q.Repository != "a/b" && q.Repository != "" || op == "StartUpload" && q.BytesIn > 4096 {
						t.Error(q)
					}
				}
			})
		}
	}
	t.Run("A13 redirected", func(t *testing.T) {
		t.Parallel()
		srv := acrsuite.NewServer(t)
		srv.On("UploadChunk").Redirect(http.StatusTemporaryRedirect, "/v2/a/b/blobs/uploads/other")
		_, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{ChunkSize: 5 << 20})
		if !errors.Is(err, acr.ErrUntrusted) {
			t.Error(err)
		}
	})
}

// TestUploadCancelled: F46, F72. The call returns and the session is cancelled, wherever the context ends, over real sockets too. How soon
// is the suite's to tell, by a clock that no other program moves.
func TestUploadCancelled(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"StartUpload", "UploadChunk", "CompleteUpload"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t)
			stalled, cancelled := make(chan struct{}), make(chan struct{})
			srv.On("CancelUpload").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				close(cancelled)
			})
			srv.On(op).Do(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(stalled)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { <-stalled; cancel() }()
			_, err := acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(ctx, bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{ChunkSize: 5 << 20})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if op == "StartUpload" {
				return // there is no session yet
			}
			<-cancelled // the call does not wait for it: it may come after the return
		})
	}
}

// TestUploadPanic: F78. What a callback panics with is raised in the caller.
func TestUploadPanic(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	defer func() {
		if v := recover(); v != "progress" {
			t.Errorf("recovered %v", v)
		}
	}()
	_, err := r.UploadBlob(t.Context(), bytes.NewReader(acrsuite.Content(6<<20)), &acr.UploadOptions{Progress: func(acr.Progress) { panic("progress") }})
	t.Errorf("no panic, but %v", err)
}

// TestUploadSourceChanges: F40. A file that is written to while it is sent is refused before the commit, and the session cancelled.
func TestUploadSourceChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"longer":  func(path string) error { return os.WriteFile(path, acrsuite.Content(8<<20), 0o600) },
		"shorter": func(path string) error { return os.Truncate(path, 5<<20) },
		"rewritten": func(path string) error {
			return errors.Join(os.WriteFile(path, acrsuite.Content(7<<20), 0o600), os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "source")
			if err := os.WriteFile(path, acrsuite.Content(7<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			srv := acrsuite.NewServer(t)
			srv.On("StartUpload").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if err := change(path); err != nil {
					t.Error(err)
				}
				next.ServeHTTP(w, r)
			})
			_, err = acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), f, &acr.UploadOptions{ChunkSize: 1 << 20})
			if !errors.Is(err, acr.ErrSourceChanged) && !errors.Is(err, acr.ErrSizeMismatch) {
				t.Error(err)
			}
			srv.Ledger().AtMost(t, 0, "CompleteUpload")
			if n := srv.Ledger().Count("CancelUpload"); n != 1 {
				t.Errorf("%d sessions were cancelled", n)
			}
		})
	}
}
