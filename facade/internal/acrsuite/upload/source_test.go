package upload_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// TestSuiteUploadSource: sizes, sources that are not what they said, and less work than uploading.
func TestSuiteUploadSource(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F37 more than 2 GiB", testManyBytes)
	acrsuite.Row(t, "F38 last chunk of 0 bytes", func(t *testing.T) {
		for _, chunks := range []int{1, 2, 3} {
			acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = fmt.Sprintf("%d chunks", chunks)
				u.Fill(chunks * acrsuite.RowChunk)
				u.Arrives()
				u.ResentAtMost(0)
				for _, q := range u.Srv.Ledger().Requests("UploadChunk") {
					if q.BytesIn == 0 {
						u.Errorf("an empty chunk: %s", q)
					}
				}
				u.Count(1, "CompleteUpload")
			})
		}
	})
	acrsuite.Row(t, "F39 empty blob", func(t *testing.T) {
		for _, byChunks := range []bool{true, false} {
			acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
				u.Note = fmt.Sprintf("by chunks: %v", byChunks)
				if !byChunks {
					u.Tune = nil
				}
				u.Fill(0)
				u.Arrives()
				u.Count(0, "UploadChunk")
			})
		}
	})
	acrsuite.Row(t, "F40 source that is not what was stated", func(t *testing.T) {
		testOtherSource(t)
		t.Run("a file that changes", changedFile)
	})
	acrsuite.Row(t, "F41 503 on the start", func(t *testing.T) {
		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
			u.Srv.On("StartUpload").Status(503)
			u.Arrives()
			u.Count(2, "StartUpload")
			u.ResentAtMost(0)
		})
		acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // of a blob that goes with it
			u.Tune = nil
			u.Srv.On("StartUpload").First(2).Status(503, time.Second)
			u.Arrives()
			u.Count(3, "StartUpload")
		})
	})
	acrsuite.Row(t, "F42 blob not mounted", testNotMounted)
	acrsuite.Row(t, "F43 two writers of one blob", func(t *testing.T) {
		acrsuite.Uploads(t, acrsuite.ReaderSources, func(u *acrsuite.Upload) {
			u.Ctx = transfer.WithTuning(u.Ctx, acrsuite.Small)
			var all sync.WaitGroup
			for range 4 {
				source := u.Open()
				all.Go(func() {
					desc, err := u.Repository().UploadBlob(u.Ctx, source, &u.Opts)
					if err != nil || desc.Digest != u.Digest {
						u.Errorf("%v %v", desc, err)
					}
				})
			}
			all.Wait()
			u.Opts.Digest = u.Digest // the fifth knows it
			u.Srv.Ledger().Reset()
			u.Arrives()
			if !u.Again() || u.How == acrsuite.AsSpool { // of a stream nobody knows that asking costs as much as sending
				u.Count(1, "HeadBlob")
				u.Count(0, "UploadChunk")
			}
		})
	})
}

// positions is a source without end whose every read begins with where it was read.
type positions struct{}

func (positions) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, uint64(off))
	}
	return len(p), nil
}

// counter is a registry that counts the bytes of one upload and keeps none.
type counter struct {
	mu   sync.Mutex
	t    *testing.T
	at   int64
	done digest.Digest
}

// Do implements policy.Transporter.
func (c *counter) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Body != nil {
		defer r.Body.Close()
	}
	resp := acrsuite.Answer(404, "")
	switch {
	case strings.HasPrefix(r.URL.Path, "/oauth2/"):
		resp = acrsuite.Answer(200, `{"access_token":"opaque"}`)
	case r.Method == http.MethodPatch, r.Method == http.MethodPut:
		var first, last int64
		if header := r.Header.Get("Content-Range"); header != "" {
			if _, err := fmt.Sscanf(header, "%d-%d", &first, &last); err != nil || first != c.at || last-first+1 != r.ContentLength {
				c.t.Errorf("Content-Range %q of %d bytes at %d", header, r.ContentLength, c.at)
			}
		}
		buf := make([]byte, 1<<20)
		for {
			n, err := r.Body.Read(buf)
			if n >= 8 && binary.LittleEndian.Uint64(buf) != uint64(c.at) {
				c.t.Errorf("bytes from %d were sent as those from %d", binary.LittleEndian.Uint64(buf), c.at)
			}
			c.at += int64(n)
			if err != nil {
				break
			}
		}
		resp = acrsuite.Answer(202, "", "Location", fmt.Sprintf("/v2/big/blob/blobs/uploads/x?_state=%d", c.at), "Range", fmt.Sprintf("0-%d", c.at-1))
		if r.Method == http.MethodPut {
			resp, c.done = acrsuite.Answer(201, ""), digest.Digest(r.URL.Query().Get("digest"))
		}
	case r.Method == http.MethodPost:
		resp = acrsuite.Answer(202, "", "Location", "/v2/big/blob/blobs/uploads/x?_state=0", "Range", "0-0")
	}
	resp.Request = r
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, nil
}

func testManyBytes(t *testing.T) {
	const size = 5<<30 + 12_345
	o := &acr.ClientOptions{}
	registry := &counter{t: t}
	o.Transport = registry
	c, err := acr.NewClient("registry.azurecr.io", nil, o)
	if err != nil {
		t.Fatal(err)
	}
	want := digest.FromString("not hashed here")
	source := io.NewSectionReader(positions{}, 0, size)
	var last acr.Progress
	desc, err := c.Repository("big/blob").UploadBlob(t.Context(), source, &acr.UploadOptions{
		Digest: want, TrustDigest: true, Progress: func(p acr.Progress) { last = p },
	})
	if err != nil || desc.Size != size || desc.Digest != want {
		t.Fatalf("%+v %v", desc, err)
	}
	if registry.at != size || registry.done != want || last.Offset != size || last.Sent != size || last.Resent != 0 {
		t.Errorf("%d bytes arrived, completed as %s: %+v", registry.at, registry.done, last)
	}
	if at, _ := source.Seek(0, io.SeekCurrent); at != size {
		t.Errorf("the source is at %d", at)
	}
}

// turncoat is a source whose bytes become others.
type turncoat struct {
	io.ReadSeeker
	io.ReaderAt
	turned atomic.Bool
}

func (s *turncoat) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if s.turned.Load() {
		for i := range p[:n] {
			p[i] ^= 0xff
		}
	}
	return n, err
}

var errBoom = errors.New("boom")

func testOtherSource(t *testing.T) {
	for _, n := range []int64{1, acrsuite.RowSize - 1, acrsuite.RowSize + 1, acrsuite.RowSize * 2} {
		acrsuite.Uploads(t, acrsuite.ReaderSources, func(u *acrsuite.Upload) {
			u.Note = fmt.Sprintf("stated %d", n)
			u.Opts.Size = n
			u.Fails(acr.ErrSizeMismatch)
			u.Count(0, "CompleteUpload")
			if u.How != acrsuite.AsStream && u.How != acrsuite.AsSpool {
				u.Count(0, "StartUpload")
			}
		})
	}
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) {
		u.Note = "another digest"
		u.Opts.Digest = digest.FromString("another")
		u.Fails(acr.ErrDigestMismatch)
		u.Count(0, "CompleteUpload")
	})
	during := func(u *acrsuite.Upload, do func()) {
		u.Source = u.Open()
		u.Srv.On("UploadChunk").Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			do()
			next.ServeHTTP(w, r)
		})
		u.Fails(acr.ErrSourceChanged, acr.ErrSizeMismatch)
		u.Count(0, "CompleteUpload")
	}
	for name, change := range map[string]func(f *os.File) error{
		"cut":      func(f *os.File) error { return f.Truncate(acrsuite.RowLead + 2*acrsuite.RowChunk) },
		"extended": func(f *os.File) error { return f.Truncate(acrsuite.RowLead + 9*acrsuite.RowChunk) },
		"changed":  func(f *os.File) error { _, err := f.WriteAt([]byte("changed"), 100); return err },
	} {
		acrsuite.Uploads(t, []string{acrsuite.AsFile}, func(u *acrsuite.Upload) {
			u.Note = name
			during(u, func() {
				if err := change(u.Source.(*os.File)); err != nil {
					u.Errorf("%v", err)
				}
			})
		})
	}
	acrsuite.Uploads(t, []string{acrsuite.AsReader}, func(u *acrsuite.Upload) { // between two attempts: the digest is of what was read first
		r := u.Open().(*acrsuite.ClosableAt)
		source := &turncoat{ReadSeeker: r, ReaderAt: r}
		u.Source = source
		u.Srv.On("UploadChunk").Nth(3).Do(func(http.ResponseWriter, *http.Request, http.Handler) {
			source.turned.Store(true)
			panic(http.ErrAbortHandler)
		})
		u.Srv.On("GetUploadStatus").Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		u.Lost = 1
		u.Fails(acr.ErrDigestMismatch)
	})
	for _, after := range []int64{0, 1, acrsuite.RowChunk, 3*acrsuite.RowChunk + 5} {
		acrsuite.Uploads(t, []string{acrsuite.AsReader, acrsuite.AsSeeker, acrsuite.AsStream, acrsuite.AsSpool}, func(u *acrsuite.Upload) {
			u.Note = fmt.Sprintf("fails after %d", after)
			u.Source = failing(u, after, errBoom)
			u.Fails(errBoom)
			u.Count(0, "CompleteUpload")
		})
		acrsuite.Uploads(t, []string{acrsuite.AsReader, acrsuite.AsSeeker}, func(u *acrsuite.Upload) {
			u.Note = fmt.Sprintf("ends after %d", after)
			u.Source = failing(u, after, io.EOF)
			u.Fails(acr.ErrSizeMismatch)
			u.Count(0, "CompleteUpload")
		})
	}
	acrsuite.Uploads(t, []string{acrsuite.AsStream, acrsuite.AsSpool}, func(u *acrsuite.Upload) { // gives nothing for ever
		u.Source = iotest.ErrReader(nil)
		u.Fails(io.ErrNoProgress)
	})
}

// failing is the source of the upload, which gives up after n bytes.
func failing(u *acrsuite.Upload, n int64, err error) io.Reader {
	whole := u.Open()
	switch u.How {
	case acrsuite.AsReader:
		r := whole.(*acrsuite.ClosableAt)
		return &failingAt{ReadSeeker: r, at: r, end: acrsuite.RowLead + n, err: err}
	case acrsuite.AsSeeker:
		s := whole.(*acrsuite.ClosableSeeker)
		return &failingSeeker{Seeker: s.Seeker, r: s.Reader, end: acrsuite.RowLead + n, err: err}
	}
	return io.MultiReader(io.LimitReader(whole, n), iotest.ErrReader(err))
}

type failingAt struct {
	io.ReadSeeker
	at  io.ReaderAt
	end int64
	err error
}

func (f *failingAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.end {
		n, _ := f.at.ReadAt(p[:max(f.end-off, 0)], off)
		return n, f.err
	}
	return f.at.ReadAt(p, off)
}

type failingSeeker struct {
	io.Seeker
	r   io.Reader
	end int64
	err error
}

func (f *failingSeeker) Read(p []byte) (int, error) {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at >= f.end {
		return 0, f.err
	}
	return f.r.Read(p[:min(int64(len(p)), f.end-at)])
}

func testNotMounted(t *testing.T) {
	mounting := func(r *http.Request) bool { return r.URL.Query().Has("mount") }
	for name, script := range map[string]func(u *acrsuite.Upload){
		"202": func(*acrsuite.Upload) {},
		"404": func(u *acrsuite.Upload) {
			u.Srv.On("StartUpload").Always().When(mounting).Status(404).Code("NAME_UNKNOWN", "repository name not known to registry")
		},
		"401": func(u *acrsuite.Upload) { u.Srv.On("StartUpload").Always().When(mounting).Status(401) },
		"403": func(u *acrsuite.Upload) { u.Srv.On("StartUpload").Always().When(mounting).Status(403) },
		"405": func(u *acrsuite.Upload) { u.Srv.On("StartUpload").Always().When(mounting).Status(405) },
	} {
		acrsuite.Uploads(t, acrsuite.ReaderSources, func(u *acrsuite.Upload) {
			u.Note = name
			u.Opts.Digest, u.Opts.MountFrom = u.Digest, []string{"other/one", "other/two"}
			script(u)
			u.Arrives()
			u.ResentAtMost(0)
			if u.Progress.Mounted {
				u.Errorf("%+v", u.Progress)
			}
		})
	}
	acrsuite.Uploads(t, acrsuite.ReaderSources, func(u *acrsuite.Upload) { // the second has it; one answer is lost
		u.Opts.Digest, u.Opts.MountFrom = u.Digest, []string{"other/one", "other/two"}
		u.Srv.SeedBlob(u.T, "other/two", u.Want)
		u.Srv.On("StartUpload").Nth(2).DropReply()
		u.Source = u.Open()
		if err := u.Send(); err != nil || !u.Progress.Mounted || u.Desc.Size != int64(len(u.Want)) || !u.Srv.HasBlob(u.Name, u.Digest) {
			u.Errorf("%+v %+v %v", u.Desc, u.Progress, err)
		}
		u.NothingOpen()
		u.Count(0, "UploadChunk")
		u.Count(0, "CompleteUpload")
	})
}
