package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/cmd/internal/program"
	"github.com/acrkit/acrkit/facade/internal/version"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// inProcess is a process that writes there.
func inProcess(stdout, stderr io.Writer) program.Process {
	return program.Process{Name: "acrtest", Stdout: stdout, Stderr: stderr}
}

// emulator runs the program until the test ends, and gives what it printed.
func emulator(t *testing.T, args ...string) started {
	t.Helper()
	s, stop := launch(t, args...)
	t.Cleanup(stop)
	return s
}

// launch runs the program until stop is called.
func launch(t *testing.T, args ...string) (s started, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, inProcess(in, io.Discard), args)
		in.CloseWithError(err)
		done <- err
	}()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &s); err != nil {
		t.Fatal(err)
	}
	return s, stop
}

// clientOf trusts what the program wrote, as a client in any language does.
func clientOf(t *testing.T, s started) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	s := emulator(t, "-listen", "127.0.0.1:0", "-ca-file", file, "-anonymous=false")
	if s.CAFile != file || s.EntraToken == "" || s.Tenant == "" || s.ClientSecret == "" || s.Anonymous || !strings.HasPrefix(s.StorageEndpoint, "https://localhost:") {
		t.Errorf("%+v", s)
	}
	client := clientOf(t, s)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint+"/acr/v1/_catalog", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Username, s.Password)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("repositories")) {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
	anonymous := strings.NewReader("grant_type=password&scope=registry:catalog:*&service=" + s.LoginServer)
	resp, err = client.Post(s.Endpoint+"/oauth2/token", "application/x-www-form-urlencoded", anonymous)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an anonymous token: %d", resp.StatusCode)
	}
}

// The commands that the pages tell their readers to type are run as they stand there.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile(`(?m)^(?:    )?go run \S+/facade/cmd/acrtest@latest (.*)$`)
	for _, page := range []string{"../../../README.md", "../../guides/testing.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		line := command.FindSubmatch(text)
		if line == nil {
			t.Fatalf("%s runs no emulator", page)
		}
		s := emulator(t, strings.Fields(strings.ReplaceAll(string(line[1]), "acrtest-ca.pem", filepath.Join(t.TempDir(), "ca.pem")))...)
		resp, err := clientOf(t, s).Get(s.Endpoint + "/v2/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s: %d", page, line[1], resp.StatusCode)
		}
	}
}

// What one run stored, the next one has.
func TestProgramRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := func(s started, method, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("me", "secret")
		resp, err := clientOf(t, s).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	first, stop := launch(t, "-dir", dir, "-admin", "me:secret")
	if status, body := names(first, http.MethodPost, "/v2/kept/blobs/uploads/?digest="+empty); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	stop()
	second, stop := launch(t, "-dir", dir, "-admin", "me:secret")
	if status, _ := names(second, http.MethodHead, "/v2/kept/blobs/"+empty); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	stop()
}

// The certificate's file that the program makes up is there for clients of all users, and goes with the program.
func TestTemporaryCA(t *testing.T) {
	t.Parallel()
	s, stop := launch(t, "-sync", "-dir", t.TempDir())
	info, err := os.Stat(s.CAFile)
	if err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("%v, %v", info, err)
	}
	stop()
	if _, err := os.Stat(s.CAFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// What cannot be meant ends with status 2, and what cannot be done with 1, as documented; each says why.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	used, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = used.Close() })
	for _, row := range []struct {
		want int
		args []string
	}{
		{2, []string{"-sku", "Gold"}},
		{2, []string{"-nonsense"}},
		{2, []string{"argument"}},
		{2, []string{"-listen", "0.0.0.0:0"}},
		{2, []string{"-listen", "127.0.0.1"}},
		{2, []string{"-listen", "127.0.0.1:99999"}},
		{2, []string{"-token", "name"}},
		{2, []string{"-token", "name:secret:nothing at all"}},
		{2, []string{"-token", "acrtest:secret:* content/read"}},
		{2, []string{"-latency", "soon"}},
		{2, []string{"-replica-lag", "-1s"}},
		{2, []string{"-replicas", "East US"}},
		{2, []string{"-manifest-times", "never"}},
		{2, []string{"-max-body", "-1"}},
		{2, []string{"-bandwidth", "50MiB"}},
		{2, []string{"-bandwidth", "1e9"}},
		{2, []string{"-admin", "me"}},
		{2, []string{"-sync"}},
		{2, []string{"-soft-delete", "91"}},
		{2, []string{"-login-server", "https://myregistry.azurecr.io"}},
		{2, []string{"-abac=yes"}},
		{2, []string{"-control", "0.0.0.0:0"}},
		{2, []string{"-control", "nowhere"}},
		{1, []string{"-listen", used.Addr().String()}},
		{1, []string{"-control", used.Addr().String()}},
		{1, []string{"-ca-file", "/nowhere/at/all.pem"}},
		{1, []string{"-dir", os.Args[0]}},
		{0, []string{"-h"}},
	} {
		t.Run(strings.Join(row.args, " "), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // options that are good after all do not serve for ever
			var stderr bytes.Buffer
			p := inProcess(io.Discard, &stderr)
			if got := p.Status(run(ctx, p, row.args)); got != row.want || stderr.Len() == 0 {
				t.Errorf("status %d, want %d: %s", got, row.want, stderr.String())
			}
		})
	}
}

func TestProgramWithReplicas(t *testing.T) {
	t.Parallel()
	s := emulator(t, "-replicas", "eastus,westeurope", "-replica-lag", "1h")
	if len(s.Regional) != 2 || s.Regional["eastus"] == s.Regional["westeurope"] {
		t.Fatalf("%+v", s.Regional)
	}
	for _, endpoint := range []string{s.Endpoint, s.Regional["eastus"], s.Regional["westeurope"]} {
		resp, err := clientOf(t, s).Get(endpoint + "/v2/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", endpoint, resp.StatusCode)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	p := inProcess(&stdout, &stderr)
	if err := run(t.Context(), p, []string{"-version"}); p.Status(err) != 0 || stdout.String() != version.Line("acrtest")+"\n" {
		t.Errorf("%v, %q", err, stdout.String())
	}
	if err := run(t.Context(), p, []string{"-h"}); !errors.Is(err, flag.ErrHelp) || !strings.Contains(stderr.String(), "Environment:") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
