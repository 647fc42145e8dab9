package facade_test

import (
	"flag"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var fetchLinks = flag.Bool("links", false, "fetch the links of the documents to other sites")

// userPages are what users read outside of pkg.go.dev.
func userPages(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("guides/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no guides: %v", err)
	}
	text := map[string]string{}
	for _, page := range append(pages, "../README.md") {
		text[page] = read(t, page)
	}
	return text
}

var (
	shellBlock  = regexp.MustCompile("(?s)\n```sh\n(.*?)```")
	shellIndent = regexp.MustCompile(`(?m)^    (\S.*)$`)
	shellSpan   = regexp.MustCompile("`((?:go (?:run|install|get)|make|retention|doctor|acrtest) [^`]+)`")
	pageLink    = regexp.MustCompile(`\]\((https?://[^)\s]+)\)`)
	programFlag = regexp.MustCompile(`^--?([a-z][a-z-]*)$`)
	ownPackage  = "https://pkg.go.dev/" + module
	ownPrograms = []string{"acrtest", "doctor", "retention", "docker-credential-acrkit"}
	knownSites  = []string{"learn.microsoft.com", "pkg.go.dev", "go.dev", "keepachangelog.com", "semver.org"}
	subCommand  = regexp.MustCompile(`^[a-z]+$`)
)

// commands are the lines that a page tells its reader to type.
func commands(page string) (lines []string) {
	fences := shellBlock.FindAllStringSubmatch(page, -1)
	for _, m := range fences {
		lines = append(lines, strings.Split(strings.TrimSpace(m[1]), "\n")...)
	}
	withoutCode := docCode.ReplaceAllStringFunc(page, func(code string) string {
		if strings.HasPrefix(code, "```") {
			return ""
		}
		return code
	})
	for _, m := range slices.Concat(shellIndent.FindAllStringSubmatch(withoutCode, -1), shellSpan.FindAllStringSubmatch(withoutCode, -1)) {
		lines = append(lines, m[1])
	}
	return lines
}

// What a page tells a reader to type names programs, flags and targets that exist.
func TestPagesNameRealCommands(t *testing.T) {
	t.Parallel()
	makefile, observe, total := read(t, "../Makefile"), read(t, "../testdata/observe/go.mod"), 0
	for page, text := range userPages(t) {
		for _, line := range commands(text) {
			total++
			command, _, _ := strings.Cut(line, " # ")
			words := strings.Fields(command)
			switch {
			case words[0] == "make":
				for _, target := range words[1:] {
					if !strings.Contains(makefile, "\n"+target+": ##") {
						t.Errorf("%s: make %s does not exist", page, target)
					}
				}
			case words[0] == "go" && words[1] == "get":
				used := strings.Contains(observe, "\t"+strings.Replace(words[2], "@", " ", 1)+"\n") // in the version that is named
				if words[2] != module && !strings.HasPrefix(words[2], azident) && !used {
					t.Errorf("%s: go get %s", page, words[2])
				}
			case words[0] == "go" && (words[1] == "run" || words[1] == "install"):
				program, ok := strings.CutSuffix(words[2], "@latest")
				if dir, own := strings.CutPrefix(program, module+"/facade/cmd/"); !ok || !own {
					t.Errorf("%s: %s is no program of this module at a version", page, words[2])
				} else {
					checkProgram(t, page, dir, words[3:])
				}
			case slices.Contains(ownPrograms, words[0]):
				checkProgram(t, page, words[0], words[1:])
			case page == "guides/webassembly.md": // testdata/wasm runs them
			default:
				t.Errorf("%s: nothing checks %q", page, line)
			}
		}
	}
	if total < 10 {
		t.Errorf("only %d commands were found", total)
	}
}

// checkProgram looks for a program, its command and its flags in the source.
func checkProgram(t *testing.T, page, program string, args []string) {
	t.Helper()
	sources, err := filepath.Glob(path.Join("cmd", program, "*.go"))
	if err != nil || len(sources) == 0 {
		t.Errorf("%s: program %s does not exist", page, program)
		return
	}
	var source strings.Builder
	for _, name := range sources {
		if !strings.HasSuffix(name, "_test.go") {
			source.WriteString(read(t, name))
		}
	}
	for i, arg := range args {
		name := ""
		if m := programFlag.FindStringSubmatch(arg); m != nil {
			name = m[1]
		} else if i == 0 && program == "retention" && subCommand.MatchString(arg) {
			name = arg
		}
		if name != "" && !strings.Contains(source.String(), `"`+name+`"`) {
			t.Errorf("%s: %s has no %s", page, program, arg)
		}
	}
}

// Links to other sites lead to sites that are known, and to packages and headings of this module that exist.
func TestPagesLinkToRealPages(t *testing.T) {
	t.Parallel()
	g := loadGraph(t)
	for page, text := range userPages(t) {
		for _, m := range pageLink.FindAllStringSubmatch(text, -1) {
			link := m[1]
			host, _, _ := strings.Cut(strings.TrimPrefix(link, "https://"), "/")
			if !slices.Contains(knownSites, host) {
				t.Errorf("%s links to %s, a site that nobody has looked at", page, link)
			}
			if target, own := strings.CutPrefix(link, ownPackage); own {
				pkg, heading, _ := strings.Cut(target, "#hdr-")
				if p := g[module+pkg]; p == nil {
					t.Errorf("%s links to %s, which is no package", page, link)
				} else if heading != "" && !strings.Contains(read(t, filepath.Join(p.Dir, "doc.go")), "\n// # "+strings.ReplaceAll(heading, "_", " ")+"\n") {
					t.Errorf("%s links to %s, a heading that doc.go does not have", page, link)
				}
				continue
			}
			if *fetchLinks {
				fetch(t, link)
			}
		}
	}
}

func fetch(t *testing.T, link string) {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", link, resp.Status)
	}
}
