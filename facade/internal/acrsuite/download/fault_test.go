package download_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// downloadFaults are what becomes of a download of 1 MB: nil is the blob. stream is what a reader makes of it where that is another
// thing, as it has given bytes away already.
var downloadFaults = map[string]struct {
	fault  func(*acrtest.Server)
	want   error
	stream error
}{
	"F01 reset":                      {func(s *acrtest.Server) { s.On("GetBlobContent").ResetAfter(400_000) }, nil, nil},
	"F02 early end":                  {func(s *acrtest.Server) { s.On("GetBlobContent").Truncate(400_000) }, nil, nil},
	"F03 early end that looks clean": {func(s *acrtest.Server) { s.On("GetBlobContent").TruncateClean(400_000) }, nil, nil},
	"F04 range ignored": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Nth(1).Truncate(400_000)
		s.On("GetBlobContent").From(2).IgnoreRange()
	}, nil, nil},
	"F05 another start": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Nth(1).Truncate(400_000)
		s.On("GetBlobContent").Nth(2).Header("Content-Range", "bytes 7-999999/1000000")
	}, nil, nil},
	"F07 several ranges": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Nth(1).Truncate(400_000)
		s.On("GetBlobContent").From(2).Header("Content-Type", "multipart/byteranges; boundary=x")
	}, io.EOF, io.EOF},
	"F08 416 on going on": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Nth(1).Truncate(400_000)
		s.On("GetBlobContent").From(2).Status(416)
	}, acr.ErrSizeMismatch, acr.ErrSizeMismatch},
	"F09 a wrong byte once":   {func(s *acrtest.Server) { s.On("GetBlobContent").FlipByte(77) }, nil, acr.ErrDigestMismatch},
	"F09 a wrong byte always": {func(s *acrtest.Server) { s.On("GetBlobContent").Always().FlipByte(77) }, acr.ErrDigestMismatch, acr.ErrDigestMismatch},
	"F11 no length":           {func(s *acrtest.Server) { s.On("GetBlobContent").WithoutHeader("Content-Length") }, nil, nil},
	"F12 link expired": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Nth(1).Truncate(400_000)
		s.On("GetBlobContent").Nth(2).Status(403)
	}, nil, nil},
	"F13 storage busy":               {func(s *acrtest.Server) { s.On("GetBlobContent").First(2).Status(503) }, nil, nil},
	"F13 storage busy for a second":  {func(s *acrtest.Server) { s.On("GetBlobContent").Status(503, time.Second) }, nil, nil},
	"A32 longer than its descriptor": {func(s *acrtest.Server) { s.On("GetBlobContent").Always().WithoutHeader("Content-Length").Endless() }, acr.ErrSizeMismatch, acr.ErrSizeMismatch},
	"A37 absurd size":                {func(s *acrtest.Server) { s.On("GetBlobContent").Always().ContentLength(1 << 62) }, acr.ErrSizeMismatch, acr.ErrSizeMismatch},
	"A31 encoded":                    {func(s *acrtest.Server) { s.On("GetBlobContent").Always().Header("Content-Encoding", "gzip") }, io.EOF, io.EOF},
	"A04 storage wants a credential": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Always().Status(401).Header("WWW-Authenticate", `Bearer realm="https://x/"`)
	}, io.EOF, io.EOF},
	"A07 link over plain http": {func(s *acrtest.Server) {
		s.On("GetBlob").Always().RewriteHeader("Location", func(v string) string { return "http" + v[5:] })
	}, acr.ErrUntrusted, acr.ErrUntrusted},
	"A08 link to the metadata service": {func(s *acrtest.Server) { s.On("GetBlob").Always().Location("https://169.254.169.254/x") }, acr.ErrUntrusted, acr.ErrUntrusted},
	"F72 redirects in a circle": {func(s *acrtest.Server) {
		s.On("GetBlobContent").Always().Redirect(307, "https://"+s.StorageHost()+"/again")
	}, acr.ErrUntrusted, acr.ErrUntrusted},
	"F14 the registry sends the blob":   {func(*acrtest.Server) {}, nil, nil},
	"F14 and breaks off":                {func(s *acrtest.Server) { s.On("GetBlob").Truncate(400_000) }, nil, nil},
	"F74 connection closed after reply": {func(s *acrtest.Server) { s.On("GetBlobContent").Nth(1).Truncate(400_000); s.On("GetBlob").CloseIdle() }, nil, nil},
}

// TestDownloadFaults: every form of download gives the blob or the error, and never a wrong byte or a file that is not complete.
func TestDownloadFaults(t *testing.T) {
	t.Parallel()
	want := acrsuite.Content(1_000_000)
	for name, tc := range downloadFaults {
		for _, form := range []string{"reader", "parallel", "file"} {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				opts := []acrtest.Option{acrtest.WithBandwidth(64 << 20)}
				if name[:3] == "F14" {
					opts = append(opts, acrtest.WithInlineBlobs())
				}
				srv := acrsuite.NewServer(t, opts...)
				dgst := srv.SeedBlob(t, "a/b", want)
				tc.fault(srv)
				r := acrsuite.NewClient(t, srv).Repository("a/b")
				expected := tc.want
				got, err := read(t.Context(), t, r, form, dgst, int64(len(want)))
				if form == "reader" {
					expected = tc.stream
				}
				switch {
				case err == nil && name[:3] == "A32" && bytes.Equal(got, want): // ranges have an end of their own
				case expected == nil && (err != nil || !bytes.Equal(got, want)):
					for _, q := range srv.Ledger().Requests() {
						t.Log(q)
					}
					t.Errorf("%d bytes, %v", len(got), err)
				case expected == io.EOF && err == nil || expected != nil && expected != io.EOF && !errors.Is(err, expected): //nolint:errorlint // stands for any error
					t.Errorf("%v, want %v", err, expected)
				}
				srv.Ledger().NoCredentialLeaked(t)
			})
		}
	}
}

// read downloads a blob in the given form.
func read(ctx context.Context, t *testing.T, r *acr.Repository, form string, dgst digest.Digest, size int64) ([]byte, error) {
	t.Helper()
	opts := &acr.DownloadOptions{Size: size, PartSize: 128 << 10, Concurrency: 4}
	switch form {
	case "parallel":
		m := &acrsuite.Memory{B: make([]byte, size)}
		_, err := r.DownloadBlob(ctx, dgst, m, opts)
		return m.B, err
	case "file":
		path := filepath.Join(t.TempDir(), "blob")
		if _, err := r.DownloadBlobFile(ctx, dgst, path, opts); err != nil {
			if _, stat := os.Stat(path); !errors.Is(stat, os.ErrNotExist) {
				t.Errorf("a file has its name though %v", err)
			}
			return nil, err
		}
		return os.ReadFile(path)
	}
	b, err := r.GetBlob(ctx, dgst, &acr.GetBlobOptions{Size: size})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// TestLinkIsSecret: A55. What signs the link to storage is in no error.
func TestLinkIsSecret(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	dgst := srv.SeedBlob(t, "a/b", acrsuite.Content(1000))
	for i, fault := range []func() *acrtest.Fault{
		func() *acrtest.Fault { return srv.On("GetBlobContent").Always().Status(403) },
		func() *acrtest.Fault { return srv.On("GetBlobContent").Always().ResetAfter(0) },
		func() *acrtest.Fault {
			return srv.On("GetBlobContent").Always().Redirect(307, "http://elsewhere.example/?sig=abc")
		},
	} {
		f := fault()
		r := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) { o.Retry.MaxRetries = -1 }).Repository("a/b")
		_, err := r.DownloadBlob(t.Context(), dgst, &acrsuite.Memory{B: make([]byte, 1000)}, nil)
		if err == nil || strings.Contains(err.Error(), "sig=") {
			t.Error(strconv.Itoa(i), err)
		}
		f.Remove()
	}
}

// TestDownloadCancelled: F72. The end of the context ends a download at once, in whichever phase.
func TestDownloadCancelled(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"GetBlob", "GetBlobContent"} {
		for _, form := range []string{"reader", "parallel", "file"} {
			t.Run(op+" "+form, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
					dgst := srv.SeedBlob(t, "a/b", acrsuite.Content(1_000_000))
					stalled := make(chan struct{}, 10)
					srv.On(op).Always().Do(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
						stalled <- struct{}{}
						<-r.Context().Done()
					})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var at time.Time
					go func() { <-stalled; at = time.Now(); cancel() }()
					_, err := read(ctx, t, acrsuite.NewClient(t, srv).Repository("a/b"), form, dgst, 1_000_000)
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if d := time.Since(at); d > acrsuite.Promptly {
						t.Errorf("returned after %s", d)
					}
				})
			})
		}
	}
}
