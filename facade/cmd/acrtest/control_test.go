package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tell sends a request to the control.
func tell(t *testing.T, s started, method, path, body string) (status int, reply string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Control+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+s.ControlToken)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

func ask(t *testing.T, s started, c *http.Client, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Username, s.Password)
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestControl(t *testing.T) {
	t.Parallel()
	s := emulator(t, "-soft-delete", "7")
	c := clientOf(t, s)
	want := func(method, path, body, part string) {
		t.Helper()
		if status, reply := tell(t, s, method, path, body); status != http.StatusOK || !strings.Contains(reply, part) {
			t.Errorf("%s %s %s: %d %s, want %s", method, path, body, status, reply, part)
		}
	}
	want("POST", "/seed", `{"image": {"reference": "samples/app:v1", "layers": ["aGVsbG8="]}}`, `"sha256:`)
	want("POST", "/seed", `{"index": {"reference": "samples/app:v2", "architectures": ["amd64", "arm64"]}}`, `"sha256:`)
	want("POST", "/seed", `{"blob": {"repository": "samples/app", "content": "aGVsbG8="}}`, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
	want("POST", "/seed", `{"tags": {"repository": "samples/many", "n": 10}}`, `"sha256:`)
	want("POST", "/seed", `{"manifests": {"repository": "samples/many", "n": 2}}`, `","sha256:`)
	want("POST", "/seed", `{"referrer": {"repository": "samples/app", "artifact_type": "a/b", "subject": "sha256:`+strings.Repeat("0", 64)+`"}}`, `"sha256:`)
	if status := ask(t, s, c, "GET", "/acr/v1/samples/many/_tags/t000009"); status != http.StatusOK {
		t.Errorf("a seeded tag: %d", status)
	}

	want("POST", "/faults", `{"on": ["ListTags"], "first": 2, "status": 503, "retry_after": "1s", "code": "BUSY"}`, `"line":1`)
	want("POST", "/faults", `{"path": "/_catalog", "always": true, "drop_reply": true}`, `"line":2`)
	for _, status := range []int{503, 503, 200} {
		if got := ask(t, s, c, "GET", "/acr/v1/samples/app/_tags"); got != status {
			t.Errorf("%d, want %d", got, status)
		}
	}
	if got := ask(t, s, c, "GET", "/acr/v1/_catalog"); got != 0 {
		t.Errorf("%d, want no reply", got)
	}
	want("GET", "/faults", "", `"retry_after":"1s","code":"BUSY","hits":2`)
	want("DELETE", "/faults", "", "{}")
	want("GET", "/faults", "", "[]")
	want("GET", "/requests?operation=ListTags", "", `"operation":"ListTags","method":"GET","path":"/acr/v1/samples/app/_tags"`)
	want("DELETE", "/requests", "", "{}")
	want("GET", "/requests", "", "[]")
	want("POST", "/revoke", `{"access_tokens": true, "refresh_tokens": true}`, "true")

	_, before := tell(t, s, "GET", "/clock", "")
	_, after := tell(t, s, "POST", "/clock", `{"advance": "2160h"}`)
	if before[:17] == after[:17] {
		t.Errorf("the clock stands at %s, stood at %s", after, before)
	}
	want("POST", "/collect", `{"grace": 60}`, `"freed":`)

	for _, bad := range [][2]string{
		{"/seed", `{}`}, {"/seed", `{"image": {"reference": "No Name"}}`}, {"/seed", `{"image": {"ref": "a:b"}}`}, {"/seed", `no JSON`},
		{"/faults", `{"on": ["ListTag"], "status": 503}`}, {"/faults", `{"on": ["ListTags"]}`},
		{"/faults", `{"code": "DENIED", "delay": "1ms"}`}, {"/faults", `{"nth": 2, "always": true, "stall": true}`}, {"/faults", `{"from": -1, "stall": true}`},
		{"/seed", `{"tags": {"repository": "r", "n": 1}, "blob": {"repository": "r"}}`}, {"/clock", `{"advance": "soon"}`},
		{"/clock", `{"advance": 1e300}`}, {"/clock", `{"advance": "2000000h"}`}, {"/collect", `{"grace": -1}`},
		{"/seed", `{"tags": {"repository": "r", "n": 9000000000000000000}}`}, {"/seed", `{"tags": {"repository": "r", "n": -5}}`},
		{"/seed", `{"manifests": {"repository": "r", "n": 9000000000000000000}}`}, {"/seed", `{"manifests": {"repository": "r", "n": -5}}`},
		{"/faults", `{"informational": 9000000000000000000}`}, {"/faults", `{"informational": -1, "stall": true}`}, {"/faults", `{"status": 99}`},
		{"/faults", `{"status": 100}`}, {"/faults", `{"reply_status": 1000}`}, {"/faults", `{"slow": -1, "stall": true}`}, {"/faults", `{"truncate": -1}`},
		{"/faults", `{"content_length": -1}`}, {"/faults", `{"delay": -1, "stall": true}`}, {"/faults", `{"status": 503, "retry_after": -1}`},
	} {
		if status, reply := tell(t, s, "POST", bad[0], bad[1]); status != http.StatusBadRequest || !json.Valid([]byte(reply)) {
			t.Errorf("%s %s: %d %s", bad[0], bad[1], status, reply)
		}
	}
}

// Another user of the machine, who has not read the program's line, can do nothing.
func TestControlAsksForItsToken(t *testing.T) {
	t.Parallel()
	s := emulator(t)
	for _, path := range []string{"/clock", "/requests", "/faults", "/nothing"} {
		for _, token := range []string{"", "wrong", s.ControlToken + "x"} {
			other := s
			other.ControlToken = token
			if status, reply := tell(t, other, "GET", path, ""); status != http.StatusUnauthorized || !strings.Contains(reply, "control_token") {
				t.Errorf("%s with the token %q: %d %s", path, token, status, reply)
			}
		}
	}
	other := s
	other.ControlToken = ""
	if status, _ := tell(t, other, "POST", "/revoke", `{"access_tokens": true}`); status != http.StatusUnauthorized {
		t.Errorf("revoking without the token: %d", status)
	}
	if again := emulator(t); again.ControlToken == s.ControlToken || len(s.ControlToken) < 20 {
		t.Errorf("tokens %q and %q", s.ControlToken, again.ControlToken)
	}
}

// A page in a browser may send requests to this machine too: it must not reach the control.
func TestControlKeepsPagesOut(t *testing.T) {
	t.Parallel()
	s := emulator(t)
	for name, change := range map[string]func(*http.Request){
		"from a page":        func(r *http.Request) { r.Header.Set("Origin", "https://page.example") },
		"by another's name":  func(r *http.Request) { r.Host = "rebound.example:80" },
		"a GET from a page":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"from another port":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"by a name and none": func(r *http.Request) { r.Host = "rebound.example" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Control+"/clock", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+s.ControlToken)
		change(req)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	for _, address := range []string{"0.0.0.0:0", "192.0.2.1:0", "nonsense"} {
		if err := run(t.Context(), inProcess(io.Discard, io.Discard), []string{"-control", address}); err == nil {
			t.Errorf("the control listened on %s", address)
		}
	}
	if s := emulator(t, "-control", ""); s.Control != "" {
		t.Errorf("a control at %q", s.Control)
	}
}

// The samples of the documentation run as they stand.
func TestSamples(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range []struct {
		file, want string
		command    []string
	}{
		{"test.sh", `"status":200`, []string{"bash", "-euo", "pipefail"}},
		{"test.py", "['t000000', 't000001', 't000002']\n[200]", []string{"python3"}},
		{"test.mjs", "[ 'samples/app' ]\n[ 'ListRepositories' ]", []string{"node"}},
	} {
		t.Run(sample.file, func(t *testing.T) {
			t.Parallel()
			file, err := filepath.Abs(filepath.Join("testdata", sample.file))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var told strings.Builder
			for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
				if line != "" {
					line = "\t" + line
				}
				told.WriteString("//" + line + "\n")
			}
			if !strings.Contains(string(doc), told.String()) {
				t.Errorf("doc.go does not hold\n%s", told.String())
			}
			for _, tool := range []string{sample.command[0], "curl"} {
				if _, err := exec.LookPath(tool); err != nil && (tool != "curl" || sample.file == "test.sh") {
					t.Skipf("%s is not installed", tool)
				}
			}
			dir := t.TempDir()
			link := filepath.Join(dir, "acrtest")
			if err := os.Symlink(must(os.Executable()), link); err != nil {
				t.Skipf("no symbolic link can be made: %v", err)
			}
			cmd := exec.CommandContext(t.Context(), sample.command[0], append(sample.command[1:], file)...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), asProgram+"=1", "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), sample.want) {
				t.Errorf("%v\n%s\nwant %s", err, out, sample.want)
			}
		})
	}
}

func must(name string, err error) string {
	if err != nil {
		panic(err)
	}
	return name
}
