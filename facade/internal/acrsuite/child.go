package acrsuite

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childVariable holds the task of a child, as JSON.
const childVariable = "ACRKIT_TEST_CHILD"

// ChildCommand returns the command that runs the program of the test once more, as a child that does a task: one that is to
// be killed, or whose memory is to be measured. The TestMain of the package calls [BeChild].
func ChildCommand[T any](t testing.TB, task T, environment ...string) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program) //nolint:gosec // the test itself
	cmd.Env = append(append(os.Environ(), environment...), childVariable+"="+string(raw))
	cmd.Stderr = os.Stderr
	return cmd
}

// RunChild runs a child with a task, and returns what its function returned. It fails the test if the child fails.
func RunChild[R, T any](t testing.TB, task T, environment ...string) (report R) {
	t.Helper()
	out, err := ChildCommand(t, task, environment...).Output()
	if err == nil {
		err = json.Unmarshal(out, &report)
	}
	if err != nil {
		t.Fatalf("the child, which printed %q: %v", out, err)
	}
	return report
}

// BeChild calls do with the task of this process if it is a child, and reports whether it is.
func BeChild[T, R any](do func(T) R) bool {
	raw, child := os.LookupEnv(childVariable)
	if !child {
		return false
	}
	var task T
	err := json.Unmarshal([]byte(raw), &task)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(do(task))
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return true
}

// PeakMemory returns the largest number of bytes of memory that this process has had, 0 if the system does not tell.
func PeakMemory() (bytes int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscanf(rest, "%d kB", &bytes) // stays 0
	return bytes << 10
}
