package images_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// tool runs a program of the system, or skips the test where it is not installed.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// skopeo reads the layouts and archives that ours writes, and writes those that ours reads.
func TestSkopeo(t *testing.T) {
	t.Parallel()
	srv, l := acrtest.New(t), fixture.New(t)
	client := newClient(t, srv)
	dir, archive := around(t, open(t, l.Dir), "v1")
	certs := t.TempDir()
	if err := os.WriteFile(filepath.Join(certs, "ca.crt"), srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := srv.Admin()
	copyAll := func(from, to string) {
		t.Helper()
		tool(t, "skopeo", "--policy", policy, "copy", "--all", "--preserve-digests",
			"--src-cert-dir", certs, "--dest-cert-dir", certs, "--src-creds", user+":"+password, "--dest-creds", user+":"+password, from, to)
	}
	remote := "docker://" + srv.Host() + "/"
	copyAll("oci:"+dir+":v1", remote+"by/dir:v1")
	copyAll("oci-archive:"+archive+":v1", remote+"by/archive:v1")
	for _, name := range []string{"by/dir", "by/archive"} {
		if d, err := client.Repository(name).HeadManifest(t.Context(), "v1"); err != nil || d.Digest != l.Index.Digest {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	theirs, packed := filepath.Join(t.TempDir(), "theirs"), filepath.Join(t.TempDir(), "theirs.tar")
	copyAll(remote+"by/dir:v1", "oci:"+theirs+":v1")
	copyAll(remote+"by/dir:v1", "oci-archive:"+packed+":v1")
	for _, path := range []string{theirs, packed} {
		if report, err := images.Push(t.Context(), path, "v1", client.Repository("by/ours"), "v1", nil); err != nil || report.Root.Digest != l.Index.Digest {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// umoci and Prune agree on what a layout needs, and each works on what the other left.
func TestUmoci(t *testing.T) {
	t.Parallel()
	l := fixture.New(t)
	dir, _ := around(t, open(t, l.Dir), "v1")
	before := blobs(t, dir)
	ours := open(t, dir)
	if err := ours.Tag(t.Context(), l.Platforms[0], "amd64"); err != nil {
		t.Fatal(err)
	}
	tool(t, "umoci", "gc", "--layout", dir)
	if after := blobs(t, dir); !slices.Equal(before, after) {
		t.Errorf("it collected what ours needs: %d blobs of %d are left", len(after), len(before))
	}
	tool(t, "umoci", "tag", "--image", dir+":amd64", "copy")
	again := open(t, dir)
	if d, err := again.Resolve(t.Context(), "copy"); err != nil || d.Digest != l.Platforms[0].Digest {
		t.Errorf("%v, %v", d, err)
	}
	if freed, err := again.Prune(t.Context()); err != nil || freed != 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
	tool(t, "umoci", "rm", "--image", dir+":v1")
	last := open(t, dir)
	for e := range last.Entries() {
		if e.Name == "" { // the referrer of what is gone
			if err := last.Delete(t.Context(), e.Descriptor); err != nil {
				t.Fatal(err)
			}
		}
	}
	if freed, err := last.Prune(t.Context()); err != nil || freed == 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
	left := blobs(t, dir)
	tool(t, "umoci", "gc", "--layout", dir)
	if after := blobs(t, dir); !slices.Equal(left, after) {
		t.Errorf("it collects more than ours: %d and %d blobs", len(after), len(left))
	}
}
