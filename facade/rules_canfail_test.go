package facade_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// heavy is a graph of packages that are built from too much.
func heavy(pkgs ...string) graph {
	g := graph{}
	for _, p := range pkgs {
		g[p] = &listed{ImportPath: p}
		for i := range 100 {
			g[p].Deps = append(g[p].Deps, fmt.Sprintf("example.com/p%d", i))
		}
	}
	return g
}

// manyTests is a library of a file and so many test files.
func manyTests(n int) map[string]string {
	text := map[string]string{"facade/acr/a.go": "package acr\n"}
	for i := range n {
		text[fmt.Sprintf("facade/acr/a%d_test.go", i)] = "package acr_test\n"
	}
	return text
}

// A rule that cannot fail says nothing: each is put to a repository that breaks it.
func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	wrong := map[string]graph{
		"gen imports the standard library, the generator's runtime and go-digest":                         edges(genPkg, azcore+"/runtime"),
		"only acr and auth import gen":                                                                    edges(wirePkg, genPkg),
		"acr imports azcore, image-spec, go-digest, gen and its internals":                                edges(acrPkg, contractPkg),
		"acr never reaches oras-go, kin-openapi, azidentity or the emulator":                              edges(acrPkg, genPkg, genPkg, orasGo+"/v2/registry"),
		"transfer knows no HTTP":                                                                          edges(transferPkg, goDigest, goDigest, "net/http"),
		"route imports the standard library alone":                                                        edges(routePkg, wirePkg),
		"wait and observe import the standard library, and no HTTP":                                       edges(waitPkg, wirePkg),
		"partial knows no HTTP":                                                                           edges(partialPkg, wirePkg),
		"jsonscan imports the standard library alone":                                                     edges(jsonscanPkg, wirePkg),
		"redact, wire, transport, retry, auth: each is built on those before it alone":                    edges(wirePkg, transportPkg),
		"call imports nothing of this module, and no HTTP":                                                edges(callPkg, waitPkg),
		"transfer stands apart from what sends requests":                                                  edges(transferPkg, callPkg, callPkg, redactPkg),
		"acrtest is an independent witness: neither gen nor acr":                                          edges(acrtestPkg+"/internal/store", genPkg),
		"images and retention use acr's exported API, crew, graph, match and partial alone":               edges(retentPkg, wirePkg),
		"acr stays light, and images adds oras-go's interfaces and semver alone":                          heavy(acrPkg, imagesPkg),
		"retention never reaches images or oras-go":                                                       edges(retentPkg, orasGo),
		"graph, match and pace send nothing":                                                              edges(graphPkg, "net/http"),
		"contract and kin-openapi are reached from tests and their harness alone":                         edges(cmdPkg+"/tour", contractPkg, contractPkg, kin+"/openapi3"),
		"the document is for contract and tests":                                                          edges(imagesPkg, apiPkg),
		"azidentity belongs to programs and tests":                                                        edges(imagesPkg, azident),
		"the emulator is used by programs and tests":                                                      edges(retentPkg, acrtestPkg),
		"the harness of the suites is imported by tests alone":                                            edges(cmdPkg+"/tour", acrsuitePkg+"/upload"),
		"credentials uses acr's exported API and redact, and of oras-go what reads docker configurations": edges(credPkg, orasV2+"/registry/remote"),
		"of oras-go images takes nothing that opens a connection":                                         edges(imagesPkg, orasV2+"/registry/remote/auth"),
	}
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			g, ok := wrong[rule.name]
			if !ok {
				t.Fatal("no graph breaks this rule")
			}
			if len(rule.check(g)) == 0 {
				t.Error("the rule found nothing wrong")
			}
		})
	}
	bad := map[string]map[string]string{
		"wire, transport and retry know no tokens":        {"facade/internal/retry/a.go": "package retry\nvar a = \"Bearer \"\n"},
		"auth knows no blobs":                             {"facade/internal/auth/a.go": "package auth\nvar a = \"/v2/x/blobs/y\"\n"},
		"nothing else at the top":                         {"pkg/a.go": "package pkg\n"},
		"a file holds one noun: at most 400 lines":        {"facade/acr/a.go": "package acr\n" + strings.Repeat("\n", 400)},
		"a function fits on a screen: under 60 lines":     {"facade/acr/a.go": "package acr\n\nfunc a() {" + strings.Repeat("\n", 59) + "}\n"},
		"the library is 45 files and 45 of tests at most": manyTests(46),
		"every exported identifier is documented":         {"facade/acr/a.go": "package acr\nfunc A() {}\n"},
		"every package has a package comment":             {"facade/acr/a.go": "package acr\n"},
		"every exported function and method is shown by an example": {
			"facade/acr/a.go": "package acr\nfunc A() {}\n", "facade/acr/a_test.go": "package acr_test\nfunc ExampleB() { acr.B() }\n",
		},
		"every option is shown by an example": {
			"facade/acr/a.go":            "package acr\ntype AOptions struct{ B, C int }\ntype DOptions struct{ B int }\n",
			"facade/acr/example_test.go": "package acr_test\nfunc ExampleA() { acr.A(&acr.AOptions{B: 1}); acr.D(&acr.DOptions{B: 1}) }\n",
		},
		"exceptions from the rules of examples exist": {"facade/acr/a.go": "package acr\n"},
		"documents name what exists":                  {"README.md": "[a](b.md)"},
		"comments begin with the name":                {"facade/acr/a.go": "package acr\n\n// Name of it.\nfunc A() {}\n"},
		"comments are wrapped":                        {"facade/acr/a.go": "package acr\n\n// A does " + strings.Repeat("x", 100) + ".\nfunc A() {}\n"},
		"errors are a list with conditions":           {"facade/acr/a.go": "package acr\n\n// A fails. Errors: ErrX.\nfunc A() {}\n"},
		"comments are in plain English":               {"facade/acr/a.go": "package acr\n\n// A is told.\nfunc A() {}\n"},
		"methods of a digest are called of checked ones": {
			"facade/acr/a.go": "package acr\n\nfunc size(d digest.Digest) int { return len(d.Encoded()) }\n",
		},
		"a skipped test says why":                    {"facade/acr/a_test.go": "package acr\nfunc TestA(t *testing.T) { t.Skip() }\n"},
		"tests do not sleep":                         {"facade/acr/a_test.go": "package acr\nfunc TestA(t *testing.T) { time.Sleep(1) }\n", "facade/acr/b_test.go": "package acr\nfunc TestB(t *testing.T) { synctest.Test(t, f) }\n"},
		"every TestMain looks for leaked goroutines": {"facade/acr/a_test.go": "package acr\n"},
		"generated code is never edited: each file in gen has the generator's header": {"gen/a.go": "package gen\n"},
	}
	for _, rule := range sourceRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			text, ok := bad[rule.name]
			if !ok {
				t.Fatal("no tree breaks this rule")
			}
			tr := tree{fset: token.NewFileSet(), text: text}
			for name := range text {
				tr.files = append(tr.files, name)
			}
			if len(rule.check(tr)) == 0 {
				t.Error("the rule found nothing wrong")
			}
		})
	}
}

// TestEachFloorCanFail lets each package of the way out import the one after it, which it must not.
func TestEachFloorCanFail(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(importRules, func(r importRule) bool { return strings.HasPrefix(r.name, "redact, wire,") })
	above := []string{wirePkg, transportPkg, retryPkg, authPkg, acrPkg}
	for n, f := range floors {
		if len(importRules[i].check(edges(f.pkg, above[n]))) == 0 {
			t.Errorf("%s may import %s", f.pkg, above[n])
		}
	}
}

// TestRulesSeeOtherSystems puts an import into a source that this system leaves out.
func TestRulesSeeOtherSystems(t *testing.T) {
	t.Parallel()
	p := &listed{ImportPath: acrPkg, Dir: t.TempDir(), IgnoredGoFiles: []string{"a_plan9.go", "b_plan9_test.go"}}
	for _, name := range p.IgnoredGoFiles {
		if err := os.WriteFile(filepath.Join(p.Dir, name), []byte("package acr\n\nimport _ \""+azident+name[:1]+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.addIgnored(); err != nil {
		t.Fatal(err)
	}
	if want := []string{azident + "a"}; !slices.Equal(p.Imports, want) || !slices.Equal(p.Deps, want) {
		t.Errorf("%q and %q, want %q", p.Imports, p.Deps, want)
	}
}

// edges builds a graph from pairs of importer and imported, with what each reaches.
func edges(pairs ...string) graph {
	g := graph{}
	at := func(p string) *listed {
		if g[p] == nil {
			g[p] = &listed{ImportPath: p}
		}
		return g[p]
	}
	for i := 0; i < len(pairs); i += 2 {
		at(pairs[i+1])
		at(pairs[i]).Imports = append(at(pairs[i]).Imports, pairs[i+1])
	}
	var reach func(p string, into *listed)
	reach = func(p string, into *listed) {
		for _, imp := range g[p].Imports {
			if !slices.Contains(into.Deps, imp) {
				into.Deps = append(into.Deps, imp)
				reach(imp, into)
			}
		}
	}
	for p, l := range g {
		reach(p, l)
	}
	return g
}

func TestUndocumentedFindsEachKind(t *testing.T) {
	t.Parallel()
	src := `package acr

// TOptions has a comment.
type TOptions struct {
	// A and B are flags.
	A bool
	B bool

	C bool
	d bool
	E bool // behind
}

func (TOptions) M() {}
func (u) M() {}

type I interface{ N() }
var V int
`
	tr := tree{fset: token.NewFileSet(), text: map[string]string{"facade/acr/a.go": src}}
	got := strings.Join(tr.undocumented(), "\n")
	for _, want := range []string{"TOptions.C is", "11: M", ": I is", "I.N is", "V is"} {
		if !strings.Contains(got, strings.TrimPrefix(want, "11")) {
			t.Errorf("%q is not among:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 5 {
		t.Errorf("%d complaints, want 5:\n%s", n, got)
	}
}

func TestLanguageRulesFindEachKind(t *testing.T) {
	t.Parallel()
	src := `package acr

// AOptions are options.
type AOptions struct {
	// Size of it.
	Size int
	// Count is a number. Default: 1.
	Count int
	Bare int // is behind
}

// A Thing is a thing.
type Thing struct{}

// Gives nothing.
func (Thing) Do1() {}

// Do2 give nothing.
//
// Errors:
//   - [ErrX] if it fails
//   - [ErrY], which may happen
func (Thing) Do2() {}

// Do3 returns something.
//
// Errors:
func (Thing) Do3() {}

// do4 gives a thing, whoever asks.
func do4() {}
`
	tr := tree{fset: token.NewFileSet(), text: map[string]string{"facade/acr/a.go": src}}
	for want, got := range map[string][]string{
		"Size Do1 Do2 Bare": tr.notGodoc(),
		"[ErrX] list":       tr.looseErrorLists(),
	} {
		if n := len(strings.Fields(want)); len(got) != n {
			t.Errorf("want %s:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestStaleDocumentsFindsEachKind(t *testing.T) {
	t.Parallel()
	tr := tree{text: map[string]string{
		"facade/A.md": "# A heading: one\n[a](b.md) [c](A.md#none) [d](#a-heading-one) [e](https://example.com)\n" +
			"`facade/x.go` `facade/wire/...` `wire.Nothing` `wire.Some(t)` `other.Thing` `T.Field` `T.Do()` `T.Nothing` `Other.Thing` `[x](none)` TestNothing TestSome\n\n    make all nothing\n",
		"facade/wire/a_test.go": "package wire\nfunc TestSome(t *testing.T) { Some(t) }\n",
		"facade/acr/t.go":       "package acr\n\n// T is one.\ntype T struct {\n\tField int\n}\n\nfunc (t *T) Do() {}\n",
		"Makefile":              "x:\n\nall: ## all\n",
	}}
	for name := range tr.text {
		tr.files = append(tr.files, name)
	}
	got := strings.Join(tr.staleDocuments(), "\n")
	for _, want := range []string{"links to b.md", "links to A.md#none", "names facade/x.go", "names wire.Nothing", "names T.Nothing", "names TestNothing", "names make nothing"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 7 {
		t.Errorf("%d complaints, want 7:\n%s", n, got)
	}
}

func TestExportedUsesFindsEachRoad(t *testing.T) {
	t.Parallel()
	gen := check(t, genPkg, `package gen
type G struct{}
type Box[T any] struct{ V T }
`, nil)
	for name, src := range map[string]string{
		"alias":              `type A = gen.G`,
		"embedded":           `type A struct{ gen.G }`,
		"option field":       `type Options struct{ G *gen.G }`,
		"parameter":          `func F(func([]gen.G)) {}`,
		"result":             `func F() map[string]gen.G { return nil }`,
		"method":             "type A struct{}\nfunc (*A) M() gen.G { return gen.G{} }",
		"type argument":      "type Box[T any] struct{}\nvar V Box[gen.G]",
		"generic type":       `var V gen.Box[int]`,
		"by way of a hidden": "type h struct{ G gen.G }\nfunc F() h { return h{} }",
		"channel":            `var C chan [2]gen.G`,
		"interface":          `type I interface{ M(gen.G) }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pkg := check(t, acrPkg, "package acr\nimport \""+genPkg+"\"\n"+src, gen)
			if len(exportedUses(pkg, genPkg)) == 0 {
				t.Error("not found")
			}
		})
	}
	t.Run("hidden use is allowed", func(t *testing.T) {
		t.Parallel()
		pkg := check(t, acrPkg, "package acr\nimport \""+genPkg+"\"\ntype A struct{ g gen.G }\nfunc f() gen.G { return gen.G{} }", gen)
		report(t, exportedUses(pkg, genPkg))
	})
}

func check(t *testing.T, importPath, src string, dep *types.Package) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "a.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: only{dep}}
	pkg, err := conf.Check(importPath, fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// only imports one package.
type only struct{ pkg *types.Package }

func (o only) Import(string) (*types.Package, error) { return o.pkg, nil }
