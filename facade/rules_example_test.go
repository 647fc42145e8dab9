package facade_test

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// examplesLeaveOut is what an example cannot show, or need not: what takes a test, and what says nothing beyond its name.
var examplesLeaveOut = map[string][]string{
	"facade/acr":     {"Client", "Name", "Reference", "Descriptor"},
	"facade/acrtest": {"New", "NewReplay", "AtMost", "None", "NoCredentialLeaked"},
}

// unshown finds exported functions and methods that no example of their package calls.
func (tr tree) unshown() (broken []string) {
	for dir, leftOut := range examplesLeaveOut {
		shown := map[string]bool{}
		tr.goFiles(dir+"/", true, func(name string, f *ast.File) {
			for _, decl := range f.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok || path.Dir(name) != dir || !strings.HasPrefix(d.Name.Name, "Example") {
					continue
				}
				ast.Inspect(d.Body, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok {
						shown[s.Sel.Name] = true
					}
					return true
				})
			}
		})
		tr.goFiles(dir+"/", false, func(name string, f *ast.File) {
			for _, decl := range f.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok || path.Dir(name) != dir || !d.Name.IsExported() || !exportedReceiver(d) || shown[d.Name.Name] {
					continue
				}
				if !slices.Contains(leftOut, d.Name.Name) && (d.Recv == nil || !slices.Contains(wellKnownMethods, d.Name.Name)) {
					broken = append(broken, fmt.Sprintf("%s:%d: %s is in no example: write one in %s/example_*_test.go, with an Output comment", name, tr.fset.Position(d.Pos()).Line, d.Name.Name, dir))
				}
			}
		})
	}
	return broken
}
