package acrtest_test

import (
	"net/http"
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
		"the directory contains a file that the emulator did not create: " + filepath.Join(layout, "blobs", "sha256"): layout,
		"the directory is in use by another registry":                                                                 used,
	} {
		s, err := acrtest.Start(acrtest.WithDirectory(dir))
		if err == nil {
			s.Close()
			t.Fatalf("%s: no error", dir)
		}
		if text := err.Error(); !strings.HasPrefix(text, "acrtest: open the directory "+dir+": "+want) || strings.Contains(text, "\n") {
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

// A disk that fails is the registry's failure, not the caller's, and the upload goes on when the disk is back.
func TestDirectoryFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRegistry(t, acrtest.WithDirectory(dir))
	location, _ := r.start("r")
	uploads, away := filepath.Join(dir, "uploads"), filepath.Join(dir, "away")
	if err := os.Rename(uploads, away); err != nil {
		t.Fatal(err)
	}
	if a := r.send("PATCH", location, "hello"); a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.body, `"UNKNOWN"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if err := os.Rename(away, uploads); err != nil {
		t.Fatal(err)
	}
	if a := r.send("PATCH", location, "hello"); a.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
