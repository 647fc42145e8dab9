// Package conformance_test runs the conformance program of the OCI distribution spec, unmodified, against the emulator.
package conformance_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// expectedSkips are the checks that the program leaves out because the service does not do what they are about: parts of
// their names, with the reason.
var expectedSkips = map[string]string{
	"/delete/tag-delete":           "the service deletes manifests by digest alone: 405 UNSUPPORTED for a tag",
	"/range requests/range -500":   "the storage origin takes no suffix ranges",
	"/range requests/range 500-0":  "the storage origin ignores a range that ends before it begins",
	"/mount anonymous/blob-mount":  "a mount that names no source repository opens an upload",
	"blobs inline/range requests/": "blobs that come inline come whole",
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]acrtest.Option{
		"memory":              nil,
		"directory":           {acrtest.WithDirectory(t.TempDir())},
		"blobs inline":        {acrtest.WithInlineBlobs()},
		"no anonymous access": {acrtest.WithoutAnonymousPull()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform(t, name, acrtest.New(t, opts...))
		})
	}
}

func conform(t *testing.T, mode string, s *acrtest.Server) {
	t.Helper()
	results := t.TempDir()
	ca := filepath.Join(results, "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := s.Admin()
	program := exec.CommandContext(t.Context(), "go", "tool", "conformance")
	program.Env = append(os.Environ(),
		"SSL_CERT_FILE="+ca,
		"OCI_REGISTRY="+s.Host(),
		"OCI_USERNAME="+user,
		"OCI_PASSWORD="+password,
		"OCI_RESULTS_DIR="+results,
		"OCI_VERSION=1.1",
		// Optional in 1.1; the service has them. It has no digest header on blobs: those come from the storage origin.
		"OCI_API_BLOBS_UPLOAD_CANCEL=true",
		"OCI_API_MANIFESTS_DIGEST_HEADER=true",
	)
	if out, err := program.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, tail(out))
	}
	report(t, mode, filepath.Join(results, "junit.xml"))
}

// report reads the program's account, fails what failed and lists what was skipped.
func report(t *testing.T, mode, name string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var junit struct {
		Suites []struct {
			Cases []struct {
				Name   string `xml:"name,attr"`
				Status string `xml:"status,attr"` // passed, skipped, failure or error
				Said   string `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &junit); err != nil {
		t.Fatal(err)
	}
	passed, skipped := 0, 0
	for _, suite := range junit.Suites {
		for _, c := range suite.Cases {
			switch c.Status {
			case "passed":
				passed++
			case "skipped":
				skipped++
				if reason := reasonOf(mode, c.Name); reason == "" {
					t.Errorf("skipped, and no reason is known: %s", c.Name)
				} else {
					t.Logf("skipped: %s: %s", c.Name, reason)
				}
			default:
				t.Errorf("%s: %s: %s", c.Status, c.Name, c.Said)
			}
		}
	}
	if passed < 500 {
		t.Errorf("only %d checks passed: the program did not do its work", passed)
	}
	t.Logf("%d checks passed, %d skipped", passed, skipped)
}

func reasonOf(mode, name string) string {
	for part, reason := range expectedSkips {
		if inMode, only := strings.CutPrefix(part, mode); strings.Contains(name, part) || only && strings.Contains(name, inMode) {
			return reason
		}
	}
	return ""
}

// tail is the end of an output, where the summary is.
func tail(out []byte) []byte { return out[max(0, len(out)-4000):] }
