package facade_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"
)

// examplesLeaveOut is what an example cannot show, or need not: what takes a test, and what says nothing beyond its name.
var examplesLeaveOut = map[string][]string{
	"facade/acr":         {"Client", "Name", "Reference", "Descriptor"},
	"facade/images":      {"ACR", "Mount", "ParseReference", "PushReference", "Blobs", "Manifests", "Referrers"}, // of oras-go's interfaces
	"facade/credentials": {},
	"facade/retention":   {"Load", "Store"},
	"facade/acrtest":     {"New", "NewReplay", "AtMost", "None", "NoCredentialLeaked"},
}

// unshown finds exported functions and methods that no example of their package calls. If several types have a method of that
// name, an example of one of these types shows the method of that type alone.
func (tr tree) unshown() (broken []string) {
	for dir, leftOut := range examplesLeaveOut {
		owned := map[string]bool{} // "Type_Method"
		tr.functions(dir, false, func(_ string, d *ast.FuncDecl) { owned[receiver(d)+"_"+d.Name.Name] = true })
		shown := map[string]bool{} // "Type_Method", or "_Method" of any type
		tr.functions(dir, true, func(_ string, d *ast.FuncDecl) {
			of, ok := strings.CutPrefix(d.Name.Name, "Example")
			if !ok {
				return
			}
			typ, _, _ := strings.Cut(of, "_")
			ast.Inspect(d.Body, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && owned[typ+"_"+s.Sel.Name] {
					shown[typ+"_"+s.Sel.Name] = true
				} else if ok {
					shown["_"+s.Sel.Name] = true
				}
				return true
			})
		})
		tr.functions(dir, false, func(name string, d *ast.FuncDecl) {
			what, full := d.Name.Name, receiver(d)+"_"+d.Name.Name
			if !d.Name.IsExported() || !exportedReceiver(d) || slices.Contains(leftOut, what) || shown[full] || shown["_"+what] {
				return
			}
			if d.Recv == nil || !slices.Contains(wellKnownMethods, what) {
				broken = append(broken, fmt.Sprintf("%s:%d: %s is in no example: write Example%s in %s/example_*_test.go, with an Output comment",
					name, tr.fset.Position(d.Pos()).Line, what, strings.TrimPrefix(full, "_"), dir))
			}
		})
	}
	return broken
}

// functions yields the functions and methods of one directory.
func (tr tree) functions(dir string, tests bool, yield func(name string, d *ast.FuncDecl)) {
	tr.goFiles(dir+"/", tests, func(name string, f *ast.File) {
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && path.Dir(name) == dir {
				yield(name, d)
			}
		}
	})
}

// receiver is the name of a method's type, without its pointer and type parameters; empty for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	name := types.ExprString(d.Recv.List[0].Type)
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "*"), "[")
	return name
}
