package download_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
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

// childTasks are what a child can do.
var childTasks = map[string]func(*childTask) childReport{"download": childDownload, "tags": childTags}

// doTask does the task of a child.
func doTask(task *childTask) childReport { return childTasks[task.Task](task) }

// childCommand returns the command that does the task in a process of its own.
func childCommand(t *testing.T, task *childTask) *exec.Cmd {
	t.Helper()
	return acrsuite.ChildCommand(t, task, "SSL_CERT_FILE="+task.CA, "GOGC=100")
}

// runChild does the task in a process of its own and returns its report.
func runChild(t *testing.T, task *childTask) childReport {
	t.Helper()
	return acrsuite.RunChild[childReport](t, task, "SSL_CERT_FILE="+task.CA, "GOGC=100")
}

// client is the child's client of its parent's registry.
func (c *childTask) client() (*acr.Client, error) {
	return acr.NewClientWithPassword(c.Endpoint, "admin", c.Password, &acr.ClientOptions{AllowedHosts: []string{strings.TrimPrefix(c.Endpoint, "https://")}})
}
