package guides_test

import (
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts an emulator with an image for two platforms, shop/web:v1, and a client of it. done ends both.
func start(opts ...acrtest.Option) (srv *acrtest.Server, client *acr.Client, done func()) {
	srv, err := acrtest.Start(opts...)
	check(err)
	srv.SeedIndex(nil, "shop/web:v1", "amd64", "arm64")
	client, err = acr.NewClient(srv.Endpoint(), srv.Credential(), reach(srv))
	check(err)
	return srv, client, func() {
		client.CloseIdleConnections()
		srv.Close()
	}
}

// reach returns the options with which a client reaches the emulator. A registry in Azure needs none.
func reach(srv *acrtest.Server) *acr.ClientOptions {
	return &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
}

// tempDir returns a directory for the time of an example.
func tempDir() (dir string, done func()) {
	dir, err := os.MkdirTemp("", "guide")
	check(err)
	return dir, func() { _ = os.RemoveAll(dir) }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A reader pastes what compiles and sees what a program printed: each block of Go in a guide stands in a test of this folder, or in
// a module of testdata that has one, and each block of text in the output of one.
func TestGuidesQuotePrograms(t *testing.T) {
	t.Parallel()
	var programs string
	for _, pattern := range []string{"*_test.go", "../../testdata/observe/*_test.go", "../../testdata/wasm/tags/*.go"} {
		for _, name := range glob(t, pattern) {
			programs += flat(read(t, name))
		}
	}
	pages := glob(t, "*.md")
	for _, page := range pages {
		blocks := 0
		for language, block := range fenced(read(t, page)) {
			switch language {
			case "go":
				if !strings.Contains(programs, "\n"+strings.TrimPrefix(flat(block), "\n")) {
					t.Errorf("%s: no test has\n%s", page, block)
				}
			case "text":
				if printed := "\n// " + strings.ReplaceAll(strings.TrimSpace(flat(block)), "\n", "\n// ") + "\n"; !strings.Contains(programs, printed) {
					t.Errorf("%s: no example prints\n%s", page, block)
				}
			case "sh", "json":
			default:
				t.Errorf("%s: a block in %q is checked by nothing", page, language)
			}
			blocks++
		}
		if blocks == 0 {
			t.Errorf("%s has no program", page)
		}
		if !strings.Contains(read(t, "doc.go"), page) {
			t.Errorf("doc.go does not list %s", page)
		}
	}
	if len(pages) < 12 {
		t.Errorf("only %d guides", len(pages))
	}
}

// fenced yields the blocks of a page with their language.
func fenced(page string) func(yield func(language, block string) bool) {
	return func(yield func(language, block string) bool) {
		for i, part := range strings.Split("\n"+page, "\n```") {
			if i%2 == 0 {
				continue
			}
			language, block, _ := strings.Cut(part, "\n")
			if !yield(language, block+"\n") {
				return
			}
		}
	}
}

// flat returns a text without the indentation of its lines.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return "\n" + strings.Join(lines, "\n")
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "README.md" })
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
