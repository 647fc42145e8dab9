package acr_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// No method of a nil pointer or a zero value panics, and each that can fail says what is wrong.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		(*acr.Client)(nil), &acr.Client{}, (*acr.Repository)(nil), &acr.Repository{}, (*acr.Artifact)(nil), &acr.Artifact{},
		(*acr.Client)(nil).Repository("a"), (&acr.Client{}).Repository("a"), (*acr.Repository)(nil).Artifact("v1"), (&acr.Client{}).Repository("a").Artifact("v1"),
		(*acr.Conversion)(nil), &acr.Conversion{}, (*acr.Repository)(nil).Conversion("1"), (&acr.Client{}).Repository("a").Conversion("1"),
		acr.ArtifactName{}, acr.ConversionStatus{}, acr.ErrorCode(""), acr.Usage{},
		(*acr.Governor)(nil), &acr.Governor{}, &acr.Error{}, &acr.ArgumentError{}, acr.Progress{},
		(*acr.BlobWriter)(nil), &acr.BlobWriter{}, (*acr.BlobReader)(nil), &acr.BlobReader{}, (*acr.BlobReaderAt)(nil), &acr.BlobReaderAt{},
	} {
		value := reflect.ValueOf(v)
		for m := range value.Type().Methods() {
			if m.Name == "Format" {
				continue // fmt calls it
			}
			call(t, value, m)
		}
		_ = fmt.Sprintf("%v %+v %#v %s", v, v, v, v)
	}
}

// TestUnmadeRepository: what is made with a nil or zero repository says that the repository is wrong.
func TestUnmadeRepository(t *testing.T) {
	t.Parallel()
	for _, r := range []*acr.Repository{nil, {}} {
		_, ofTag := r.Artifact("v1").Digest(t.Context())
		_, ofID := r.Conversion("1").Poll(t.Context())
		for _, err := range []error{ofTag, ofID} {
			if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != "Repository" {
				t.Error(err)
			}
		}
	}
	for _, a := range []*acr.Artifact{nil, {}} {
		_, err := a.Digest(t.Context())
		if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != "Artifact" {
			t.Error(err)
		}
	}
}

// call calls a method with zero arguments.
func call(t *testing.T, value reflect.Value, m reflect.Method) {
	t.Helper()
	name := fmt.Sprintf("%s.%s", value.Type(), m.Name)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s of a zero value panics: %v", name, p)
		}
	}()
	f := value.MethodByName(m.Name)
	var args []reflect.Value
	for i := range f.Type().NumIn() {
		if in := f.Type().In(i); in.String() == "context.Context" {
			args = append(args, reflect.ValueOf(t.Context()))
		} else if i < f.Type().NumIn()-1 || !f.Type().IsVariadic() {
			args = append(args, reflect.Zero(in))
		}
	}
	for _, out := range f.Call(args) {
		err, ok := reflect.TypeAssert[error](out)
		switch {
		case ok && !errors.Is(err, acr.ErrInvalidArgument):
			t.Errorf("%s: %v", name, err)
		case out.Type().String() == "error" && out.IsNil():
			t.Errorf("%s of a zero value succeeds", name)
		case out.Kind() == reflect.Func && out.Type().NumIn() == 1 && !out.IsNil():
			for k, v := range out.Seq2() {
				if err, ok := reflect.TypeAssert[error](v); !ok || !errors.Is(err, acr.ErrInvalidArgument) {
					t.Errorf("%s yields %v and %v", name, k, v)
				}
			}
		}
	}
}

// A credential whose maker failed is told from no credential, and a policy that is nil is refused before it is called.
func TestNilCredentialAndPolicy(t *testing.T) {
	t.Parallel()
	var cred *pointerCredential
	_, err := acr.NewClient("myregistry.azurecr.io", cred, nil)
	if !errors.Is(err, acr.ErrInvalidArgument) || !strings.Contains(err.Error(), "nil *acr_test.pointerCredential") {
		t.Error(err)
	}
	var calls, retries acr.ClientOptions
	calls.PerCallPolicies, retries.PerRetryPolicies = []policy.Policy{nil}, []policy.Policy{nil}
	for _, o := range []*acr.ClientOptions{&calls, &retries} {
		if _, err := acr.NewClient("myregistry.azurecr.io", nil, o); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Error(err)
		}
	}
}

type pointerCredential struct{ token string }

// GetToken implements azcore.TokenCredential.
func (c *pointerCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: c.token}, nil
}

// pointerPolicy is a policy whose pointer can be nil.
type pointerPolicy struct{ header string }

// Do implements policy.Policy.
func (p *pointerPolicy) Do(req *policy.Request) (*http.Response, error) {
	req.Raw().Header.Set("X-Test", p.header)
	return req.Next()
}

// TestNilPointers: a nil pointer in an interface is refused like nil, before anything is sent.
func TestNilPointers(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	d := srv.SeedBlob(t, "a/b", []byte("content"))
	b, err := r.GetBlob(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	w, err := r.StartUpload(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Cancel() }()
	before := srv.Ledger().Count()
	var file *os.File
	var buffer *bytes.Buffer
	for name, call := range map[string]func() error{
		"src: UploadBlob of a file":   func() error { _, err := r.UploadBlob(t.Context(), file, nil); return err },
		"src: UploadBlob of a buffer": func() error { _, err := r.UploadBlob(t.Context(), buffer, nil); return err },
		"src: ReadFrom":               func() error { _, err := w.ReadFrom(buffer); return err },
		"w: WriteTo":                  func() error { _, err := b.WriteTo(buffer); return err },
		"w: WriteTo of a report":      func() error { _, err := (&acr.DoctorReport{}).WriteTo(nil); return err },
		"dst: DownloadBlob":           func() error { _, err := r.DownloadBlob(t.Context(), d, file, nil); return err },
		"cred: NewClient": func() error {
			_, err := acr.NewClient("myregistry.azurecr.io", (*pointerCredential)(nil), nil)
			return err
		},
		"PerCallPolicies and PerRetryPolicies: NewClient": func() error {
			o := &acr.ClientOptions{}
			o.PerCallPolicies = []policy.Policy{(*pointerPolicy)(nil)}
			_, err := acr.NewClient("myregistry.azurecr.io", nil, o)
			return err
		},
	} {
		argument, _, _ := strings.Cut(name, ":")
		err := call()
		if e, ok := errors.AsType[*acr.ArgumentError](err); !ok || e.Argument != argument || !strings.Contains(e.Reason, "nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := srv.Ledger().Count(); n != before {
		t.Errorf("%d requests", n-before)
	}
}

// A nil function is no list.
func TestCollectNothing(t *testing.T) {
	t.Parallel()
	if all, err := acr.Collect[string](nil); len(all) > 0 || !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("%q, %v", all, err)
	}
}

// A manifest that is nil or empty is malformed, and a governor that nobody made is refused before a request needs it.
func TestZeroManifestAndGovernor(t *testing.T) {
	t.Parallel()
	for _, m := range []*acr.Manifest{nil, {}} {
		_, image := m.Image()
		_, index := m.Index()
		if !errors.Is(image, acr.ErrManifestMalformed) || !errors.Is(index, acr.ErrManifestMalformed) {
			t.Errorf("%v, %v", image, index)
		}
	}
	if _, err := acr.NewClient("myregistry.azurecr.io", nil, &acr.ClientOptions{Governor: &acr.Governor{}}); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
}

// What a caller does wrong is an error that says so, and changes nothing.
func TestMisuse(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F92 misuse", func(t *testing.T) {
		t.Run("writer", misusedWriter)
		t.Run("ended writer", endedWriter)
		t.Run("reader", misusedReader)
		t.Run("source", lyingSources)
	})
}

// writerCalls are all ways to use a writer that may fail.
var writerCalls = map[string]func(w *acr.BlobWriter) error{
	"Write":    func(w *acr.BlobWriter) error { _, err := w.Write([]byte("x")); return err },
	"ReadFrom": func(w *acr.BlobWriter) error { _, err := w.ReadFrom(strings.NewReader("x")); return err },
	"Commit":   func(w *acr.BlobWriter) error { _, err := w.Commit(); return err },
	"Close":    func(w *acr.BlobWriter) error { return w.Close() },
	"Cancel":   func(w *acr.BlobWriter) error { return w.Cancel() },
}

// A writer that another goroutine uses meanwhile goes on as if nothing were.
func misusedWriter(t *testing.T) {
	t.Parallel()
	for _, spool := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
			r := acrsuite.NewClient(t, srv).Repository("a/b")
			w, err := r.StartUpload(t.Context(), &acr.StartUploadOptions{Spool: spool, Progress: func(acr.Progress) {}})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := w.ReadFrom(nil); n != 0 || !errors.Is(err, acr.ErrInvalidArgument) {
				t.Errorf("nothing to read from: %d, %v", n, err)
			}
			source, sink := io.Pipe()
			first := make(chan error)
			go func() { _, err := w.ReadFrom(source); first <- err }()
			synctest.Wait()
			for name, call := range writerCalls {
				if err := call(w); err == nil || !strings.Contains(err.Error(), "two goroutines") {
					t.Errorf("%s meanwhile: %v", name, err)
				}
			}
			_, _ = io.WriteString(sink, "content")
			_ = sink.Close()
			if err := <-first; err != nil {
				t.Error(err)
			}
			desc, err := w.Commit()
			if err != nil || desc.Digest != digest.FromString("content") || !srv.HasBlob("a/b", desc.Digest) {
				t.Errorf("%+v, %v", desc, err)
			}
			for range 2 {
				stillEnded(t, w)
			}
			srv.Ledger().AtMost(t, 0, "CancelUpload")
		})
	}
}

// stillEnded demands that nothing can be done with a writer, and that to end it again is no error.
func stillEnded(t *testing.T, w *acr.BlobWriter) {
	t.Helper()
	for name, call := range writerCalls {
		ends := name == "Close" || name == "Cancel"
		if err := call(w); ends && err != nil || !ends && !errors.Is(err, acr.ErrClosed) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func endedWriter(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"Close", "Cancel"} {
		for _, content := range []int{0, 10, 200_000} {
			srv := acrsuite.NewServer(t)
			w, err := acrsuite.NewClient(t, srv).Repository("a/b").StartUpload(t.Context(), &acr.StartUploadOptions{ChunkSize: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, content)); err != nil {
				t.Error(err)
			}
			if err := writerCalls[end](w); err != nil {
				t.Error(err)
			}
			for range 2 {
				stillEnded(t, w)
			}
			if n := srv.Ledger().Count("CompleteUpload"); n != 0 {
				t.Errorf("%s: %d uploads were completed", end, n)
			}
		}
	}
}

// A reader takes one read at a time. Close may come at any time, ends a read that is under way, and may be repeated.
func misusedReader(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(ctx context.Context, r *acr.Repository, d digest.Digest) (io.ReadCloser, error){
		"GetBlob": func(ctx context.Context, r *acr.Repository, d digest.Digest) (io.ReadCloser, error) {
			return r.GetBlob(ctx, d, &acr.GetBlobOptions{Progress: func(acr.Progress) {}})
		},
		"GetBlobRange": func(ctx context.Context, r *acr.Repository, d digest.Digest) (io.ReadCloser, error) {
			return r.GetBlobRange(ctx, d, 0, -1)
		},
	} {
		for _, read := range []func(io.Reader) error{
			func(r io.Reader) error { _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); return err },
			func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
		} {
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				d := srv.SeedBlob(t, "a/b", acrsuite.Content(100_000))
				srv.On("GetBlobContent").Always().StallAfter(50_000)
				b, err := open(t.Context(), acrsuite.NewClient(t, srv).Repository("a/b"), d)
				if err != nil {
					t.Fatal(err)
				}
				if w, ok := b.(io.WriterTo); ok {
					if _, err := w.WriteTo(nil); !errors.Is(err, acr.ErrInvalidArgument) {
						t.Errorf("%s: nothing to write to: %v", name, err)
					}
				}
				first := make(chan error)
				go func() { first <- read(b) }()
				synctest.Wait()
				if _, err := b.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "two goroutines") {
					t.Errorf("%s: a read meanwhile: %v", name, err)
				}
				for range 2 {
					if err := b.Close(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := <-first; !errors.Is(err, acr.ErrClosed) {
					t.Errorf("%s: a read that Close ends: %v", name, err)
				}
				if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, acr.ErrClosed) {
					t.Errorf("%s: after Close: %d, %v", name, n, err)
				}
			})
		}
	}
}

// liar is a source whose reads return a wrong count, and which states a wrong end.
type liar struct {
	*bytes.Reader
	extra int   // that each read states too much
	more  int64 // that it has more than it states
	empty bool  // its reads return nothing
}

func (l *liar) Read(p []byte) (int, error) {
	if l.empty {
		return 0, nil
	}
	n, err := l.Reader.Read(p)
	return n + l.extra, err
}

func (l *liar) Seek(off int64, whence int) (int64, error) {
	n, err := l.Reader.Seek(off, whence)
	if whence == io.SeekEnd {
		n -= l.more
	}
	return n, err
}

func (l *liar) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.Reader.ReadAt(p, off)
	return n + l.extra, err
}

// A source that is not what it states is refused, however it is read.
func lyingSources(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	for _, size := range []int{100, 300_000} {
		content := acrsuite.Content(size)
		for name, row := range map[string]struct {
			lie    liar
			stated int64
			want   string
		}{
			"more than was asked for": {liar{extra: 1 << 20}, 0, "impossible count"},
			"less than nothing":       {liar{extra: -1 << 30}, 0, "impossible count"},
			"nothing, for ever":       {liar{empty: true}, 0, io.ErrNoProgress.Error()},
			"shorter than stated":     {liar{}, int64(size) + 1, acr.ErrSizeMismatch.Error()},
			"longer than stated":      {liar{}, int64(size) - 1, acr.ErrSizeMismatch.Error()},
			"a longer end":            {liar{more: -100}, 0, acr.ErrSizeMismatch.Error()},
			"a shorter end":           {liar{more: 50}, 0, acr.ErrSourceChanged.Error()},
		} {
			sources := map[string]func(l *liar) io.Reader{
				"seeker": func(l *liar) io.Reader { return seekerOf{l} },
				"stream": func(l *liar) io.Reader { return acrsuite.Stream{Reader: l} },
			}
			if row.lie.more != 0 {
				delete(sources, "stream") // which states no end
			}
			for kind, source := range sources {
				for _, spool := range []bool{false, true} {
					l := row.lie
					l.Reader = bytes.NewReader(content)
					_, err := r.UploadBlob(t.Context(), source(&l), &acr.UploadOptions{ChunkSize: 64 << 10, Size: row.stated, Spool: spool})
					if err == nil || !strings.Contains(err.Error(), row.want) {
						t.Errorf("%s of %d bytes that reads %s: %v, want %s", kind, size, name, err, row.want)
					}
				}
			}
		}
	}
	if n := srv.Ledger().Count("CompleteUpload"); n != 0 {
		t.Errorf("%d uploads were completed", n)
	}
}

// seekerOf has no ReadAt.
type seekerOf struct{ l *liar }

func (s seekerOf) Read(p []byte) (int, error)                { return s.l.Read(p) }
func (s seekerOf) Seek(off int64, whence int) (int64, error) { return s.l.Seek(off, whence) }
func (s seekerOf) Size() int64                               { return s.l.Size() }
