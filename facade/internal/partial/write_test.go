package partial_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/partial"
)

// A file gets its name when it is complete. If that fails, the old one stays, and nothing else is left.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	broken := errors.New("broken")
	for _, row := range []struct {
		text string
		err  error
		want string
	}{{"first", nil, "first"}, {"half", broken, "first"}, {"second", nil, "second"}} {
		err := partial.Write(path, func(w io.Writer) error {
			_, err := io.WriteString(w, row.text)
			return errors.Join(err, row.err)
		})
		got, readErr := os.ReadFile(path)
		if !errors.Is(err, row.err) || readErr != nil || string(got) != row.want || left(t, dir) != 1 {
			t.Errorf("%s: %v, %v, %q, %d files", row.text, err, readErr, got, left(t, dir))
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "no", "file"), ""} {
		var pathError *os.PathError
		if err := partial.Write(path, func(io.Writer) error { return nil }); !errors.As(err, &pathError) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
