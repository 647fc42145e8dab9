package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

var pageCommand = regexp.MustCompile(`(?m)^(?:    )?go run \S+/facade/cmd/doctor@latest (.*)$`)

// The commands that the pages tell their readers to type are run as they stand there.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	srv.SeedImage(t, "samples/app:v1")
	srv.SeedImage(t, "shop/web:v1")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{azure.EnvAllowedHosts: srv.Host(), azure.EnvCAFile: ca}
	for _, page := range []string{"../../../README.md", "../../guides/errors.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := pageCommand.FindAllStringSubmatch(string(text), -1)
		if len(lines) == 0 {
			t.Errorf("%s runs no doctor", page)
		}
		for _, line := range lines {
			var stdout, stderr bytes.Buffer
			p := command{
				Process: program.Process{Name: "doctor", Getenv: func(key string) string { return env[key] }, Stdout: &stdout, Stderr: &stderr},
				signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
					return srv.Credential(), nil
				},
			}
			args := strings.Fields(strings.ReplaceAll(line[1], "myregistry.azurecr.io", srv.Host()))
			if code := p.run(t.Context(), args); code != 0 || !strings.Contains(stdout.String(), "ok       pull") {
				t.Errorf("%s: doctor %s: exit status %d\n%s%s", page, line[1], code, stdout.String(), stderr.String())
			}
		}
	}
}
