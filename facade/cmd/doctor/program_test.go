package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/azure"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDoctor(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithoutAnonymousPull(), acrtest.WithRepositoryToken("ci", "swordfish-swordfish", "samples/* content/read,metadata/read"))
	srv.SeedImage(t, "samples/app:v1")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{azure.EnvAllowedHosts: srv.Host(), azure.EnvCAFile: ca}
	password := map[string]string{azure.EnvUsername: "ci", azure.EnvPassword: "swordfish-swordfish", azure.EnvAllowedHosts: srv.Host(), azure.EnvCAFile: ca}
	for _, tt := range []struct {
		name           string
		env            map[string]string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"entra", known, []string{srv.Endpoint(), "-repository", "samples/app", "-reference=v1", "-try-push"}, 0, "ok       push ", ""},
		{"options first", known, []string{"-repository", "samples/app", srv.Host()}, 0, "result      ok\n", ""},
		{"password", password, []string{"-repository", "samples/app", srv.Host()}, 0, "result      warn\n", ""},
		{"anonymous", known, []string{"-anonymous", srv.Host()}, 1, "failed   token ", ""},
		{"untrusted", map[string]string{azure.EnvAllowedHosts: srv.Host()}, []string{srv.Host()}, 1, "failed   tls ", ""},
		{"not a registry, without signing in", known, []string{"-anonymous", "registry.example.com"}, 2, "", "ACRKIT_ALLOWED_HOSTS"},
		{"not a registry", known, []string{"registry.example.com"}, 2, "", "ACRKIT_ALLOWED_HOSTS"},
		{"a name without its domain", known, []string{"myregistry"}, 2, "", "write myregistry.azurecr.io"},
		{"bad name", known, []string{srv.Host(), "-repository", ".."}, 2, "", "invalid repository"},
		{"no registry", known, nil, 2, "", "exactly one registry must be given"},
		{"two registries", known, []string{srv.Host(), "other.azurecr.io"}, 2, "", "Run \"doctor -h\" for "},
		{"unknown option", known, []string{"-nonsense"}, 2, "", "-nonsense"},
		{"help", known, []string{"-h"}, 0, "", "Environment:\n"},
		{"version", known, []string{"-version"}, 0, "doctor (github.com/acrkit/acrkit) ", ""},
		{"no CA", map[string]string{azure.EnvCAFile: ca + ".missing"}, []string{srv.Host()}, 2, "", azure.EnvCAFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			p := command{
				Process: program.Process{Name: "doctor", Getenv: func(key string) string { return tt.env[key] }, Stdout: &stdout, Stderr: &stderr},
				signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
					return srv.Credential(), nil
				},
			}
			code := p.run(t.Context(), tt.args)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit status %d\n%s\n%s", code, stdout.String(), stderr.String())
			}
			if tt.stderr == "" && stderr.Len() > 0 || tt.stdout == "" && stdout.Len() > 0 {
				t.Errorf("unexpected output\n%s\n%s", stdout.String(), stderr.String())
			}
			if strings.Contains(stdout.String()+stderr.String(), "swordfish") {
				t.Error("the password was printed")
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		var stdout, stderr bytes.Buffer
		p := command{
			Process: program.Process{Name: "doctor", Getenv: func(key string) string { return known[key] }, Stdout: &stdout, Stderr: &stderr},
			signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
				return srv.Credential(), nil
			},
		}
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt()
		if code := p.run(ctx, []string{srv.Host()}); code != 1 || !strings.Contains(stdout.String(), "skipped  name ") || !strings.Contains(stderr.String(), "canceled") {
			t.Errorf("exit status %d\n%s\n%s", code, stdout.String(), stderr.String())
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		var stdout bytes.Buffer
		p := command{
			Process: program.Process{Name: "doctor", Getenv: func(key string) string { return known[key] }, Stdout: &stdout, Stderr: &stdout},
			signIn: func(*acr.ClientOptions, func(string) string) (azcore.TokenCredential, error) {
				return srv.Credential(), nil
			},
		}
		code := p.run(t.Context(), []string{"-json", srv.Host()})
		var report struct {
			Result string
			Steps  []struct{ Name, Status string }
		}
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || code != 0 || report.Result != "ok" || len(report.Steps) != 13 {
			t.Errorf("%d, %v: %s", code, err, stdout.String())
		}
	})
}
