package facade_test

import (
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/acrkit/acrkit"

// Where things may come from, as prefixes of import paths.
const (
	azcore    = "github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azident   = "github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	goDigest  = "github.com/opencontainers/go-digest"
	imageSpec = "github.com/opencontainers/image-spec"
	kin       = "github.com/getkin/kin-openapi"
	oapiRun   = "github.com/oapi-codegen/runtime"
	orasGo    = "oras.land/oras-go"
	orasV2    = orasGo + "/v2"
	semver    = "golang.org/x/mod/semver"

	apiPkg       = module + "/api"
	genPkg       = module + "/gen"
	acrPkg       = module + "/facade/acr"
	acrtestPkg   = module + "/facade/acrtest"
	imagesPkg    = module + "/facade/images"
	credPkg      = module + "/facade/credentials"
	retentPkg    = module + "/facade/retention"
	internalPkg  = module + "/facade/internal"
	versionPkg   = internalPkg + "/version"
	authPkg      = internalPkg + "/auth"
	callPkg      = internalPkg + "/call"
	redactPkg    = internalPkg + "/redact"
	wirePkg      = internalPkg + "/wire"
	transportPkg = internalPkg + "/transport"
	retryPkg     = internalPkg + "/retry"
	transferPkg  = internalPkg + "/transfer"
	waitPkg      = internalPkg + "/wait"
	jsonscanPkg  = internalPkg + "/jsonscan"
	keysPkg      = internalPkg + "/keys"
	partialPkg   = internalPkg + "/partial"
	contractPkg  = internalPkg + "/contract"
	acrsuitePkg  = internalPkg + "/acrsuite"
	crewPkg      = internalPkg + "/crew"
	graphPkg     = internalPkg + "/graph"
	matchPkg     = internalPkg + "/match"
	observePkg   = internalPkg + "/observe"
	pacePkg      = internalPkg + "/pace"
	routePkg     = internalPkg + "/route"
	cmdPkg       = module + "/facade/cmd"
)

// floors are the packages that a request goes through on its way out, from the lowest on: each imports those before it
// and what it has beside it, and never one after it.
var floors = []struct {
	pkg    string
	others []string
}{
	{redactPkg, []string{std}},
	{wirePkg, []string{std, callPkg}},
	{transportPkg, []string{std, azcore, callPkg, observePkg, pacePkg, waitPkg}},
	{retryPkg, []string{std, azcore, callPkg, observePkg, waitPkg}},
	{authPkg, []string{std, azcore, genPkg, callPkg, observePkg, waitPkg, versionPkg}},
}

// importRule is a question about the package graph.
type importRule struct {
	name  string
	check func(graph) []string
}

// importRules is who may import whom. Each is a question about the package graph, so that the same question can be put
// to a graph that is wrong (TestRulesCanFail).
var importRules = []importRule{
	{"gen imports the standard library, the generator's runtime and go-digest", func(g graph) []string {
		return g.importsOnly(genPkg, std, oapiRun, goDigest)
	}},
	{"only acr and auth import gen", func(g graph) []string {
		return append(
			g.importers(false, genPkg, acrPkg, authPkg, genPkg),
			g.importers(true, genPkg, acrPkg, authPkg, genPkg, apiPkg)...)
	}},
	{"acr imports azcore, image-spec, go-digest, gen and its internals", func(g graph) []string {
		return g.importsOnly(acrPkg, std, azcore, imageSpec, goDigest, genPkg, authPkg, retryPkg, transportPkg, wirePkg,
			redactPkg, callPkg, transferPkg, jsonscanPkg, keysPkg, observePkg, partialPkg, pacePkg, routePkg, versionPkg, waitPkg)
	}},
	{"acr never reaches oras-go, kin-openapi, azidentity or the emulator", func(g graph) []string {
		return g.reachesNone(acrPkg, orasGo, kin, azident, acrtestPkg)
	}},
	{"transfer knows no HTTP", func(g graph) []string {
		return append(g.reachesNone(transferPkg, "net/http", azcore), g.importsOnly(transferPkg, std, goDigest, imageSpec, transferPkg, observePkg, waitPkg)...)
	}},
	{"wait and observe import the standard library, and no HTTP", func(g graph) []string {
		return slices.Concat(g.reachesNone(waitPkg, "net/http"), g.importsOnly(waitPkg, std, observePkg), g.importsOnly(observePkg, std))
	}},
	{"partial knows no HTTP", func(g graph) []string {
		return append(g.reachesNone(partialPkg, "net/http"), g.importsOnly(partialPkg, std, goDigest, transferPkg)...)
	}},
	{"jsonscan imports the standard library alone", func(g graph) []string {
		return append(g.reachesNone(jsonscanPkg, "net/http"), g.importsOnly(jsonscanPkg, std)...)
	}},
	{"route imports the standard library alone", func(g graph) []string {
		return g.importsOnly(routePkg, std)
	}},
	{"redact, wire, transport, retry, auth: each is built on those before it alone", func(g graph) (broken []string) {
		var below []string
		for _, f := range floors {
			broken = append(broken, g.importsOnly(f.pkg, slices.Concat(below, f.others)...)...)
			below = append(below, f.pkg)
		}
		return broken
	}},
	{"call imports nothing of this module, and no HTTP", func(g graph) []string {
		return append(g.reachesNone(callPkg, "net/http"), g.importsOnly(callPkg, std)...)
	}},
	{"transfer stands apart from what sends requests", func(g graph) []string {
		return g.reachesNone(transferPkg, redactPkg, wirePkg, transportPkg, retryPkg, authPkg)
	}},
	{"acrtest is an independent witness: neither gen nor acr", func(g graph) []string {
		return append(
			g.reachesNone(acrtestPkg, genPkg, acrPkg, internalPkg),
			g.importsOnly(acrtestPkg, std, goDigest, imageSpec, azcore, acrtestPkg)...)
	}},
	{"images and retention use acr's exported API, crew, graph, match and partial alone", func(g graph) []string {
		return append(
			g.importsOnly(imagesPkg, std, azcore, goDigest, imageSpec, acrPkg, crewPkg, graphPkg, matchPkg, orasGo),
			g.importsOnly(retentPkg, std, azcore, goDigest, imageSpec, acrPkg, crewPkg, graphPkg, matchPkg, partialPkg)...)
	}},
	{"of oras-go images takes nothing that opens a connection", func(g graph) []string {
		return g.orasPackages(imagesPkg, "content", "errdef", "registry", "registry/remote/errcode")
	}},
	{"acr stays light, and images adds oras-go's interfaces and semver alone", func(g graph) []string {
		return append(g.weight(acrPkg, 60), g.weight(imagesPkg, 68)...)
	}},
	{"credentials uses acr's exported API and redact, and of oras-go what reads docker configurations", func(g graph) []string {
		return g.importsOnly(credPkg, std, acrPkg, redactPkg, orasV2+"/registry/remote/auth", orasV2+"/registry/remote/credentials")
	}},
	{"retention never reaches images or oras-go", func(g graph) []string {
		return g.reachesNone(retentPkg, imagesPkg, orasGo)
	}},
	{"graph, match and pace send nothing", func(g graph) []string {
		return slices.Concat(
			g.importsOnly(pacePkg, std, waitPkg),
			g.reachesNone(pacePkg, "net/http"),
			g.reachesNone(graphPkg, "net/http", azcore),
			g.reachesNone(matchPkg, "net/http", azcore),
			g.importsOnly(crewPkg, std),
			g.importsOnly(graphPkg, std, crewPkg, goDigest, imageSpec),
			g.importsOnly(matchPkg, std, semver))
	}},
	{"contract and kin-openapi are reached from tests and their harness alone", func(g graph) []string {
		return g.reachedOnlyBy([]string{contractPkg, acrsuitePkg}, contractPkg, kin)
	}},
	{"the harness of the suites is imported by tests alone", func(g graph) []string {
		return g.importers(false, acrsuitePkg, acrsuitePkg)
	}},
	{"the document is for contract and tests", func(g graph) []string {
		return g.importers(false, apiPkg, contractPkg)
	}},
	{"azidentity belongs to programs and tests", func(g graph) []string {
		return g.importers(false, azident, cmdPkg)
	}},
	{"the emulator is used by programs and tests", func(g graph) []string {
		return g.importers(false, acrtestPkg, cmdPkg, acrtestPkg, acrsuitePkg)
	}},
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	g := loadGraph(t)
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			report(t, rule.check(g))
		})
	}
}

// A generated type in an exported signature would make every regeneration a breaking change.
func TestNoGeneratedTypeIsExported(t *testing.T) {
	t.Parallel()
	g := loadGraph(t)
	imp := newExportImporter(token.NewFileSet(), g)
	for _, p := range g {
		if !strings.HasPrefix(p.ImportPath, module+"/facade/") || p.Name == "main" || under(p.ImportPath, internalPkg) {
			continue
		}
		t.Run(strings.TrimPrefix(p.ImportPath, module+"/"), func(t *testing.T) {
			t.Parallel()
			pkg, err := imp.Import(p.ImportPath)
			if err != nil {
				t.Fatal(err)
			}
			report(t, exportedUses(pkg, genPkg))
		})
	}
}

// sourceRules are questions about the text of the repository.
var sourceRules = []struct {
	name  string
	check func(tree) []string
}{
	{"wire, transport and retry know no tokens", func(tr tree) (broken []string) {
		for _, pkg := range []string{"wire", "transport", "retry"} {
			broken = append(broken, tr.mentions("facade/internal/"+pkg+"/", "TokenCredential", "grant_type", "Bearer ")...)
		}
		return broken
	}},
	{"auth knows no blobs", func(tr tree) []string {
		return tr.mentions("facade/internal/auth/", "/blobs/", "/manifests/", "Descriptor")
	}},
	{"nothing else at the top", func(tr tree) []string { return tr.topLevel(topLevel) }},
	{"a file holds one noun: at most 400 lines", func(tr tree) []string { return tr.longFiles(400) }},
	{"a function fits on a screen: under 60 lines", func(tr tree) []string { return tr.longFunctions(59) }},
	{"the library is 45 files and 45 of tests at most", func(tr tree) []string { return tr.crowded("facade/acr", 45) }},
	{"every exported identifier is documented", tree.undocumented},
	{"every package has a package comment", tree.packagesWithoutComment},
	{"every exported function and method is shown by an example", tree.unshown},
	{"every option is shown by an example", tree.unshownOptions},
	{"exceptions from the rules of examples exist", tree.staleLeaveOuts},
	{"a skipped test says why", tree.silentSkips},
	{"methods of a digest are called of checked ones", tree.uncheckedDigests},
	{"tests do not sleep", tree.sleepingTests},
	{"every TestMain looks for leaked goroutines", tree.testsWithoutLeakCheck},
	{"documents name what exists", tree.staleDocuments},
	{"comments begin with the name", tree.notGodoc},
	{"comments are wrapped", tree.wideComments},
	{"errors are a list with conditions", tree.looseErrorLists},
	{"comments are in plain English", tree.speaksDialect},
	{"generated code is never edited: each file in gen has the generator's header", tree.handMadeInGen},
}

// topLevel is everything that may stand at the top, dot-files aside.
var topLevel = []string{
	"LICENSE", "Makefile", "README.md", "api", "facade", "gen", "generate.go", "go.mod", "go.sum", "testdata", "tools.go",
}

func TestSourceRules(t *testing.T) {
	t.Parallel()
	tr := loadTree(t, "..")
	for _, rule := range sourceRules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			report(t, rule.check(tr))
		})
	}
}

func report(t *testing.T, broken []string) {
	t.Helper()
	for _, b := range broken {
		t.Error(b)
	}
}

// loadTree holds the files that git knows or would add; outside a git checkout, all of them.
func loadTree(t *testing.T, root string) tree {
	t.Helper()
	var files []string
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		files = strings.Fields(string(out))
	} else {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, relErr := filepath.Rel(root, p)
				files = append(files, filepath.ToSlash(rel))
				return relErr
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tr := tree{fset: token.NewFileSet(), text: map[string]string{}}
	for _, name := range files {
		tr.files = append(tr.files, name)
		if ext := path.Ext(name); ext != ".go" && ext != ".md" && name != "Makefile" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) { // deleted, but still in the index
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		tr.text[name] = string(b)
	}
	slices.Sort(tr.files)
	return tr
}
