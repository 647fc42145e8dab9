package facade_test

import (
	"flag"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("api.update", false, "write the exported API to facade/api.txt")

// apiPackages are the packages that users import.
var apiPackages = []string{acrPkg, acrtestPkg, credPkg, imagesPkg, retentPkg}

// The exported API is a file, so that a change of it is seen in review and never happens by the way.
func TestAPI(t *testing.T) {
	t.Parallel()
	g := loadGraph(t)
	imp := newExportImporter(token.NewFileSet(), g)
	var lines []string
	for _, p := range apiPackages {
		pkg, err := imp.Import(p)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, exportedAPI(pkg)...)
	}
	const golden = "api.txt"
	if *updateAPI {
		if err := os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	was := strings.Split(strings.TrimSpace(read(t, golden)), "\n")
	report(t, apiChanges(was, lines))
}

// apiChanges lists what was removed, which breaks users, and what was added.
func apiChanges(was, is []string) (changes []string) {
	for _, line := range was {
		if !slices.Contains(is, line) {
			changes = append(changes, "removed, which breaks users: "+line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			changes = append(changes, "added: "+line)
		}
	}
	if len(changes) > 0 {
		changes = append(changes, "if this is meant, run `make api`, and put what users notice into CHANGELOG.md (README.md, Stability, has the rules)")
	}
	return changes
}

// exportedAPI describes each exported identifier, field and method of a package in one line.
func exportedAPI(pkg *types.Package) (lines []string) {
	brief := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return p.Name()
	}
	say := func(format string, args ...any) {
		lines = append(lines, pkg.Name()+": "+fmt.Sprintf(format, args...))
	}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		obj := scope.Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			say("const %s %s = %s", name, types.TypeString(obj.Type(), brief), constantText(obj.Val()))
		case *types.Var:
			say("var %s %s", name, types.TypeString(obj.Type(), brief))
		case *types.Func:
			say("func %s%s", name, signature(obj, brief))
		case *types.TypeName:
			describeType(obj, brief, say)
		}
	}
	return lines
}

func constantText(v constant.Value) string {
	if v.Kind() == constant.String {
		return v.ExactString()
	}
	return v.String()
}

// signature leaves out the names of parameters: to rename one breaks nobody.
func signature(f *types.Func, brief types.Qualifier) string {
	sig := f.Signature()
	bare := types.NewSignatureType(nil, nil, nil, unnamed(sig.Params()), unnamed(sig.Results()), sig.Variadic())
	text := strings.TrimPrefix(types.TypeString(bare, brief), "func")
	var typeParams []string
	for p := range sig.TypeParams().TypeParams() {
		typeParams = append(typeParams, p.Obj().Name()+" "+types.TypeString(p.Constraint(), brief))
	}
	if len(typeParams) > 0 {
		text = "[" + strings.Join(typeParams, ", ") + "]" + text
	}
	return text
}

func unnamed(vars *types.Tuple) *types.Tuple {
	var bare []*types.Var
	for v := range vars.Variables() {
		bare = append(bare, types.NewParam(token.NoPos, nil, "", v.Type()))
	}
	return types.NewTuple(bare...)
}

func describeType(obj *types.TypeName, brief types.Qualifier, say func(string, ...any)) {
	name := obj.Name()
	named, ok := obj.Type().(*types.Named)
	if obj.IsAlias() || !ok {
		say("type %s = %s", name, types.TypeString(types.Unalias(obj.Type()), brief))
		return
	}
	switch under := named.Underlying().(type) {
	case *types.Struct:
		say("type %s struct", name)
		for f := range under.Fields() {
			if f.Embedded() && f.Exported() {
				say("type %s struct, embedded %s", name, types.TypeString(f.Type(), brief))
			} else if f.Exported() {
				say("type %s struct, %s %s", name, f.Name(), types.TypeString(f.Type(), brief))
			}
		}
	case *types.Interface:
		say("type %s interface", name)
		for m := range under.Methods() {
			say("type %s interface, %s%s", name, m.Name(), signature(m, brief))
		}
	default:
		say("type %s %s", name, types.TypeString(under, brief))
	}
	methods := slices.SortedFunc(named.Methods(), func(a, b *types.Func) int { return strings.Compare(a.Name(), b.Name()) })
	for _, m := range methods {
		if m.Exported() {
			say("method (%s) %s%s", types.TypeString(m.Signature().Recv().Type(), brief), m.Name(), signature(m, brief))
		}
	}
}

// Each kind of change is seen, and none where there is none.
func TestAPISeesChanges(t *testing.T) {
	t.Parallel()
	const before = `package p
type S struct { A int; hidden int }
func (s *S) Do(n int) error { return nil }
type I interface { Read() }
const C = "c"
var V int
func F[T any](t T) T { return t }
type A = S
`
	was := exportedAPI(check(t, "p", before, nil))
	if same := apiChanges(was, exportedAPI(check(t, "p", strings.NewReplacer("hidden int", "hidden string", "n int", "count int").Replace(before), nil))); len(same) > 0 {
		t.Errorf("a name that nobody can use counts: %q", same)
	}
	for old, now := range map[string]string{
		"A int;": "A string;", "Do(n int) error": "Do(n int, m int) error", "{ Read() }": "{ Read(); Write() }", `C = "c"`: `C = "d"`,
		"var V int": "var V int8", "F[T any](t T) T": "F[T comparable](t T) T", "type A = S": "type A S", "A int; hidden": "A int; B int; hidden",
	} {
		changes := apiChanges(was, exportedAPI(check(t, "p", strings.ReplaceAll(before, old, now), nil)))
		if len(changes) < 2 {
			t.Errorf("%s -> %s: %q", old, now, changes)
		}
	}
}
