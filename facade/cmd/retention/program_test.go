package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rules = `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},
  "keep":[{"name":"newest","tags":{"glob":["*"]},"newest":1}],"delete":[{"name":"old","tags":{"glob":["*"]},"olderThan":"30d"}]}]}`

// A job plans, applies and undoes, each in a run of its own.
func TestRetention(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	srv.SeedIndex(t, "apps/web:v1", "amd64", "arm64")
	srv.Advance(60 * 24 * time.Hour)
	srv.SeedImage(t, "apps/web:v2")
	srv.Advance(48 * time.Hour)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) string {
		if err := os.WriteFile(file(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	env := map[string]string{azure.EnvAllowedHosts: srv.Host(), azure.EnvCAFile: write("ca.pem", string(srv.CA()))}
	good, bad := write("rules.json", rules), write("bad.json", `{"version":1,"polices":[]}`)
	used := write("pods.json", `{"image":"`+srv.Host()+`/apps/web:v1"}`)
	plan, journal := file("plan.json"), file("deleted.jsonl")
	device := file("device") // a link to one, as /dev/stdout is
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
		tags           int
	}{
		{"version", []string{"-version"}, 0, "retention (github.com/acrkit/acrkit) ", "", 2},
		{"no command", []string{srv.Host()}, 2, "", "plan, apply, undo, storage, snapshot or diff\nRun \"retention -h\" for ", 2},
		{"no registry", []string{"plan", "-rules", good}, 2, "", "exactly one registry", 2},
		{"no rules", []string{"plan", srv.Host()}, 2, "", "retention: option -rules is required\nRun \"retention plan -h\" for the usage and the options.\n", 2},
		{"help", []string{"plan", "-h"}, 0, "", "Environment:\n", 2},
		{"faulty rules", []string{"plan", "-rules", bad, srv.Host()}, 2, "", "polices", 2},
		{"missing rules", []string{"plan", "-rules", file("none"), srv.Host()}, 2, "", "none", 2},
		{"in use", []string{"plan", "-rules", good, "-in-use", used, srv.Host()}, 0, "0 of 4 manifests", "", 2},
		{"nothing in use", []string{"plan", "-rules", good, "-in-use", good, srv.Host()}, 1, "", "names nothing", 2},
		{"plan", []string{"plan", "-rules", good, "-out", plan, "-cache", file("cache"), "-sizes", srv.Host()}, 0, "3 of 4 manifests, 1 of 2 tags", "", 2},
		{"plan as JSON", []string{"plan", "-rules", good, "-json", srv.Host()}, 0, `"code": "old"`, "", 2},
		{"not as approved", []string{"apply", "-plan", plan, "-journal", journal, "-approved", "sha256:00", srv.Host()}, 2, "", "was approved", 2},
		{"not a plan", []string{"apply", "-plan", good, "-journal", journal, srv.Host()}, 2, "", "unusable plan", 2},
		{"storage", []string{"storage", "-plan", plan, "-cache", file("cache"), srv.Host()}, 0, "  apps/web\n", "", 2},
		{"storage as JSON", []string{"storage", "-json", "-repository", "apps/web", srv.Host()}, 0, `"exclusive": `, "", 2},
		{"storage of a bad plan", []string{"storage", "-plan", good, srv.Host()}, 2, "", "unusable plan", 2},
		{"snapshot", []string{"snapshot", "-out", file("before"), srv.Host()}, 0, "", "", 2},
		{"snapshot without a file", []string{"snapshot", srv.Host()}, 2, "", "-out is required", 2},
		{"snapshot to nowhere", []string{"snapshot", "-out", file("no/such"), srv.Host()}, 2, "", "no such file", 2},
		{"snapshot to a device", []string{"snapshot", "-out", device, srv.Host()}, 2, "", "not a regular file", 2},
		{"plan to a device", []string{"plan", "-rules", good, "-out", device, srv.Host()}, 2, "", "not a regular file", 2},
		{"no difference", []string{"diff", file("before"), file("before")}, 0, "", "", 2},
		{"apply", []string{"apply", "-plan", plan, "-journal", journal, srv.Host()}, 0, "done, 3 manifests deleted", "", 1},
		{"snapshot again", []string{"snapshot", "-out", file("after"), srv.Host()}, 0, "", "", 1},
		{"diff", []string{"diff", file("before"), file("after")}, 1, "removed     apps/web  v1  ", "", 1},
		{"diff as JSON", []string{"diff", "-json", file("before"), file("after")}, 1, `{"repository":"apps/web","what":"v1","kind":"removed"`, "", 1},
		{"diff of one", []string{"diff", file("before")}, 2, "", "exactly two snapshots", 1},
		{"diff of what is none", []string{"diff", file("before"), plan}, 2, "", "unusable snapshot", 1},
		{"dry run of undo", []string{"undo", "-journal", journal, "-dry-run", "-json", srv.Host()}, 0, `"restored": 4`, "", 1},
		{"dry run of undo as a table", []string{"undo", "-journal", journal, "-dry-run", srv.Host()}, 0, ", 4 would be put back\n", "", 1},
		{"undo", []string{"undo", "-journal", journal, srv.Host()}, 0, "4 put back\nWhat was put back counts as the newest", "", 2},
		{"bad share", []string{"undo", "-journal", journal, "-share", "2", srv.Host()}, 2, "", "Share", 2},
	} {
		var stdout, stderr bytes.Buffer
		p := command{
			Process: program.Process{Name: "retention", Getenv: func(key string) string { return env[key] }, Stdout: &stdout, Stderr: &stderr},
			signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
				return srv.Credential(), nil
			},
		}
		code := p.run(t.Context(), step.args)
		if code != step.code || !strings.Contains(stdout.String(), step.stdout) || !strings.Contains(stderr.String(), step.stderr) {
			t.Errorf("%s: exit status %d\n%s\n%s", step.name, code, stdout.String(), stderr.String())
		}
		if n := len(srv.Tags("apps/web")); n != step.tags {
			t.Errorf("%s: %d tags are left, want %d", step.name, n, step.tags)
		}
	}
	if target, err := os.Readlink(device); err != nil || target != os.DevNull {
		t.Errorf("the link to a device leads to %q, %v", target, err)
	}
}
