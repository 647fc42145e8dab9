package acr_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestBlobLife: a blob is uploaded, found, mounted elsewhere, read, and deleted.
func TestBlobLife(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	ctx := t.Context()
	r, other := c.Repository("team/one"), c.Repository("team/two")
	want := acrsuite.Content(100_000)
	desc, err := r.UploadBlob(ctx, bytes.NewReader(want), nil)
	if err != nil || desc.Digest != digest.FromBytes(want) || desc.Size != int64(len(want)) {
		t.Fatalf("%+v %v", desc, err)
	}
	if got, err := r.HeadBlob(ctx, desc.Digest); err != nil || got.Size != desc.Size || got.Digest != desc.Digest {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := other.HeadBlob(ctx, desc.Digest); !errors.Is(err, acr.ErrBlobUnknown) || !errors.Is(err, acr.ErrNotFound) {
		t.Errorf("in a repository without it: %v", err)
	}
	if got, err := other.MountBlob(ctx, desc.Digest, "team/one"); err != nil || got.Size != desc.Size {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := other.MountBlob(ctx, digest.FromString("nothing"), "team/one"); !errors.Is(err, acr.ErrNotMounted) {
		t.Errorf("mounting what is not there: %v", err)
	} else if got, want := err.Error(), "acr: MountBlob: not mounted: the registry requires an upload"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := srv.Ledger().Count("CancelUpload"); n != 1 {
		t.Errorf("a declined mount leaves an upload: %d were cancelled", n)
	}
	if got := acrsuite.Download(t, other, desc.Digest); !bytes.Equal(got, want) {
		t.Error("another content came back")
	}
	if err := other.DeleteBlob(ctx, desc.Digest); err != nil {
		t.Error(err)
	}
	if err := other.DeleteBlob(ctx, desc.Digest); !errors.Is(err, acr.ErrBlobUnknown) {
		t.Errorf("twice: %v", err)
	}
	srv.Ledger().NoCredentialLeaked(t)
}

// TestUploadSources: every kind of source and size, from its current offset on, in as many requests as it takes.
func TestUploadSources(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	dir := t.TempDir()
	const chunk = 1 << 20
	for name, size := range map[string]int{"empty": 0, "one byte": 1, "small": 5000, "a chunk": chunk, "some chunks": 6 * chunk, "and a bit": 6*chunk + 17} {
		b := acrsuite.Content(size + 10)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for kind, open := range map[string]func(t *testing.T) io.Reader{
			"file": func(t *testing.T) io.Reader {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				_, _ = io.CopyN(io.Discard, f, 10)
				return f
			},
			"bytes": func(*testing.T) io.Reader {
				r := bytes.NewReader(b)
				_, _ = r.Seek(10, io.SeekStart)
				return r
			},
			"section": func(*testing.T) io.Reader { return io.NewSectionReader(bytes.NewReader(b), 10, int64(size)) },
			"seeker": func(*testing.T) io.Reader {
				r := bytes.NewReader(b)
				_, _ = r.Seek(10, io.SeekStart)
				return acrsuite.SeekReader{ReadSeeker: r}
			},
			"stream": func(*testing.T) io.Reader { return acrsuite.Stream{Reader: bytes.NewReader(b[10:])} },
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				r := c.Repository("sources/" + kind)
				src := open(t)
				desc, err := r.UploadBlob(t.Context(), src, &acr.UploadOptions{ChunkSize: chunk, Spool: kind == "stream", SpoolDir: dir})
				if err != nil {
					t.Fatal(err)
				}
				if desc.Size != int64(size) || desc.Digest != digest.FromBytes(b[10:]) {
					t.Fatalf("%+v", desc)
				}
				if got := acrsuite.Download(t, r, desc.Digest); !bytes.Equal(got, b[10:]) {
					t.Error("another content came back")
				}
				if n, err := src.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the source is not at its end: %d %v", n, err)
				}
			})
		}
	}
}

// TestUploadRequests: what an upload costs.
func TestUploadRequests(t *testing.T) {
	t.Parallel()
	uploads := []string{"StartUpload", "UploadChunk", "CompleteUpload", "GetUploadStatus", "CancelUpload", "HeadBlob"}
	for name, tc := range map[string]struct {
		size int
		opts acr.UploadOptions
		src  func([]byte) io.Reader
		want map[string]int
	}{
		"small":               {size: 1000, want: map[string]int{"StartUpload": 1}},
		"small stream":        {size: 1000, src: func(b []byte) io.Reader { return acrsuite.Stream{Reader: bytes.NewReader(b)} }, want: map[string]int{"StartUpload": 1}},
		"empty":               {want: map[string]int{"StartUpload": 1}},
		"three chunks":        {size: 15 << 20, opts: acr.UploadOptions{ChunkSize: 5 << 20}, want: map[string]int{"StartUpload": 1, "UploadChunk": 3, "CompleteUpload": 1}},
		"last with commit":    {size: 8<<20 + 5, opts: acr.UploadOptions{ChunkSize: 4 << 20}, want: map[string]int{"StartUpload": 1, "UploadChunk": 2, "CompleteUpload": 1}},
		"trusted":             {size: 12 << 20, opts: acr.UploadOptions{ChunkSize: 4 << 20, TrustDigest: true}, want: map[string]int{"HeadBlob": 1, "StartUpload": 1, "UploadChunk": 2, "CompleteUpload": 1}},
		"growing":             {size: 40 << 20, want: map[string]int{"StartUpload": 1, "UploadChunk": 2, "CompleteUpload": 1}},
		"stream of one chunk": {size: 6 << 20, src: func(b []byte) io.Reader { return acrsuite.Stream{Reader: bytes.NewReader(b)} }, want: map[string]int{"StartUpload": 1, "CompleteUpload": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // how fast a chunk is taken decides on the next, and no machine is slow in here
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				r := acrsuite.NewClient(t, srv).Repository("a/b")
				b := acrsuite.Content(tc.size)
				if tc.opts.TrustDigest {
					tc.opts.Digest = digest.FromBytes(b)
				}
				var src io.Reader = bytes.NewReader(b)
				if tc.src != nil {
					src = tc.src(b)
				}
				if _, err := r.UploadBlob(t.Context(), src, &tc.opts); err != nil {
					t.Fatal(err)
				}
				for _, op := range uploads {
					if got := srv.Ledger().Count(op); got != tc.want[op] {
						t.Errorf("%s: %d, want %d", op, got, tc.want[op])
					}
				}
			})
		})
	}
}

// TestUploadLessWork: a blob that is there is not sent, one that is elsewhere is mounted.
func TestUploadLessWork(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	ctx := t.Context()
	b := acrsuite.Content(2 << 20)
	dgst := digest.FromBytes(b)
	srv.SeedBlob(t, "base/image", b)
	r := c.Repository("app/image")
	var last acr.Progress
	opts := &acr.UploadOptions{Digest: dgst, MountFrom: []string{"nobody/there", "base/image"}, Progress: func(p acr.Progress) { last = p }}
	if _, err := r.UploadBlob(ctx, bytes.NewReader(b), opts); err != nil {
		t.Fatal(err)
	}
	if !last.Mounted || !last.Done || last.Sent != 0 || last.Total != int64(len(b)) {
		t.Errorf("mounted: %+v", last)
	}
	opts.MountFrom = nil
	if _, err := r.UploadBlob(ctx, bytes.NewReader(b), opts); err != nil {
		t.Fatal(err)
	}
	if !last.Skipped || !last.Done || last.Sent != 0 {
		t.Errorf("there: %+v", last)
	}
	if _, err := r.UploadBlob(ctx, acrsuite.Stream{Reader: bytes.NewReader(b)}, &acr.UploadOptions{Digest: dgst}); err != nil {
		t.Error(err)
	}
	srv.Ledger().AtMost(t, 0, "UploadChunk", "CompleteUpload")
}

// TestUploadExpectations: content that is not what was stated is refused before it is completed, and the upload cancelled.
func TestUploadExpectations(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	b := acrsuite.Content(6 << 20)
	for name, tc := range map[string]struct {
		src  io.Reader
		opts acr.UploadOptions
		want error
	}{
		"digest":             {bytes.NewReader(b), acr.UploadOptions{Digest: digest.FromString("x")}, acr.ErrDigestMismatch},
		"digest, trusted":    {bytes.NewReader(b), acr.UploadOptions{Digest: digest.FromString("x"), TrustDigest: true}, acr.ErrDigestMismatch},
		"digest of small":    {bytes.NewReader(b[:10]), acr.UploadOptions{Digest: digest.FromString("x")}, acr.ErrDigestMismatch},
		"digest of stream":   {acrsuite.Stream{Reader: bytes.NewReader(b)}, acr.UploadOptions{Digest: digest.FromString("x"), ChunkSize: 1 << 20}, acr.ErrDigestMismatch},
		"size":               {bytes.NewReader(b), acr.UploadOptions{Size: 7}, acr.ErrSizeMismatch},
		"longer stream":      {acrsuite.Stream{Reader: bytes.NewReader(b)}, acr.UploadOptions{Size: 7 << 10, ChunkSize: 1 << 20}, acr.ErrSizeMismatch},
		"shorter stream":     {acrsuite.Stream{Reader: bytes.NewReader(b)}, acr.UploadOptions{Size: 7 << 20, ChunkSize: 1 << 20}, acr.ErrSizeMismatch},
		"no digest":          {bytes.NewReader(b), acr.UploadOptions{Digest: "sha256:ABC"}, acr.ErrInvalidArgument},
		"mount from no name": {bytes.NewReader(b), acr.UploadOptions{Digest: digest.FromBytes(b), MountFrom: []string{"../x"}}, acr.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.Repository("refused/blobs")
			if _, err := r.UploadBlob(t.Context(), tc.src, &tc.opts); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	t.Cleanup(func() {
		started, ended := 0, 0
		for _, q := range srv.Ledger().Requests("StartUpload", "CancelUpload", "CompleteUpload") {
			switch q.Operation {
			case "StartUpload":
				started++
			default:
				ended++
			}
		}
		if started == 0 || started > ended {
			t.Errorf("%d uploads were started, %d ended", started, ended)
		}
	})
}

// A range that the blob does not have is a size mismatch that says so, whatever the answer looks like.
func TestRangeBeyondTheBlob(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status  int
		body    string
		length  int64
		headers []string
		says    string
	}{
		"an empty body":                     {200, "", 0, nil, "the blob has 0 bytes, the range ends at 15"},
		"an empty body of unknown length":   {200, "", -1, nil, "the response ends at byte 0 instead of 5"},
		"a short body":                      {200, "1234567", 7, nil, "the blob has 7 bytes, the range ends at 15"},
		"a short body of unknown length":    {200, "1234567", -1, nil, "the response ends at byte 7 instead of 15"},
		"a part of a shorter blob":          {206, "67", 2, []string{"Content-Range", "bytes 5-6/7"}, "the blob has 7 bytes, the range ends at 15"},
		"the answer that it does not exist": {416, "", 0, []string{"Content-Range", "bytes */7"}, "the registry has no byte 5 of the blob"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := (&acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
				if r.Method == http.MethodHead {
					return acrsuite.Answer(404, "")
				}
				resp := acrsuite.Answer(row.status, row.body, row.headers...)
				resp.ContentLength = row.length
				return resp
			}}).Client(t)
			r, err := c.Repository("a").GetBlobRange(t.Context(), digest.FromString("x"), 5, 10)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				_ = r.Close()
			}
			if !errors.Is(err, acr.ErrSizeMismatch) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// oddDestination returns counts of bytes that no destination has.
type oddDestination int

func (d oddDestination) WriteAt(p []byte, _ int64) (int, error) { return len(p) + int(d), nil }

// A source or destination that returns impossible numbers is named, and neither is believed.
func TestImpossibleCounts(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	content := acrsuite.Content(300_000)
	for _, size := range []int{100, len(content)} {
		for name, row := range map[string]struct {
			lie  liar
			says string
		}{
			"an end below 0": {liar{more: int64(size) + 5}, "negative offset"},
			"more than read": {liar{extra: 1}, "impossible count"},
			"less than none": {liar{extra: -1 << 30}, "impossible count"},
		} {
			row.lie.Reader = bytes.NewReader(content[:size])
			if _, err := r.UploadBlob(t.Context(), &row.lie, &acr.UploadOptions{ChunkSize: 64 << 10}); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s of %d: %v", name, size, err)
			}
		}
	}
	desc, err := r.UploadBlob(t.Context(), bytes.NewReader(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, extra := range []oddDestination{7, -1 << 30} {
		for _, workers := range []int{1, 4} {
			_, err := r.DownloadBlob(t.Context(), desc.Digest, extra, &acr.DownloadOptions{Concurrency: workers, PartSize: 64 << 10})
			if err == nil || !strings.Contains(err.Error(), "impossible count") {
				t.Errorf("%d too many, %d at once: %v", extra, workers, err)
			}
		}
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 300))
	before := len(srv.Ledger().Requests("GetBlob"))
	if _, err := r.DownloadBlobFile(t.Context(), desc.Digest, long, nil); err == nil || len(srv.Ledger().Requests("GetBlob")) > before {
		t.Errorf("a name that is too long: %v", err)
	}
}
