package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const want = `tag v1
tag v2
tag v3
pushed 2097152
pulled 2097152 true
missing true
`

// goEnv returns a variable of the go command.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// build compiles this program for the JavaScript host.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wasm.wasm")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// The commands of the guide are run as they stand there, with the emulator as the registry.
func TestGuide(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed: the guide is not tried")
	}
	page, err := os.ReadFile("../../facade/guides/webassembly.md")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(page), "```sh\n")
	commands, _, _ = strings.Cut(commands, "```")
	s := acrtest.New(t)
	d := s.SeedImage(t, "shop/web:v1")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := s.Admin()
	commands = strings.NewReplacer("myregistry.azurecr.io", s.Host(), "tags.wasm", filepath.Join(dir, "tags.wasm")).Replace(commands)
	c := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	c.Dir = "tags"
	c.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "USERNAME="+user, "PASSWORD="+password)
	out, err := c.CombinedOutput()
	if want := "v1 " + d.String() + "\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node") // with its path: a program that is started as "node" gets no fetch of net/http
	if err != nil {
		t.Skip("node is not installed: the library is not tried under it")
	}
	s := acrtest.New(t)
	for _, tag := range []string{"v1", "v2", "v3"} {
		s.SeedImage(t, "samples/app:"+tag)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := s.Admin()
	program, loader := build(t), filepath.Join(goEnv(t, "GOROOT"), "lib", "wasm", "wasm_exec_node.js")
	execute := func(name string) (string, error) {
		c := exec.CommandContext(t.Context(), node, loader, program)
		c.Args[0] = name
		c.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "REGISTRY="+s.Host(), "USERNAME="+user, "PASSWORD="+password)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if got, err := execute(node); err != nil || got != want {
		t.Errorf("%v\n%s\nwant:\n%s", err, got, want)
	}
	s.Ledger().NoCredentialLeaked(t)
	if storage, chunks := s.Ledger().Count("GetBlobContent"), s.Ledger().Count("UploadChunk"); storage == 0 || chunks < 2 {
		t.Errorf("%d requests to storage, %d chunks", storage, chunks)
	}
	if got, err := execute("node"); err == nil || !strings.Contains(got, "start node by its full path") {
		t.Errorf("started as node: %v\n%s", err, got)
	}
}
