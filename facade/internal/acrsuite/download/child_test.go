package download_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// childTask is what this program does in place of its tests when it is run as a child of one of them: see runChild.
type childTask struct {
	Task     string // name of one of childTasks
	Endpoint string
	Password string
	CA       string // file
	Name     string // of the repository
	Digest   digest.Digest
	Path     string
	Options  childOptions
	Limit    uint64 // of a file's size, 0: none
}

// childOptions are the options of a download that a child can be told.
type childOptions struct {
	Size, PartSize int64
	Concurrency    int
}

// childReport is what a child says of what it did, on its standard output.
type childReport struct {
	Error    string
	Path     bool // the error is of a file
	Left     []string
	Progress acr.Progress
	Held     []uint64 // bytes of memory
	Count    int
}

// childEnv holds the task, as JSON.
const childEnv = "ACRKIT_TEST_CHILD"

// childTasks are what a child can do.
var childTasks = map[string]func(*childTask) childReport{"download": childDownload, "tags": childTags}

// beChild does the task that the environment has for this process, if there is one.
func beChild() bool {
	raw := os.Getenv(childEnv)
	if raw == "" {
		return false
	}
	var task childTask
	if err := json.Unmarshal([]byte(raw), &task); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	report, err := json.Marshal(childTasks[task.Task](&task))
	if err == nil {
		_, err = os.Stdout.Write(report)
	}
	if err != nil {
		os.Exit(2)
	}
	return true
}

// childCommand makes the command that does the task in a process of its own.
func childCommand(t *testing.T, task *childTask) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw), "SSL_CERT_FILE="+task.CA, "GOGC=100")
	return cmd
}

// runChild does the task in a process of its own and gives its report.
func runChild(t *testing.T, task *childTask) (r childReport) {
	t.Helper()
	cmd := childCommand(t, task)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("the child: %v\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("the child said %q: %v", out.String(), err)
	}
	return r
}

// client is the child's client of its parent's registry.
func (c *childTask) client() (*acr.Client, error) {
	return acr.NewClientWithPassword(c.Endpoint, "admin", c.Password, &acr.ClientOptions{AllowedHosts: []string{strings.TrimPrefix(c.Endpoint, "https://")}})
}

// mostMemory is the most memory that this process has had, as far as the system tells.
func mostMemory() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var n uint64
	_, _ = fmt.Sscanf(rest, "%d kB", &n) // stays 0
	return n << 10
}
