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

// insecure is a policy for programs that want one: every image is accepted.
func insecure(t *testing.T) string {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return policy
}

// certificates is a directory with the registry's certificate authority.
func certificates(t *testing.T, srv *acrtest.Server) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// skopeo reads the layouts and archives that ours writes, and writes those that ours reads.
func TestSkopeo(t *testing.T) {
	t.Parallel()
	srv, l := acrtest.New(t), fixture.New(t)
	client := newClient(t, srv)
	dir, archive := around(t, open(t, l.Dir), "v1")
	certs, policy := certificates(t, srv), insecure(t)
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

// buildah builds images in both formats and pushes them; ours takes them around and back, and buildah pulls them again.
func TestBuildah(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	client, storage, fresh := newClient(t, srv), t.TempDir(), t.TempDir()
	user, password := srv.Admin()
	remote := []string{"--signature-policy", insecure(t), "--cert-dir", certificates(t, srv), "--creds", user + ":" + password}
	buildah := func(root, command string, args ...string) {
		t.Helper()
		tool(t, "buildah", append([]string{"--root", filepath.Join(root, "root"), "--runroot", filepath.Join(root, "run"), "--storage-driver", "vfs", command}, args...)...)
	}
	path, err := exec.LookPath("buildah")
	if err != nil {
		t.Skip("buildah is not installed: apt-get install buildah")
	}
	if out, err := exec.CommandContext(t.Context(), path, "--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"),
		"--storage-driver", "vfs", "from", "--name", "work", "scratch").CombinedOutput(); err != nil {
		t.Skipf("buildah is installed, but cannot work for this user on this system: %s", out)
	}
	hello := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(hello, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	buildah(storage, "copy", "work", hello, "/hello")
	for _, c := range []struct{ name, format, compression string }{{"oci", "oci", "gzip"}, {"docker", "docker", "gzip"}, {"zstd", "oci", "zstd"}} {
		t.Run(c.name, func(t *testing.T) {
			buildah(storage, "commit", "--format", c.format, "--signature-policy", insecure(t), "work", c.name)
			buildah(storage, "push", append(remote, "--format", c.format, "--compression-format", c.compression, c.name, "docker://"+srv.Host()+"/by/buildah:"+c.name)...)
			from := client.Repository("by/buildah")
			root, err := from.HeadManifest(t.Context(), c.name)
			if err != nil {
				t.Fatal(err)
			}
			dir, _ := around(t, images.Of(from), c.name)
			back(t, dir, client.Repository("back/"+c.name), root)
			buildah(fresh, "pull", append(remote, "docker://"+srv.Host()+"/back/"+c.name+":v1")...)
			buildah(fresh, "from", append(remote, "--pull-never", "--name", c.name, srv.Host()+"/back/"+c.name+":v1")...)
		})
	}
}
