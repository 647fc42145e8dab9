package acrtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A directory that cannot be used is refused by its name, and nothing is written to it.
func TestDirectoryRefused(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	blob := filepath.Join(layout, "blobs", "sha256", "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4")
	if err := os.MkdirAll(filepath.Dir(blob), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, []byte("hi"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	acrtest.New(t, acrtest.WithDirectory(used))
	for want, dir := range map[string]string{
		"directory holds a file that is not the emulator's: " + filepath.Join(layout, "blobs", "sha256"): layout,
		"directory is in use by another process":                                                         used,
	} {
		s, err := acrtest.Start(acrtest.WithDirectory(dir))
		if err == nil {
			s.Close()
			t.Fatalf("%s: no error", dir)
		}
		if text := err.Error(); !strings.HasPrefix(text, "acrtest: opening the directory "+dir+": "+want) || strings.Contains(text, "\n") {
			t.Errorf("error %q", text)
		}
	}
	if raw, err := os.ReadFile(blob); err != nil || string(raw) != "hi" {
		t.Errorf("the layout's blob: %q, %v", raw, err)
	}
	if _, err := os.Stat(filepath.Join(layout, "identity.json")); err == nil {
		t.Error("an identity was written to somebody else's directory")
	}
}
