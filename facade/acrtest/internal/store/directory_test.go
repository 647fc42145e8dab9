package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// TestForeignDirectory wants a directory that holds the files of others to be refused and left as
// it is: what a store does not know in its own directory, it sweeps away.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"an OCI image layout": "blobs/sha256/" + digest.FromString("layer").Encoded(),
		"a web site":          "uploads/photo.jpg",
		"somebody's key":      "key",
		"somebody's journal":  "journal",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, filepath.FromSlash(file))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("dear to its owner"), 0o600); err != nil {
				t.Fatal(err)
			}
			before := tell(t, dir)
			if st, err := Open(Options{Dir: dir}); !errors.Is(err, ErrForeign) {
				t.Errorf("open: %v, want ErrForeign", err)
				if err == nil {
					_ = st.Close()
				}
			}
			if diff := cmp.Diff(before, tell(t, dir)); diff != "" {
				t.Errorf("the directory has changed (-before +after):\n%s", diff)
			}
		})
	}
}

// tell gives the files of a directory with what they hold.
func tell(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		files[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(files, tree{root: dir}.lock())
	return files
}

// TestLostFile damages the files of blobs between two runs, as the loss of power does. The registry
// must not offer what it has not got, and take it when it is pushed again.
func TestLostFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"short":   func(path string) error { return os.Truncate(path, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := Options{Dir: t.TempDir()}
			st := must[*Store](t)(Open(opts))
			lost := must[Blob](t)(st.PutBlob("r", strings.NewReader("lost content"), ""))
			must[Blob](t)(st.MountBlob("other", "r", lost.Digest))
			kept := push(t, st, "r", 1, "v1")
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(st.tree.blob(lost.Digest)); err != nil {
				t.Fatal(err)
			}

			st = must[*Store](t)(Open(opts))
			if diff := cmp.Diff([]digest.Digest{lost.Digest}, st.Lost()); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			for _, repository := range []string{"r", "other"} {
				if _, err := st.Blob(repository, lost.Digest); !errors.Is(err, ErrBlobUnknown) {
					t.Errorf("the blob in %s: %v, want ErrBlobUnknown", repository, err)
				}
			}
			if m, err := st.Pull("r", "v1"); err != nil || m.Digest != kept {
				t.Errorf("what was not damaged: %v, %v", m.Digest, err)
			}
			must[Blob](t)(st.PutBlob("r", strings.NewReader("lost content"), lost.Digest))
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}

			st = open(t, opts)
			b := must[Blob](t)(st.Blob("r", lost.Digest))
			r := must[ContentReader](t)(b.Open())
			v := lost.Digest.Verifier()
			if err := r.WriteRange(v, 0, b.Size); err != nil || !v.Verified() {
				t.Errorf("pushed again, it is damaged: %v", err)
			}
			if err := r.Close(); err != nil || len(st.Lost()) != 0 {
				t.Errorf("%v, lost %v", err, st.Lost())
			}
		})
	}
}
