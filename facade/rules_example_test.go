package facade_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
)

const (
	likeOras   = "it is a method of oras-go's interfaces, with the meaning it has there"
	takesTest  = "it takes a test, which an example has not; facade/guides/testing.md shows it"
	saysName   = "it returns what its name says"
	tunes      = "it tunes speed, memory or patience; the result is the same"
	likeOthers = "it has the meaning of the field of the same name in another struct, which an example shows"
)

// examplesLeaveOut is what an example cannot show, or need not, with the reason: functions, methods, and fields of options.
var examplesLeaveOut = map[string]map[string]string{
	"facade/acr": {
		"Client": saysName, "Name": saysName, "Reference": saysName, "Descriptor": saysName,
		"DownloadFileOptions.Concurrency": likeOthers, "DownloadFileOptions.PartSize": likeOthers, "DownloadFileOptions.NoSync": tunes,
		"ListOptions.Concurrency": likeOthers, "ListTagsOptions.Concurrency": likeOthers, "GovernorOptions.Concurrency": tunes, "ReferrersOptions.PageSize": tunes,
	},
	"facade/images": {
		"ACR": saysName, "Mount": likeOras, "ParseReference": likeOras, "PushReference": likeOras, "Blobs": likeOras, "Manifests": likeOras, "Referrers": likeOras,
		"CopyOptions.Concurrency": tunes, "LayoutOptions.NoSync": tunes, "LayoutOptions.TrustBlobs": tunes, "PromoteOptions.Progress": likeOthers,
	},
	"facade/credentials": {},
	"facade/retention": {
		"Load": "FileCache calls it", "Store": "FileCache calls it",
		"ApplyOptions.Cache": likeOthers, "ApplyOptions.Concurrency": tunes, "ApplyOptions.Progress": likeOthers, "PlanOptions.Concurrency": tunes,
		"ReadOptions.Cache": likeOthers, "ReadOptions.Concurrency": tunes, "ReadOptions.Progress": likeOthers, "UndoOptions.Progress": likeOthers,
	},
	"facade/acrtest": {"New": takesTest, "NewReplay": takesTest, "AtMost": takesTest, "None": takesTest, "NoCredentialLeaked": takesTest},
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
			if !d.Name.IsExported() || !exportedReceiver(d) || leftOut[what] != "" || shown[full] || shown["_"+what] {
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

// unshownOptions finds exported fields of options that no example of their package, and no program of a guide, sets.
func (tr tree) unshownOptions() (broken []string) {
	for dir, leftOut := range examplesLeaveOut {
		set := map[string]bool{} // "Options.Field", or ".Field" where the type is not written
		for _, shows := range []string{dir, "facade/guides"} {
			tr.goFiles(shows+"/", true, func(name string, f *ast.File) {
				if base := path.Base(name); path.Dir(name) == shows && (shows != dir || strings.HasPrefix(base, "example")) {
					fieldsSet(f, set)
				}
			})
		}
		tr.goFiles(dir+"/", false, func(name string, f *ast.File) {
			if path.Dir(name) != dir {
				return
			}
			optionFields(f, func(option, field string, at token.Pos) {
				if full := option + "." + field; leftOut[full] == "" && !set[full] && !set["."+field] {
					broken = append(broken, fmt.Sprintf("%s:%d: %s is in no example: show what it changes in an example of %s, or say in examplesLeaveOut why not",
						name, tr.fset.Position(at).Line, full, dir))
				}
			})
		})
	}
	return broken
}

// fieldsSet adds the fields that a file sets, in literals and by assignment.
func fieldsSet(f *ast.File, set map[string]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			option := ""
			switch t := n.Type.(type) {
			case *ast.SelectorExpr:
				option = t.Sel.Name
			case *ast.Ident:
				option = t.Name
			}
			for _, e := range n.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := pair.Key.(*ast.Ident); ok {
						set[option+"."+key.Name] = true
					}
				}
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok {
					set["."+s.Sel.Name] = true
				}
			}
		}
		return true
	})
}

// optionFields yields the exported fields of the options structs of a file.
func optionFields(f *ast.File, yield func(option, field string, at token.Pos)) {
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			s, ok := spec.(*ast.TypeSpec)
			if !ok || !s.Name.IsExported() || !strings.HasSuffix(s.Name.Name, "Options") {
				continue
			}
			if fields, ok := s.Type.(*ast.StructType); ok {
				for _, field := range fields.Fields.List {
					for _, n := range field.Names {
						if n.IsExported() {
							yield(s.Name.Name, n.Name, n.Pos())
						}
					}
				}
			}
		}
	}
}

// staleLeaveOuts finds exceptions of what does not exist any more.
func (tr tree) staleLeaveOuts() (broken []string) {
	for dir, leftOut := range examplesLeaveOut {
		for name := range leftOut {
			member := name[strings.LastIndex(name, ".")+1:]
			found := false
			tr.goFiles(dir+"/", false, func(_ string, f *ast.File) {
				ast.Inspect(f, func(n ast.Node) bool {
					id, ok := n.(*ast.Ident)
					found = found || ok && id.Name == member
					return !found
				})
			})
			if !found {
				broken = append(broken, fmt.Sprintf("examplesLeaveOut names %s of %s, which does not exist", name, dir))
			}
		}
	}
	return broken
}
