package upload_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// changedFile: a file that is written to while it is sent is refused before the commit, and the session cancelled.
func changedFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(path string) error
		text   string
	}{
		"longer":  {func(path string) error { return os.Truncate(path, 8<<20) }, "it had 7340032 bytes and has 8388608"},
		"shorter": {func(path string) error { return os.Truncate(path, 5<<20) }, "the source ended early"},
		"rewritten": {func(path string) error { // its end, which is not read yet
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(acrsuite.Content(1<<20), 6<<20)
			return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
		}, "its modification time was "},
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
				if err := c.change(path); err != nil {
					t.Error(err)
				}
				next.ServeHTTP(w, r)
			})
			_, err = acrsuite.NewClient(t, srv).Repository("a/b").UploadBlob(t.Context(), f, &acr.UploadOptions{ChunkSize: 1 << 20})
			if !errors.Is(err, acr.ErrSourceChanged) && !errors.Is(err, acr.ErrSizeMismatch) || !strings.Contains(err.Error(), c.text) {
				t.Error(err)
			}
			srv.Ledger().AtMost(t, 0, "CompleteUpload")
			if n := srv.Ledger().Count("CancelUpload"); n != 1 {
				t.Errorf("%d sessions were cancelled", n)
			}
		})
	}
}
