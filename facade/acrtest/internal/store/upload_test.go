package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

func (f *fixture) session(name string) *store.Upload {
	f.t.Helper()
	u, err := f.StartUpload(name)
	if err == nil {
		err = u.Acquire(f.t.Context(), nil)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

func both(t *testing.T, test func(t *testing.T, opts store.Options)) {
	t.Helper()
	for name, opts := range map[string]store.Options{"memory": {}, "directory": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, opts)
		})
	}
}

// TestContent uploads blobs of sizes around the edges of segments and buffers, in odd pieces, and
// reads them back in odd ranges.
func TestContent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, opts store.Options) {
		f := newFixture(t, opts)
		random := rand.New(rand.NewPCG(5, 6))
		for _, size := range []int{0, 1, 4095, 4096, 4097, 12287, 12288, 12289, 256 << 10, 1<<20 + 1, 3<<20 + 7} {
			content := make([]byte, size)
			for i := range content {
				content[i] = byte(random.Uint32())
			}
			u := f.session("r")
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(300000))
				if _, err := u.Append(bytes.NewReader(rest[:n])); err != nil {
					t.Fatal(err)
				}
				u.Release()
				f.ok(u.Acquire(t.Context(), nil))
				rest = rest[n:]
			}
			algorithm := []digest.Algorithm{digest.SHA256, digest.SHA512, digest.SHA384}[size%3]
			b, err := u.Commit(algorithm.FromBytes(content))
			u.Release()
			f.ok(err)
			readRanges(t, b, content, random)
		}
	})
}

func readRanges(t *testing.T, b store.Blob, content []byte, random *rand.Rand) {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for range 20 {
		off := random.IntN(len(content) + 1)
		n := random.IntN(len(content) - off + 1)
		var got bytes.Buffer
		if err := r.WriteRange(&got, int64(off), int64(n)); err != nil || !bytes.Equal(got.Bytes(), content[off:off+n]) {
			t.Fatalf("range %d+%d of %d: %v", off, n, len(content), err)
		}
	}
	if len(content) > 20_000 {
		return // the reader's test goes byte by byte
	}
	if err := iotest.TestReader(io.NewSectionReader(r, 0, b.Size), content); err != nil {
		t.Error(err)
	}
}

// TestBrokenOff wants what arrived before an error to stay, and the session to go on.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, opts store.Options) {
		f := newFixture(t, opts)
		u := f.session("r")
		broken := errors.New("broken off")
		n, err := u.Append(io.MultiReader(strings.NewReader("hello, "), iotest.ErrReader(broken)))
		if n != 7 || !errors.Is(err, broken) || u.Offset() != 7 || u.Acknowledged() != 0 {
			t.Fatalf("%d, %v, offset %d, acknowledged %d", n, err, u.Offset(), u.Acknowledged())
		}
		u.Release()
		f.ok(u.Acquire(t.Context(), nil))
		defer u.Release()
		_, err = u.Append(strings.NewReader("world"))
		f.ok(err)
		_, err = u.Commit(digest.FromString("hello, world"))
		f.ok(err)
		_, err = f.Upload("r", u.ID)
		f.refused(err, store.ErrUploadUnknown)
	})
}

// TestWrongDigest ends the session and keeps nothing.
func TestWrongDigest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, opts store.Options) {
		f := newFixture(t, opts)
		_, err := f.PutBlob("r", strings.NewReader("a"), digest.FromString("b"))
		f.refused(err, store.ErrDigestMismatch)
		_, err = f.Content(digest.FromString("a"))
		f.refused(err, store.ErrBlobUnknown)
	})
}

// TestTurns wants one request at a time in a session, and the others to learn that it has ended.
func TestTurns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	u := f.session("r")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.refused(u.Acquire(ctx, nil), context.Canceled)
	waiting := make(chan error)
	go func() { waiting <- u.Acquire(t.Context(), nil) }()
	u.Cancel()
	u.Release()
	f.refused(<-waiting, store.ErrUploadUnknown)
}

// TestExpiry wants sessions to end with their time, also those that nobody asks for again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{UploadTTL: time.Hour})
	old, busy := f.session("r"), f.session("r")
	old.Release()
	f.now = f.now.Add(61 * time.Minute)
	_, err := f.Upload("r", old.ID)
	f.refused(err, store.ErrUploadUnknown)
	f.session("r").Release() // starting one looks for the others
	f.refused(old.Acquire(t.Context(), nil), store.ErrUploadUnknown)
	_, err = busy.Append(strings.NewReader("a"))
	f.ok(err)
	_, err = busy.Commit(digest.FromString("a"))
	f.ok(err) // one that is in use is let be
	busy.Release()
}

// TestSharedContent wants content to stay while any repository links to it, and to go with the
// last.
func TestSharedContent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, opts store.Options) {
		f := newFixture(t, opts)
		d := f.blob("a", "x")
		f.blob("b", "x")
		_, err := f.MountBlob("c", "a", d)
		f.ok(err)
		_, err = f.MountBlob("c", "nowhere", d)
		f.refused(err, store.ErrBlobUnknown)
		reader, err := f.Content(d)
		f.ok(err)
		r, err := reader.Open()
		f.ok(err)
		defer func() { _ = r.Close() }()
		for _, name := range []string{"a", "b", "c"} {
			if _, err := f.Content(d); err != nil {
				t.Errorf("gone before %s: %v", name, err)
			}
			f.ok(f.DeleteBlob(name, d))
			f.refused(f.DeleteBlob(name, d), store.ErrBlobUnknown)
		}
		_, err = f.Content(d)
		f.refused(err, store.ErrBlobUnknown)
		var got bytes.Buffer
		if err := r.WriteRange(&got, 0, 1); err != nil || got.String() != "x" {
			t.Errorf("what was open: %q, %v", &got, err)
		}
	})
}

// TestCollect frees what no manifest names, after its time of grace.
func TestCollect(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Options{})
	d := f.image("r", 1)
	stray := f.blob("r", "stray")
	collected := func(grace time.Duration, want int) {
		t.Helper()
		if c, err := f.Collect(grace); err != nil || c.Blobs != want {
			t.Errorf("collected %+v, %v; want %d blobs", c, err, want)
		}
	}
	f.now = f.now.Add(time.Hour)
	collected(2*time.Hour, 0)
	collected(time.Minute, 1)
	_, err := f.Blob("r", stray)
	f.refused(err, store.ErrBlobUnknown)
	f.ok(f.DeleteManifest("r", d))
	collected(0, 1)
}

// TestConcurrency does everything at once, for the race detector, and then wants the counts to add
// up.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, opts store.Options) {
		opts.ReplicaLag = time.Nanosecond
		st, err := store.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		const workers, rounds = 8, 40
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					if err := work(st, w, i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		p, err := st.Repository("r")
		if err != nil || p.Tags != workers*rounds/2 {
			t.Errorf("%+v, %v; want %d tags", p, err, workers*rounds/2)
		}
	})
}

func work(st *store.Store, w, i int) error {
	b, err := st.PutBlob("r", strings.NewReader(fmt.Sprint("blob", i)), "")
	if err != nil {
		return err
	}
	if _, err := st.MountBlob(fmt.Sprint("m", w), "r", b.Digest); err != nil {
		return err
	}
	content := fmt.Appendf(nil, `{"config":{"digest":%q},"annotations":{"n":"%d"}}`, b.Digest, i)
	tag := fmt.Sprintf("t%d-%d", w, i)
	if _, err := st.PutManifest("r", store.Push{MediaType: mediaType, Content: content, Tags: []string{tag}}); err != nil {
		return err
	}
	st.Repositories(store.Page{N: 10})
	if _, _, err := st.Manifests("r", store.Page{N: 10, Order: store.Order(i % 3)}); err != nil && !errors.Is(err, store.ErrRepositoryUnknown) {
		return err
	}
	if err := st.DeleteBlob(fmt.Sprint("m", w), b.Digest); err != nil {
		return err
	}
	if i%2 == 1 {
		_, err = st.DeleteTag("r", tag)
	}
	if i%10 == 0 {
		_, err = st.Collect(time.Hour)
	}
	return err
}
