package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

var (
	pageCommand = regexp.MustCompile(`(?m)^(?:    )?retention ((?:plan|apply|undo) .*)$`)
	pageRules   = regexp.MustCompile("(?s)```json\n(.*?)```")
	planID      = regexp.MustCompile(`(?m)^plan (sha256:\S+)$`)
)

// The commands that the pages tell their readers to type are run as they stand there: plan, apply with the ID that plan printed, undo.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	guide := readPage(t, "../../guides/retention.md")
	rules := pageRules.FindStringSubmatch(guide)
	if rules == nil {
		t.Fatal("the guide has no rules")
	}
	for name, page := range map[string]string{"README": readPage(t, "../../../README.md"), "guide": guide} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := acrtest.New(t)
			for i := range 5 {
				srv.SeedImage(t, fmt.Sprintf("shop/web:build-%d", i))
				srv.Advance(30 * 24 * time.Hour)
			}
			dir := t.TempDir()
			for file, content := range map[string]string{"rules.json": rules[1], "ca.pem": string(srv.CA())} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			words := []string{"myregistry.azurecr.io", srv.Host()}
			for _, file := range []string{"rules.json", "plan.json", "deleted.jsonl"} {
				words = append(words, file, filepath.Join(dir, file))
			}
			var left []int
			for _, line := range pageCommand.FindAllStringSubmatch(page, -1) {
				out := runLine(t, srv, filepath.Join(dir, "ca.pem"), strings.NewReplacer(words...).Replace(line[1]))
				if id := planID.FindStringSubmatch(out); id != nil {
					words = append(words, "sha256:...", id[1])
				}
				left = append(left, len(srv.Tags("shop/web")))
			}
			if fmt.Sprint(left) != "[5 3 5]" {
				t.Errorf("tags after plan, apply and undo: %v", left)
			}
		})
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// runLine runs the program with the words of a line and returns what it printed.
func runLine(t *testing.T, srv *acrtest.Server, ca, line string) string {
	t.Helper()
	env := map[string]string{azure.EnvAllowedHosts: srv.Host(), azure.EnvCAFile: ca}
	var stdout, stderr bytes.Buffer
	p := command{
		Process: program.Process{Name: "retention", Getenv: func(key string) string { return env[key] }, Stdout: &stdout, Stderr: &stderr},
		signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
			return srv.Credential(), nil
		},
	}
	if code := p.run(t.Context(), strings.Fields(line)); code != 0 {
		t.Fatalf("retention %s: exit status %d\n%s%s", line, code, stdout.String(), stderr.String())
	}
	return stdout.String()
}
