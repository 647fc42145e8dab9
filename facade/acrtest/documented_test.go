package acrtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every exported function and method is shown by an example.
func TestEverythingIsShown(t *testing.T) {
	t.Parallel()
	shown := make(map[string]bool)
	for _, decl := range functions(t, func(file string) bool { return strings.HasSuffix(file, "_test.go") }) {
		if !strings.HasPrefix(decl.Name.Name, "Example") {
			continue
		}
		ast.Inspect(decl.Body, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				shown[s.Sel.Name] = true
			}
			return true
		})
	}
	// These are New and NewReplay with a test, which an example has not got, and what implements interfaces of others.
	exempt := []string{"New", "NewReplay", "AtMost", "None", "NoCredentialLeft", "String", "RoundTrip", "ServeHTTP"}
	for _, decl := range functions(t, func(file string) bool { return !strings.HasSuffix(file, "_test.go") }) {
		if name := decl.Name.Name; decl.Name.IsExported() && exportedReceiver(decl) && !shown[name] && !slices.Contains(exempt, name) {
			t.Errorf("%s is in no example", name)
		}
	}
}

func functions(t *testing.T, in func(file string) bool) (decls []*ast.FuncDecl) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !in(name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				decls = append(decls, f)
			}
		}
	}
	return decls
}

func exportedReceiver(decl *ast.FuncDecl) bool {
	if decl.Recv == nil {
		return true
	}
	receiver := decl.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}
