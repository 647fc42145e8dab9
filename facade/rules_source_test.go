package facade_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// tree is the repository's files, and the text of those that the rules read.
type tree struct {
	fset  *token.FileSet
	files []string          // slash-separated, relative to the top
	text  map[string]string // of the .go and .md files and the Makefile
}

// goFiles yields the parsed hand-written files below a directory ("" is all), in order of their names.
func (tr tree) goFiles(dir string, tests bool, yield func(name string, f *ast.File)) {
	for _, name := range slices.Sorted(maps.Keys(tr.text)) {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") != tests || !strings.HasPrefix(name, dir) || strings.Contains(name, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(tr.fset, name, tr.text[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil || ast.IsGenerated(f) { // what does not parse does not build either
			continue
		}
		yield(name, f)
	}
}

func (tr tree) topLevel(allowed []string) (broken []string) {
	var there []string
	for _, name := range tr.files {
		top, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(there, top) {
			there = append(there, top)
		}
	}
	for _, top := range there {
		if !slices.Contains(allowed, top) {
			broken = append(broken, top+" does not belong at the top")
		}
	}
	for _, top := range allowed {
		if !slices.Contains(there, top) {
			broken = append(broken, top+" is missing at the top")
		}
	}
	return broken
}

func (tr tree) longFiles(limit int) (broken []string) {
	tr.goFiles("", false, func(name string, _ *ast.File) {
		if n := strings.Count(tr.text[name], "\n"); n > limit {
			broken = append(broken, fmt.Sprintf("%s has %d lines, the limit is %d", name, n, limit))
		}
	})
	return broken
}

// longFunctions reports the functions that have more lines than limit, from the first to the last.
func (tr tree) longFunctions(limit int) (broken []string) {
	tr.goFiles("", false, func(name string, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first := tr.fset.Position(fn.Pos()).Line
			if n := tr.fset.Position(fn.End()).Line - first + 1; n > limit {
				broken = append(broken, fmt.Sprintf("%s:%d: %s has %d lines, the limit is %d", name, first, fn.Name.Name, n, limit))
			}
		}
	})
	return broken
}

// crowded reports the directory that has more Go files of a kind than limit.
func (tr tree) crowded(dir string, limit int) (broken []string) {
	count := map[bool]int{}
	for _, name := range tr.files {
		if path.Dir(name) == dir && path.Ext(name) == ".go" {
			count[strings.HasSuffix(name, "_test.go")]++
		}
	}
	for tests, what := range map[bool]string{false: "files", true: "test files"} {
		if n := count[tests]; n > limit || n == 0 {
			broken = append(broken, fmt.Sprintf("%s has %d %s, the limit is %d: fold small ones into that of their noun", dir, n, what, limit))
		}
	}
	return broken
}

func (tr tree) packagesWithoutComment() (broken []string) {
	commented := map[string]bool{}
	tr.goFiles("facade/", false, func(name string, f *ast.File) {
		commented[path.Dir(name)] = commented[path.Dir(name)] || f.Doc.Text() != ""
	})
	for _, dir := range slices.Sorted(maps.Keys(commented)) {
		if !commented[dir] {
			broken = append(broken, dir+" has no package comment")
		}
	}
	return broken
}

// wellKnownMethods say by their name what they do.
var wellKnownMethods = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "Read", "Write", "Close", "Seek", "ReadAt", "WriteTo", "ReadFrom",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "ServeHTTP", "RoundTrip", "Len", "Less", "Swap", "Do",
}

func (tr tree) undocumented() (broken []string) {
	tr.goFiles("facade/", false, func(name string, f *ast.File) {
		public := !strings.Contains(name, "/internal/") && f.Name.Name != "main"
		say := func(pos token.Pos, what string) {
			broken = append(broken, fmt.Sprintf("%s:%d: %s is exported and has no comment", name, tr.fset.Position(pos).Line, what))
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				wellKnown := d.Recv != nil && slices.Contains(wellKnownMethods, d.Name.Name)
				if d.Name.IsExported() && exportedReceiver(d) && !wellKnown && d.Doc.Text() == "" {
					say(d.Pos(), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					undocumentedSpec(d, spec, public, tr.fset, say)
				}
			}
		}
	})
	return broken
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec, public bool, fset *token.FileSet, say func(token.Pos, string)) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		if s.Doc.Text() == "" && d.Doc.Text() == "" {
			say(s.Pos(), s.Name.Name)
		}
		if !public {
			return
		}
		switch t := s.Type.(type) {
		case *ast.StructType: // a read model's fields may speak for themselves; a choice never does
			if strings.HasSuffix(s.Name.Name, "Options") {
				undocumentedFields(s.Name.Name, t.Fields, fset, say)
			}
		case *ast.InterfaceType:
			undocumentedFields(s.Name.Name, t.Methods, fset, say)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc.Text() == "" && s.Comment.Text() == "" && d.Doc.Text() == "" {
				say(n.Pos(), n.Name)
			}
		}
	}
}

// undocumentedFields accepts a comment above a field, behind it, or above the run of lines it stands in.
func undocumentedFields(owner string, fields *ast.FieldList, fset *token.FileSet, say func(token.Pos, string)) {
	last, covered := -1, false
	for _, f := range fields.List {
		line := fset.Position(f.Pos()).Line
		own := f.Doc.Text() != ""
		covered = own || covered && line == last+1
		for _, n := range f.Names {
			if n.IsExported() && !covered && f.Comment.Text() == "" {
				say(n.Pos(), owner+"."+n.Name)
			}
		}
		last = fset.Position(f.End()).Line
	}
}

// calls yields each call x.sel(...) in the test files of a directory.
func (tr tree) calls(dir string, yield func(pos token.Position, x, sel string, call *ast.CallExpr)) {
	tr.goFiles(dir, true, func(_ string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if s, ok := call.Fun.(*ast.SelectorExpr); ok {
					x, _ := s.X.(*ast.Ident)
					if x != nil {
						yield(tr.fset.Position(call.Pos()), x.Name, s.Sel.Name, call)
					}
				}
			}
			return true
		})
	})
}

func (tr tree) silentSkips() (broken []string) {
	tr.calls("", func(pos token.Position, x, sel string, call *ast.CallExpr) {
		if !slices.Contains([]string{"t", "b", "f", "tb"}, x) {
			return
		}
		silent := len(call.Args) == 0
		if !silent {
			lit, ok := call.Args[0].(*ast.BasicLit)
			silent = ok && strings.Trim(lit.Value, "\"` ") == ""
		}
		if sel == "SkipNow" || (sel == "Skip" || sel == "Skipf") && silent {
			broken = append(broken, fmt.Sprintf("%s: %s.%s gives no reason", pos, x, sel))
		}
	})
	return broken
}

// bubbles begin what runs in a testing/synctest bubble, where Sleep costs nothing and is the way to let time pass.
var bubbles = []string{"synctest.Test(", "acrsuite.Uploads(", "acrsuite.Deliveries(", "acrsuite.InBubble("}

// sleepingTests are the files of tests that sleep and have no bubble to do it in.
func (tr tree) sleepingTests() (broken []string) {
	tr.calls("", func(pos token.Position, x, sel string, _ *ast.CallExpr) {
		if x != "time" || sel != "Sleep" {
			return
		}
		if !slices.ContainsFunc(bubbles, func(b string) bool { return strings.Contains(tr.text[pos.Filename], b) }) {
			broken = append(broken, fmt.Sprintf("%s: time.Sleep outside a testing/synctest bubble", pos))
		}
	})
	return broken
}

// leakChecks are the calls of which a TestMain makes one. acrsuite.Main looks for goroutines too.
var leakChecks = []string{"goleak.VerifyTestMain(", "goleak.Find(", "acrsuite.Main("}

func (tr tree) testsWithoutLeakCheck() (broken []string) {
	checked := map[string]bool{}
	tr.goFiles("facade/", true, func(name string, _ *ast.File) {
		dir := path.Dir(name)
		checked[dir] = checked[dir] || slices.ContainsFunc(leakChecks, func(check string) bool { return strings.Contains(tr.text[name], check) })
	})
	for _, dir := range slices.Sorted(maps.Keys(checked)) {
		if !checked[dir] {
			broken = append(broken, dir+" has tests and no TestMain with goleak")
		}
	}
	return broken
}

func (tr tree) handMadeInGen() (broken []string) {
	for _, name := range tr.files {
		if path.Dir(name) == "gen" && !strings.Contains(tr.text[name], "// Code generated ") {
			broken = append(broken, name+" was not generated")
		}
	}
	return broken
}

// mentions looks for words in the names and strings of a directory's sources; comments may say what they like.
func (tr tree) mentions(dir string, words ...string) (broken []string) {
	tr.goFiles(dir, false, func(name string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			var text string
			switch n := n.(type) {
			case *ast.Ident:
				text = n.Name
			case *ast.BasicLit:
				text = n.Value
			default:
				return true
			}
			for _, w := range words {
				if strings.Contains(text, w) {
					broken = append(broken, fmt.Sprintf("%s:%d: speaks of %q", name, tr.fset.Position(n.Pos()).Line, w))
				}
			}
			return true
		})
	})
	return broken
}
