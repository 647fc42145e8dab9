package images_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// Several processes make a layout of the same directory at once: each finds one.
func TestLayoutCreateTogether(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := filepath.Join(t.TempDir(), "layout")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := images.OpenLayout(dir, &images.LayoutOptions{Create: true})
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.Close()
			})
		}
		wg.Wait()
	}
}

// What a process that was killed while it made a layout has left does not hinder the next one, and Prune removes it.
func TestLayoutCreateContinues(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", "layer"), "v1")
	dir := s.dir()
	left := filepath.Join(dir, ".images-KILLED")
	writeFile(t, left, []byte("half"))
	if err := os.Remove(filepath.Join(dir, ocispec.ImageLayoutFile)); err != nil {
		t.Fatal(err)
	}
	l := openLayout(t, dir, &images.LayoutOptions{Create: true})
	if _, err := l.Resolve(t.Context(), "v1"); err != nil {
		t.Errorf("index.json was replaced: %v", err)
	}
	if freed, err := l.Prune(t.Context()); err != nil || freed != 4 {
		t.Errorf("%d, %v", freed, err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	// A file of that name that is not ours stays as it is, and no layout is made around it.
	for _, theirs := range []string{`{"hello":"world"}`, "", "[]"} {
		strange := t.TempDir()
		writeFile(t, filepath.Join(strange, "index.json"), []byte(theirs))
		_, err := images.OpenLayout(strange, &images.LayoutOptions{Create: true})
		entries, _ := os.ReadDir(strange)
		if got := string(readFile(t, filepath.Join(strange, "index.json"))); !errors.Is(err, images.ErrNotLayout) || got != theirs || len(entries) != 1 {
			t.Errorf("%q became %q, %v, %v", theirs, got, entries, err)
		}
	}
}

// A name that another process has set since the layout was opened does not move with IfAbsent.
func TestLayoutIfAbsentOfOthers(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	one, two := s.image("amd64", "one"), s.image("amd64", "two")
	s.name(one, "one")
	s.name(two, "two")
	from, dir := openLayout(t, s.dir(), nil), t.TempDir()
	early := openLayout(t, dir, &images.LayoutOptions{Create: true})
	if _, err := images.Copy(t.Context(), from, "one", openLayout(t, dir, nil), "v1", nil); err != nil {
		t.Fatal(err)
	}
	report, err := images.Copy(t.Context(), from, "two", early, "v1", &images.CopyOptions{IfAbsent: true})
	if !errors.Is(err, acr.ErrTagExists) || report.Bytes.Sent != 0 {
		t.Errorf("%v, %+v", err, report)
	}
	if plan, err := images.Plan(t.Context(), from, "two", early, "v1", nil); err != nil || plan.Tags[0].From != one.Digest {
		t.Errorf("the plan does not know that the name moves: %+v, %v", plan, err)
	}
	// A name that another program has entered twice is on two images.
	s.name(one, "twice")
	s.name(two, "twice")
	twice := openLayout(t, s.dir(), nil)
	for _, name := range []string{"one", "two"} {
		if _, err := images.Copy(t.Context(), from, name, twice, "twice", &images.CopyOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := images.Copy(t.Context(), from, "two", twice, "twice", nil); err != nil {
		t.Error(err)
	}
	if d, err := twice.Resolve(t.Context(), "twice"); err != nil || d.Digest != two.Digest {
		t.Errorf("%v, %v", d, err)
	}
}

// Of several processes that set the same name with IfAbsent at once, one does. All of them may share blobs.
func TestLayoutIfAbsentRace(t *testing.T) {
	t.Parallel()
	const writers = 8
	s := newStock(t)
	var roots []ocispec.Descriptor
	for i := range writers {
		root := s.image("amd64", "shared layer", fmt.Sprint("layer ", i))
		s.name(root, fmt.Sprint("image", i))
		roots = append(roots, root)
	}
	in, dir := s.dir(), filepath.Join(t.TempDir(), "layout")
	var mu sync.Mutex
	var won []ocispec.Descriptor
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			from, err := images.OpenLayout(in, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer from.Close()
			to, err := images.OpenLayout(dir, &images.LayoutOptions{Create: true, NoSync: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer to.Close()
			if _, err := images.Copy(t.Context(), from, fmt.Sprint("image", i), to, fmt.Sprint("own", i), nil); err != nil {
				t.Error(err)
			}
			switch _, err := images.Copy(t.Context(), from, fmt.Sprint("image", i), to, "v1", &images.CopyOptions{IfAbsent: true}); {
			case err == nil:
				mu.Lock()
				won = append(won, roots[i])
				mu.Unlock()
			case !errors.Is(err, acr.ErrTagExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l := openLayout(t, dir, nil)
	if d, err := l.Resolve(t.Context(), "v1"); err != nil || len(won) != 1 || d.Digest != won[0].Digest {
		t.Errorf("%d have set the name, it is on %s, %v", len(won), d.Digest, err)
	}
	if n := len(slices.Collect(l.Entries())); n != writers+1 {
		t.Errorf("%d names", n)
	}
	s.holds(dir, roots...)
	noTemporaryFiles(t, dir)
}

// A layout can be opened while other processes replace its index.json all the time.
func TestLayoutOpenDuringWrites(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	image := s.image("amd64", "layer")
	s.name(image, "v1")
	dir := s.dir()
	index, raw := filepath.Join(dir, "index.json"), readFile(t, filepath.Join(dir, "index.json"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for fresh := fmt.Sprint(index, i); ; {
				select {
				case <-done:
					return
				default:
				}
				if err := errors.Join(os.WriteFile(fresh, raw, 0o600), os.Rename(fresh, index)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 1000 {
		l, err := images.OpenLayout(dir, nil)
		if err != nil {
			t.Error(err)
			break
		}
		_ = l.Close()
	}
	close(done)
	wg.Wait()
}

// hooked is a source that does something before it hands out some content, or when that has been read.
type hooked struct {
	*memory

	at     string // the content
	before bool
	once   *sync.Once
	hook   func()
}

func (h hooked) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := h.memory.Fetch(ctx, d)
	if d.Digest != describe(h.at).Digest {
		return r, err
	}
	if h.before {
		h.once.Do(h.hook)
	}
	return hookedReader{r, h}, err
}

type hookedReader struct {
	io.ReadCloser

	h hooked
}

func (r hookedReader) Close() error {
	r.h.once.Do(r.h.hook)
	return r.ReadCloser.Close()
}

// A clean-up in the middle of a copy removes what no name reaches yet: then the copy enters no name, and the next one
// completes it.
func TestPruneDuringCopy(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		testPruneDuringCopy(t, before)
	}
}

func testPruneDuringCopy(t *testing.T, before bool) {
	t.Helper()
	s := newStock(t)
	root := s.index(s.image("amd64", "small", strings.Repeat("a large layer goes first", 100)))
	dir := t.TempDir()
	to := openLayout(t, dir, &images.LayoutOptions{Create: true})
	from := hooked{memory: s.memory(root), at: "small", before: before, once: &sync.Once{}, hook: func() {
		l, err := images.OpenLayout(dir, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		if freed, err := l.Prune(t.Context()); err != nil || freed == 0 {
			t.Errorf("%d, %v", freed, err)
		}
	}}
	one := &images.CopyOptions{Concurrency: 1}
	_, err := images.Copy(t.Context(), from, "v1", to, "v1", one)
	if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "Prune") {
		t.Errorf("%v", err)
	}
	s.noHalfLayout(dir, "after the clean-up")
	if _, err := images.Copy(t.Context(), from, "v1", to, "v1", one); err != nil {
		t.Fatal(err)
	}
	s.holds(dir, root)
	s.noHalfLayout(dir, "at the end")
}

// The same while blobs are downloaded: the file of the one that is on its way is gone too.
func TestPruneDuringPull(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.image("amd64", "small", strings.Repeat("a large layer goes first", 100))
	s.name(root, "v1")
	srv, client := newRegistry(t)
	from := client.Repository("team/app")
	pushLayout(t, s.dir(), "v1", from, "v1", nil)
	for at := 1; at <= 3; at++ {
		dir := t.TempDir()
		srv.On("GetBlobContent").Nth(at).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if _, err := openLayout(t, dir, nil).Prune(t.Context()); err != nil {
				t.Error(err)
			}
			next.ServeHTTP(w, r)
		})
		_, err := images.Pull(t.Context(), from, "v1", dir, &images.CopyOptions{Concurrency: 1})
		if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || !errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), "Prune") {
			t.Errorf("%d: %v", at, err)
		}
		s.noHalfLayout(dir, "after the clean-up")
		srv.ClearFaults()
		if _, err := images.Pull(t.Context(), from, "v1", dir, nil); err != nil {
			t.Fatalf("%d: %v", at, err)
		}
		s.holds(dir, root)
		noTemporaryFiles(t, dir)
	}
}
