package facade_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// graph is the packages of this module and all they are built from, by import path.
type graph map[string]*listed

// listed is what `go list` says of a package.
type listed struct {
	ImportPath   string
	Name         string
	Standard     bool
	Export       string // file with the compiler's export data
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string // of the package itself, its tests left out

	Dir            string
	IgnoredGoFiles []string // for other systems
}

// addIgnored adds what the sources for other systems import, so that the rules hold of them too.
func (p *listed) addIgnored() error {
	for _, name := range p.IgnoredGoFiles {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			p.Imports, p.Deps = append(p.Imports, imp), append(p.Deps, imp)
		}
	}
	return nil
}

// std stands for the whole standard library in a list of allowed imports.
const std = "std"

var listModule = sync.OnceValues(func() (graph, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Name,Standard,Export,Imports,TestImports,XTestImports,Deps,Dir,IgnoredGoFiles", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	g := graph{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		if under(p.ImportPath, module) {
			if err := p.addIgnored(); err != nil {
				return nil, err
			}
		}
		g[p.ImportPath] = p
	}
})

func loadGraph(t *testing.T) graph {
	t.Helper()
	g, err := listModule()
	if err != nil {
		t.Fatal(err)
	}
	if g[acrPkg] == nil || g[genPkg] == nil {
		t.Fatal("go list did not find facade/acr and gen: the rules would hold of nothing")
	}
	return g
}

// under says whether an import path is the prefix or lies below it.
func under(importPath, prefix string) bool {
	return importPath == prefix || strings.HasPrefix(importPath, prefix+"/")
}

func underAny(importPath string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return under(importPath, p) })
}

// room is a package and those below it, in order.
func (g graph) room(prefix string) []*listed {
	var room []*listed
	for p, l := range g {
		if under(p, prefix) {
			room = append(room, l)
		}
	}
	slices.SortFunc(room, func(a, b *listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return room
}

func (g graph) standard(p string) bool {
	if l := g[p]; l != nil {
		return l.Standard
	}
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// importsOnly: the packages of the room import nothing directly but what is allowed.
func (g graph) importsOnly(room string, allowed ...string) (broken []string) {
	for _, p := range g.room(room) {
		for _, imp := range p.Imports {
			if slices.Contains(allowed, std) && g.standard(imp) || underAny(imp, allowed) {
				continue
			}
			broken = append(broken, fmt.Sprintf("%s imports %s", p.ImportPath, imp))
		}
	}
	return broken
}

// reachesNone: the packages of the room are built from none of these, however far away.
func (g graph) reachesNone(room string, banned ...string) (broken []string) {
	for _, p := range g.room(room) {
		for _, dep := range p.Deps {
			if underAny(dep, banned) {
				broken = append(broken, fmt.Sprintf("%s reaches %s", p.ImportPath, dep))
			}
		}
	}
	return broken
}

// orasPackages: the room imports of oras-go exactly packages of the list, and is built from no more than those and oras-go's internal
// ones: the others bring a sign-in and a retry of their own.
func (g graph) orasPackages(room string, allowed ...string) (broken []string) {
	for _, p := range g.room(room) {
		for _, imp := range slices.Concat(p.Imports, p.Deps) {
			name := strings.TrimPrefix(imp, orasV2+"/")
			if !under(imp, orasGo) || slices.Contains(allowed, name) || under(name, "internal") && slices.Contains(p.Deps, imp) {
				continue
			}
			broken = append(broken, fmt.Sprintf("%s is built from %s", p.ImportPath, imp))
		}
	}
	return broken
}

// weight: who imports the package builds at most so many packages of other modules, the standard library aside.
func (g graph) weight(pkg string, limit int) (broken []string) {
	n := 0
	for _, dep := range g[pkg].Deps {
		if !under(dep, module) && !g.standard(dep) {
			n++
		}
	}
	if n > limit {
		broken = append(broken, fmt.Sprintf("%s is built from %d packages of other modules, the limit is %d", pkg, n, limit))
	}
	return broken
}

// importers: only packages under allowed import the target, in their sources or (tests) in their tests.
func (g graph) importers(tests bool, target string, allowed ...string) (broken []string) {
	for _, p := range g.room(module) {
		imports := p.Imports
		if tests {
			imports = slices.Concat(p.TestImports, p.XTestImports)
		}
		if underAny(p.ImportPath, allowed) {
			continue
		}
		for _, imp := range imports {
			if under(imp, target) {
				broken = append(broken, fmt.Sprintf("%s imports %s", p.ImportPath, imp))
			}
		}
	}
	return broken
}

// reachedOnlyBy: of this module only the packages of the rooms are built from the targets.
func (g graph) reachedOnlyBy(rooms []string, targets ...string) (broken []string) {
	for _, p := range g.room(module) {
		if underAny(p.ImportPath, rooms) {
			continue
		}
		for _, dep := range p.Deps {
			if underAny(dep, targets) {
				broken = append(broken, fmt.Sprintf("%s reaches %s", p.ImportPath, dep))
			}
		}
	}
	return broken
}

// exportImporter reads packages from the compiler's export data; safe for concurrent use, which go/importer's is not.
type exportImporter struct {
	mu  sync.Mutex
	imp types.Importer
}

func newExportImporter(fset *token.FileSet, g graph) *exportImporter {
	return &exportImporter{imp: importer.ForCompiler(fset, "gc", func(p string) (io.ReadCloser, error) {
		l := g[p]
		if l == nil || l.Export == "" {
			return nil, fmt.Errorf("no export data for %s", p)
		}
		return os.Open(l.Export)
	})}
}

func (e *exportImporter) Import(p string) (*types.Package, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.imp.Import(p)
}

// exportedUses lists where a package's exported face shows a type of the banned package: in a signature, a field, an
// alias, a type argument, an embedded type, or in what any of these lead to within this module.
func exportedUses(pkg *types.Package, banned string) []string {
	w := &faceWalk{banned: banned, seen: map[types.Type]bool{}}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if obj := scope.Lookup(name); obj.Exported() {
			w.walk(pkg.Name()+"."+name, obj.Type())
		}
	}
	slices.Sort(w.found)
	return w.found
}

type faceWalk struct {
	banned string
	seen   map[types.Type]bool
	found  []string
}

func (w *faceWalk) walk(where string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		w.walk(where, types.Unalias(t))
	case *types.Named:
		w.named(where, t)
	case *types.Pointer:
		w.walk(where, t.Elem())
	case *types.Slice:
		w.walk(where, t.Elem())
	case *types.Array:
		w.walk(where, t.Elem())
	case *types.Chan:
		w.walk(where, t.Elem())
	case *types.Map:
		w.walk(where, t.Key())
		w.walk(where, t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			w.walk(where, v.Type())
		}
	case *types.Signature:
		w.walk(where, t.Params())
		w.walk(where, t.Results())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				w.walk(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				w.walk(where+"."+m.Name(), m.Type())
			}
		}
	}
}

func (w *faceWalk) named(where string, t *types.Named) {
	for arg := range t.TypeArgs().Types() {
		w.walk(where, arg)
	}
	pkg := t.Obj().Pkg()
	switch {
	case pkg == nil: // error, comparable
	case under(pkg.Path(), w.banned):
		w.found = append(w.found, fmt.Sprintf("%s shows %s.%s", where, pkg.Name(), t.Obj().Name()))
	case under(pkg.Path(), module) && !w.seen[t]:
		w.seen[t] = true
		w.walk(where, t.Underlying())
		for m := range t.Methods() {
			if m.Exported() {
				w.walk(where+"."+m.Name(), m.Type())
			}
		}
	}
}
