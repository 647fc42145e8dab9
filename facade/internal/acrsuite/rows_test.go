package acrsuite_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestRows holds the list of rows against the tests: ids without a gap, each row run by the one test that it names, no
// row run that is not in the list.
func TestRows(t *testing.T) {
	t.Parallel()
	next := map[byte]int{'A': 1, 'F': 1}
	runBy := rowCalls(t)
	for _, e := range acrsuite.Rows {
		kind := e.ID[0]
		if want := fmt.Sprintf("%c%02d", kind, next[kind]); e.ID != want {
			t.Errorf("row %s stands where %s belongs", e.ID, want)
		}
		next[kind]++
		if !strings.HasSuffix(e.Text, ".") || e.Test == "" {
			t.Errorf("row %s needs a sentence, and a test or the reason why it is open", e.ID)
		}
		if wants := []acrsuite.Outcome{acrsuite.Refused, acrsuite.Open}; kind == 'A' && !slices.Contains(wants, e.Want) {
			t.Errorf("row %s is an attack that ends %q", e.ID, e.Want)
		}
		switch by := runBy[e.ID]; {
		case e.Want == acrsuite.Open && len(by) > 0:
			t.Errorf("row %s is open, and %v runs it", e.ID, by)
		case e.Want != acrsuite.Open && len(by) != 1:
			t.Errorf("row %s is run by %v: it needs one test", e.ID, by)
		case e.Want != acrsuite.Open && by[0] != e.Test:
			t.Errorf("row %s is run by %s, the list says by %s", e.ID, by[0], e.Test)
		}
		delete(runBy, e.ID)
	}
	for id, by := range runBy {
		t.Errorf("row %s, run by %v, is not in the list", id, by)
	}
}

// rowCalls returns the test functions that call Row, by id, as the list names them.
func rowCalls(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, name := range testFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		suite := strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "../../"), "internal/acrsuite/")
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if id, ok := rowCall(n); ok {
					by := suite + "." + fn.Name.Name
					if !slices.Contains(out[id], by) {
						out[id] = append(out[id], by)
					}
				}
				return true
			})
		}
	}
	return out
}

// rowCall returns the id of a call of acrsuite.Row.
func rowCall(n ast.Node) (id string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 3 {
		return "", false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if x, isIdent := sel0(sel); !ok || !isIdent || x != "acrsuite" || sel.Sel.Name != "Row" && sel.Sel.Name != "RowAlone" {
		return "", false
	}
	lit, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return "a name that is computed", true
	}
	name, err := strconv.Unquote(lit.Value)
	id, _, _ = strings.Cut(name, " ")
	return id, err == nil
}

func sel0(sel *ast.SelectorExpr) (string, bool) {
	if sel == nil {
		return "", false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return x.Name, true
}

// testFiles are the test files below facade.
func testFiles(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(name string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestTable demands that the table of the rows in facade/RELIABILITY.md is that of the list.
func TestTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	with, err := acrsuite.WithTable(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(with, text) {
		t.Error("facade/RELIABILITY.md is not what the list says: run `make reliability-rows`")
	}
}
