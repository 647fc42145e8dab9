package acr_test

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
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

var _ = expect("F37", "F38", "F39", "F40", "F41", "F42", "F43")

// TestSuiteUploadSource: sizes, sources that are not what they said, and less work than uploading.
func TestSuiteUploadSource(t *testing.T) {
	t.Parallel()
	row(t, "F37 more than 2 GiB", survived, testManyBytes)
	row(t, "F38 last chunk of 0 bytes", survived, func(t *testing.T) {
		for _, chunks := range []int{1, 2, 3} {
			uploads(t, everySource, func(u *upload) {
				u.note = fmt.Sprintf("%d chunks", chunks)
				u.fill(chunks * rowChunk)
				u.arrives()
				u.resentAtMost(0)
				for _, q := range u.srv.Ledger().Requests("UploadChunk") {
					if q.BytesIn == 0 {
						u.errorf("an empty chunk: %s", q)
					}
				}
				u.count(1, "CompleteUpload")
			})
		}
	})
	row(t, "F39 empty blob", survived, func(t *testing.T) {
		for _, byChunks := range []bool{true, false} {
			uploads(t, everySource, func(u *upload) {
				u.note = fmt.Sprintf("by chunks: %v", byChunks)
				if !byChunks {
					u.tune = nil
				}
				u.fill(0)
				u.arrives()
				u.count(0, "UploadChunk")
			})
		}
	})
	row(t, "F40 source that is not what was stated", cleanError, testOtherSource)
	row(t, "F41 503 on the start", survived, func(t *testing.T) {
		uploads(t, everySource, func(u *upload) {
			u.srv.On("StartUpload").Status(503)
			u.arrives()
			u.count(2, "StartUpload")
			u.resentAtMost(0)
		})
		uploads(t, everySource, func(u *upload) { // of a blob that goes with it
			u.tune = nil
			u.srv.On("StartUpload").First(2).Status(503, time.Second)
			u.arrives()
			u.count(3, "StartUpload")
		})
	})
	row(t, "F42 blob not mounted", survived, testNotMounted)
	row(t, "F43 two writers of one blob", survived, func(t *testing.T) {
		uploads(t, readerSources, func(u *upload) {
			u.ctx = transfer.WithTuning(u.ctx, small)
			var all sync.WaitGroup
			for range 4 {
				source := u.open()
				all.Go(func() {
					desc, err := u.repository().UploadBlob(u.ctx, source, &u.opts)
					if err != nil || desc.Digest != u.dgst {
						u.errorf("%v %v", desc, err)
					}
				})
			}
			all.Wait()
			u.opts.Digest = u.dgst // the fifth knows it
			u.srv.Ledger().Reset()
			u.arrives()
			if !u.again() || u.how == asSpool { // of a stream nobody knows that asking costs as much as sending
				u.count(1, "HeadBlob")
				u.count(0, "UploadChunk")
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
	resp := answer(404, "")
	switch {
	case strings.HasPrefix(r.URL.Path, "/oauth2/"):
		resp = answer(200, `{"access_token":"opaque"}`)
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
		resp = answer(202, "", "Location", fmt.Sprintf("/v2/big/blob/blobs/uploads/x?_state=%d", c.at), "Range", fmt.Sprintf("0-%d", c.at-1))
		if r.Method == http.MethodPut {
			resp, c.done = answer(201, ""), digest.Digest(r.URL.Query().Get("digest"))
		}
	case r.Method == http.MethodPost:
		resp = answer(202, "", "Location", "/v2/big/blob/blobs/uploads/x?_state=0", "Range", "0-0")
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
	for _, n := range []int64{1, rowSize - 1, rowSize + 1, rowSize * 2} {
		uploads(t, readerSources, func(u *upload) {
			u.note = fmt.Sprintf("stated %d", n)
			u.opts.Size = n
			u.fails(acr.ErrSizeMismatch)
			u.count(0, "CompleteUpload")
			if u.how != asStream && u.how != asSpool {
				u.count(0, "StartUpload")
			}
		})
	}
	uploads(t, everySource, func(u *upload) {
		u.note = "another digest"
		u.opts.Digest = digest.FromString("another")
		u.fails(acr.ErrDigestMismatch)
		u.count(0, "CompleteUpload")
	})
	during := func(u *upload, do func()) {
		u.source = u.open()
		u.srv.On("UploadChunk").Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			do()
			next.ServeHTTP(w, r)
		})
		u.fails(acr.ErrSourceChanged, acr.ErrSizeMismatch)
		u.count(0, "CompleteUpload")
	}
	for name, change := range map[string]func(f *os.File) error{
		"cut":      func(f *os.File) error { return f.Truncate(rowLead + 2*rowChunk) },
		"extended": func(f *os.File) error { return f.Truncate(rowLead + 9*rowChunk) },
		"changed":  func(f *os.File) error { _, err := f.WriteAt([]byte("changed"), 100); return err },
	} {
		uploads(t, []string{asFile}, func(u *upload) {
			u.note = name
			during(u, func() {
				if err := change(u.source.(*os.File)); err != nil {
					u.errorf("%v", err)
				}
			})
		})
	}
	uploads(t, []string{asReader}, func(u *upload) { // between two attempts: the digest is of what was read first
		r := u.open().(*closableAt)
		source := &turncoat{ReadSeeker: r, ReaderAt: r}
		u.source = source
		u.srv.On("UploadChunk").Nth(3).Do(func(http.ResponseWriter, *http.Request, http.Handler) {
			source.turned.Store(true)
			panic(http.ErrAbortHandler)
		})
		u.srv.On("GetUploadStatus").Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		u.lost = 1
		u.fails(acr.ErrDigestMismatch)
	})
	for _, after := range []int64{0, 1, rowChunk, 3*rowChunk + 5} {
		uploads(t, []string{asReader, asSeeker, asStream, asSpool}, func(u *upload) {
			u.note = fmt.Sprintf("fails after %d", after)
			u.source = failing(u, after, errBoom)
			u.fails(errBoom)
			u.count(0, "CompleteUpload")
		})
		uploads(t, []string{asReader, asSeeker}, func(u *upload) {
			u.note = fmt.Sprintf("ends after %d", after)
			u.source = failing(u, after, io.EOF)
			u.fails(acr.ErrSizeMismatch)
			u.count(0, "CompleteUpload")
		})
	}
	uploads(t, []string{asStream, asSpool}, func(u *upload) { // gives nothing for ever
		u.source = iotest.ErrReader(nil)
		u.fails(io.ErrNoProgress)
	})
}

// failing is the source of the upload, which gives up after n bytes.
func failing(u *upload, n int64, err error) io.Reader {
	whole := u.open()
	switch u.how {
	case asReader:
		r := whole.(*closableAt)
		return &failingAt{ReadSeeker: r, at: r, end: rowLead + n, err: err}
	case asSeeker:
		s := whole.(*closableSeeker)
		return &failingSeeker{Seeker: s.Seeker, r: s.Reader, end: rowLead + n, err: err}
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
	for name, script := range map[string]func(u *upload){
		"202": func(*upload) {},
		"404": func(u *upload) {
			u.srv.On("StartUpload").Always().When(mounting).Status(404).Code("NAME_UNKNOWN", "repository name not known to registry")
		},
		"401": func(u *upload) { u.srv.On("StartUpload").Always().When(mounting).Status(401) },
		"403": func(u *upload) { u.srv.On("StartUpload").Always().When(mounting).Status(403) },
		"405": func(u *upload) { u.srv.On("StartUpload").Always().When(mounting).Status(405) },
	} {
		uploads(t, readerSources, func(u *upload) {
			u.note = name
			u.opts.Digest, u.opts.MountFrom = u.dgst, []string{"other/one", "other/two"}
			script(u)
			u.arrives()
			u.resentAtMost(0)
			if u.progress.Mounted {
				u.errorf("%+v", u.progress)
			}
		})
	}
	uploads(t, readerSources, func(u *upload) { // the second has it; one answer is lost
		u.opts.Digest, u.opts.MountFrom = u.dgst, []string{"other/one", "other/two"}
		u.srv.SeedBlob(u.t, "other/two", u.want)
		u.srv.On("StartUpload").Nth(2).DropReply()
		u.source = u.open()
		if err := u.send(); err != nil || !u.progress.Mounted || u.desc.Size != int64(len(u.want)) || !u.srv.HasBlob(u.name, u.dgst) {
			u.errorf("%+v %+v %v", u.desc, u.progress, err)
		}
		u.nothingOpen()
		u.count(0, "UploadChunk")
		u.count(0, "CompleteUpload")
	})
}
