package credentials_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/credentials"
)

// helper is the credential helper of these tests. It answers by the name of the registry.
const helper = `#!/bin/sh
read -r server
case "$server" in
admin.azurecr.io) echo '{"ServerURL":"admin.azurecr.io","Username":"user","Secret":"s3cr3t"}' ;;
token.azurecr.io) echo '{"ServerURL":"token.azurecr.io","Username":"<token>","Secret":"s3cr3t"}' ;;
guid.azurecr.io) echo '{"ServerURL":"x","Username":"00000000-0000-0000-0000-000000000000","Secret":"s3cr3t"}' ;;
TyPed.azurecr.io) echo '{"ServerURL":"TyPed.azurecr.io","Username":"user","Secret":"s3cr3t"}' ;;
broken.azurecr.io) echo 's3cr3t' ;;
odd.azurecr.io) echo '{"Secret":["s3cr3t"]}' ;;
leaky.azurecr.io) echo '{"Username":"user","Secret":"s3cr3t"}'; exit 1 ;;
failing.azurecr.io) printf 'the keychain is\033[31m locked\n'; exit 1 ;;
hanging.azurecr.io) exec sleep 60 ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "credentials")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(helper), 0o700)
	}
	if err == nil {
		err = os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// TestFormats: what the tools of the field write, and what people make of it.
func TestFormats(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.s3cr3t.c2ln"
	for _, row := range []struct {
		name, file, host, repository string
		user, secret, helper         string // secret empty: anonymous
		fails                        string // in the error
	}{
		{name: "docker, plain", host: "a.azurecr.io", user: "user", secret: "p:w",
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("user", "p:w") + `"}},"HttpHeaders":{"User-Agent":"Docker-Client/19.03"}}`},
		{name: "docker, plain, padded as on Windows", host: "a.azurecr.io", user: "user", secret: "pw",
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("user", "pw\x00\x00") + `"}}}`},
		{name: "docker, identity token of az acr login", host: "a.azurecr.io", secret: jwt,
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("00000000-0000-0000-0000-000000000000", "") + `","identitytoken":"` + jwt + `"}}}`},
		{name: "docker, a refresh token as the password", host: "a.azurecr.io", secret: jwt,
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("00000000-0000-0000-0000-000000000000", jwt) + `"}}}`},
		{name: "docker, the user name <token>", host: "a.azurecr.io", secret: jwt,
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("<token>", jwt) + `"}}}`},
		{name: "docker, URL of an old version", host: "a.azurecr.io", user: "user", secret: "pw",
			file: `{"auths":{"https://a.azurecr.io/v1/":{"auth":"` + basic("user", "pw") + `","email":"a@b"}}}`},
		{name: "docker, user name and password apart", host: "a.azurecr.io", user: "user", secret: "pw",
			file: `{"auths":{"a.azurecr.io":{"username":"user","password":"pw"}}}`},
		{name: "docker, store", host: "admin.azurecr.io", user: "user", secret: "s3cr3t", helper: "test",
			file: `{"auths":{"admin.azurecr.io":{}},"credsStore":"test"}`},
		{name: "docker, store with a token", host: "token.azurecr.io", secret: "s3cr3t", helper: "test", file: `{"credsStore":"test"}`},
		{name: "docker, store without the registry", host: "none.azurecr.io", file: `{"credsStore":"test"}`},
		{name: "docker, helper of one registry", host: "guid.azurecr.io", secret: "s3cr3t", helper: "test",
			file: `{"credHelpers":{"guid.azurecr.io":"test"},"credsStore":"none-of-this-name"}`},
		{name: "docker, capitals", host: "a.azurecr.io", user: "user", secret: "pw", file: `{"auths":{"A.azurecr.IO":{"auth":"` + basic("user", "pw") + `"}}}`},
		{name: "docker, store, capitals", host: "typed.azurecr.io", user: "user", secret: "s3cr3t", helper: "test",
			file: `{"auths":{"TyPed.azurecr.io":{}},"credsStore":"test"}`},
		{name: "docker, helper of one registry, capitals", host: "typed.azurecr.io", user: "user", secret: "s3cr3t", helper: "test",
			file: `{"credHelpers":{"TyPed.azurecr.io":"test"}}`},
		{name: "podman", host: "a.azurecr.io", user: "user", secret: "pw",
			file: "{\n\t\"auths\": {\n\t\t\"a.azurecr.io\": {\n\t\t\t\"auth\": \"" + basic("user", "pw") + "\"\n\t\t}\n\t}\n}"},
		{name: "podman, a repository's entry", host: "a.azurecr.io", repository: "team/app", user: "team", secret: "pw",
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("all", "pw") + `"},"a.azurecr.io/team":{"auth":"` + basic("team", "pw") + `"},"a.azurecr.io/te":{"auth":"` + basic("te", "pw") + `"}}}`},
		{name: "podman, the longest match", host: "a.azurecr.io", repository: "team/app", user: "app", secret: "pw",
			file: `{"auths":{"a.azurecr.io/team":{"auth":"` + basic("team", "pw") + `"},"a.azurecr.io/team/app":{"auth":"` + basic("app", "pw") + `"}}}`},
		{name: "podman, a repository's entry is not the registry's", host: "a.azurecr.io",
			file: `{"auths":{"a.azurecr.io/team":{"auth":"` + basic("team", "pw") + `"}}}`},
		{name: "helm", host: "a.azurecr.io", user: "user", secret: "pw",
			file: "{\n\t\"auths\": {\n\t\t\"a.azurecr.io\": {\n\t\t\t\"auth\": \"" + basic("user", "pw") + "\"\n\t\t}\n\t}\n}"},
		{name: "oras, identity token alone", host: "a.azurecr.io", secret: jwt, file: `{"auths":{"a.azurecr.io":{"identitytoken":"` + jwt + `"}}}`},
		{name: "several registries", host: "b.azurecr.io", user: "b", secret: "pw",
			file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("a", "pw") + `"},"b.azurecr.io":{"auth":"` + basic("b", "pw") + `"},"https://index.docker.io/v1/":{"auth":"` + basic("c", "pw") + `"}}}`},
		{name: "another registry alone", host: "b.azurecr.io", file: `{"auths":{"a.azurecr.io":{"auth":"` + basic("a", "pw") + `"}}}`},
		{name: "a name that only begins alike", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io.evil.example":{"auth":"` + basic("a", "pw") + `"}}}`},
		{name: "a damaged entry of another registry", host: "b.azurecr.io", user: "b", secret: "pw",
			file: `{"auths":{"a.azurecr.io":{"auth":"%%%"},"b.azurecr.io":{"auth":"` + basic("b", "pw") + `"}}}`},
		{name: "an empty file", host: "a.azurecr.io", file: " \n"},
		{name: "an empty entry", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io":{}}}`},

		{name: "broken JSON", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io":{"auth":"s3cr3t"`, fails: "not a docker configuration"},
		{name: "auths of the wrong type", host: "a.azurecr.io", file: `{"auths":["s3cr3t"]}`, fails: "not a docker configuration"},
		{name: "broken base64", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io":{"auth":"s3cr3t%"}}}`, fails: "damaged"},
		{name: "no colon", host: "a.azurecr.io", fails: "damaged",
			file: `{"auths":{"a.azurecr.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("s3cr3t")) + `"}}}`},
		{name: "a user without a password", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io":{"username":"user"}}}`, fails: "without a password"},
		{name: "a registry token", host: "a.azurecr.io", file: `{"auths":{"a.azurecr.io":{"registrytoken":"s3cr3t"}}}`, fails: "registry token"},
		{name: "no such helper", host: "a.azurecr.io", file: `{"credsStore":"none-of-this-name"}`, fails: "docker-credential-none-of-this-name failed"},
		{name: "a helper with a path", host: "a.azurecr.io", file: `{"credsStore":"../../bin/sh"}`, fails: "not the name of a program"},
		{name: "a helper that fails", host: "failing.azurecr.io", file: `{"credsStore":"test"}`, fails: `the keychain is\u001b[31m locked`},
		{name: "a helper that fails with its answer", host: "leaky.azurecr.io", file: `{"credsStore":"test"}`, fails: `{"Username":"user","Secret":"REDACTED"}`},
		{name: "a helper that answers nonsense", host: "broken.azurecr.io", file: `{"credsStore":"test"}`, fails: "did not answer"},
		{name: "a helper that answers another type", host: "odd.azurecr.io", file: `{"credsStore":"test"}`, fails: "did not answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, row.file)
			c, err := credentials.Find(t.Context(), "https://"+row.host, &credentials.Options{Files: []string{path}, Repository: row.repository})
			if row.fails != "" {
				failed, ok := errors.AsType[*credentials.Error](err)
				if !ok || !strings.Contains(err.Error(), row.fails) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("got %+v, %v", failed, err)
				}
				return
			}
			if err != nil || c.Username != row.user || c.Secret() != row.secret || c.Helper != row.helper || c.IsAnonymous() != (row.secret == "") {
				t.Errorf("got %v %q %q, %v", c, c.Username, c.Secret(), err)
			}
			raw, _ := json.Marshal(c)
			for _, text := range []string{fmt.Sprintf("%+v %#v %v", c, c, struct{ c credentials.Credential }{c}), string(raw)} {
				if row.secret != "" && strings.Contains(text, row.secret) {
					t.Errorf("it prints its secret: %s", text)
				}
			}
		})
	}
}

// TestRefused: what is refused before any file is read.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "http://a.azurecr.io", "a.azurecr.io/team", "https://u:p@a.azurecr.io", "a.azurecr.io?x=1", "::"} {
		if _, err := credentials.Find(t.Context(), endpoint, nil); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
	for _, repository := range []string{"/a", "a/", "a//b", "a:v1", "a b"} {
		if _, err := credentials.Find(t.Context(), "a.azurecr.io", &credentials.Options{Repository: repository}); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("repository %q: %v", repository, err)
		}
	}
	missing := &credentials.Options{Files: []string{filepath.Join(t.TempDir(), "none")}}
	if _, err := credentials.Find(t.Context(), "a.azurecr.io", missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	big := write(t, strings.Repeat(" ", 5<<20))
	if _, err := credentials.Find(t.Context(), "a.azurecr.io", &credentials.Options{Files: []string{big}}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a large file: %v", err)
	}
	c, err := credentials.Find(t.Context(), "admin.azurecr.io", &credentials.Options{Files: []string{write(t, `{"credsStore":"test"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client("other.azurecr.io", nil); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Errorf("a client of another registry: %v", err)
	}
}

// TestRefusedAsByClient: an endpoint or repository that acr refuses is refused for the same reason, which names no password.
func TestRefusedAsByClient(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"", "::", "http://a.azurecr.io", "a.azurecr.io/shop/web", "https://u:p@a.azurecr.io", "a.azurecr.io?x=1", "a.azurecr.io#x",
		"a.azurecr.io:0", "a.azurecr.io:x", "a..azurecr.io", "a azurecr.io", "\u00e4.azurecr.io",
	} {
		_, want := acr.NewClient(endpoint, nil, nil)
		_, err := credentials.Find(t.Context(), endpoint, nil)
		if err == nil || want == nil || err.Error() != want.Error() || !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("endpoint %q: %v, want %v", endpoint, err, want)
		}
	}
	client, err := acr.NewClient("myregistry.azurecr.io", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"Bad", "myregistry.azurecr.io/x", "https://myregistry.azurecr.io/x", "app:v1", "/a", "a/", "a//b", "a b", "-a", ".", "a\n", strings.Repeat("a", 256),
	} {
		_, refusal := client.Repository(name).Properties(t.Context())
		want, ok := errors.AsType[*acr.ArgumentError](refusal)
		_, err := credentials.Find(t.Context(), "https://MyRegistry.azurecr.io/", &credentials.Options{Repository: name})
		got, same := errors.AsType[*acr.ArgumentError](err)
		if !ok || !same || got.Reason != want.Reason || got.Value != name || got.Argument != "Repository" || !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("repository %q: %v, want the reason of %v", name, err, refusal)
		}
	}
}

// TestAnyHost: credentials are found for registries that are not in Azure too.
func TestAnyHost(t *testing.T) {
	t.Parallel()
	file := write(t, `{"auths":{"localhost:5000":{"auth":"`+basic("u", "one")+`"},"registry.example.com":{"auth":"`+basic("u", "two")+`"}}}`)
	for endpoint, secret := range map[string]string{
		"localhost:5000": "one", "localhost:5000/": "one", "https://localhost:5000/": "one",
		"Registry.Example.com": "two", "registry.example.com:443": "two", "https://registry.example.com:443/": "two",
	} {
		c, err := credentials.Find(t.Context(), endpoint, &credentials.Options{Files: []string{file}})
		if err != nil || c.Secret() != secret {
			t.Errorf("%s: %v, %v", endpoint, c, err)
		}
	}
}

// TestStop: a helper that hangs is stopped with the context.
func TestStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := credentials.Find(ctx, "hanging.azurecr.io", &credentials.Options{Files: []string{write(t, `{"credsStore":"test"}`)}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestDefaultFiles: the files of all tools are searched, in the order that is documented.
func TestDefaultFiles(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "HELM_REGISTRY_CONFIG", "HELM_CONFIG_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("APPDATA", filepath.Join(home, "AppData"))
	t.Setenv("HOME", home)
	want := func(user string) {
		t.Helper()
		c, err := credentials.Find(t.Context(), "a.azurecr.io", nil)
		if err != nil || c.Username != user {
			t.Errorf("got %v, %v, want %s", c, err, user)
		}
	}
	put := func(user string, elem ...string) {
		path := filepath.Join(elem...)
		content := `{"auths":{"a.azurecr.io":{"auth":"` + basic(user, "pw") + `"}}}`
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want("")
	config := map[string]string{"darwin": "Library/Preferences", "windows": "AppData"}[runtime.GOOS]
	put("helm default", home, cmp.Or(config, ".config"), "helm", "registry", "config.json")
	want("helm default")
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "xdg"))
	want("")
	put("helm XDG", home, "xdg", "helm", "registry", "config.json")
	want("helm XDG")
	put("podman XDG", home, "xdg", "containers", "auth.json")
	want("podman XDG")
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HELM_CONFIG_HOME", filepath.Join(home, "helm"))
	want("")
	put("helm home", home, "helm", "registry", "config.json")
	want("helm home")
	t.Setenv("HELM_REGISTRY_CONFIG", filepath.Join(home, "helm.json"))
	put("helm", home, "helm.json")
	want("helm")
	put("config", home, ".config", "containers", "auth.json")
	want("config")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
	put("runtime", home, "run", "containers", "auth.json")
	want("runtime")
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "auth.json"))
	put("file", home, "auth.json")
	want("file")
	put("docker", home, ".docker", "config.json")
	want("docker")
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, "else"))
	want("file")
	put("else", home, "else", "config.json")
	want("else")
}

// TestSignIn: the password of the admin user and an identity token, in a file, sign a client in.
func TestSignIn(t *testing.T) {
	t.Parallel()
	server := acrtest.New(t, acrtest.WithoutAnonymousPull(), acrtest.WithAdmin("admin", "pa:ss"))
	server.SeedImage(t, "library/hello:v1")
	opts := &acr.ClientOptions{ClientOptions: server.ClientOptions(), AllowedHosts: []string{server.Host()}}
	entra, err := acr.NewClient(server.Endpoint(), server.Credential(), opts)
	if err != nil {
		t.Fatal(err)
	}
	login, err := entra.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]string{
		"password":       `{"auth":"` + basic("admin", "pa:ss") + `"}`,
		"identity token": `{"identitytoken":"` + login.Password() + `"}`,
	} {
		file := write(t, `{"auths":{"`+server.Host()+`":`+entry+`}}`)
		client, err := credentials.NewClient(t.Context(), server.Endpoint(), &credentials.Options{Files: []string{file}, Client: opts})
		if err != nil {
			t.Fatal(err)
		}
		names, err := acr.Collect(client.RepositoryNames(t.Context(), nil))
		if err != nil || len(names) != 1 {
			t.Errorf("%s: %v, %v", name, names, err)
		}
	}
	anonymous, err := credentials.NewClient(t.Context(), server.Endpoint(), &credentials.Options{Files: []string{write(t, "{}")}, Client: opts})
	if err != nil {
		t.Fatal(err)
	}
	if err := anonymous.Ping(t.Context()); err == nil {
		t.Error("an anonymous client got in")
	}
}
