package facade_test

import (
	"go/ast"
	"go/parser"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const noVersion = "the recycle bin is a preview without a version"

// unusedParameters are parameters of the generated package that the library does not send, and unreadParameters those that the
// emulator does not read, with the reason.
var (
	unusedParameters = map[string]string{
		"ListDeletedRepositoriesParams.APIVersion": noVersion,
		"ListDeletedManifestsParams.APIVersion":    noVersion,
		"ListDeletedTagsParams.APIVersion":         noVersion,
		"RestoreManifestParams.APIVersion":         noVersion,
		"GetAccessTokenWithBasicParams.APIVersion": "the Swagger has no such parameter here",
		"ListDeletedTagsParams.Orderby":            "their keys hold the time of the deletion already",
		"GetManifestParams.IfNoneMatch":            "a caller who knows the digest has the manifest",
		"HeadManifestParams.IfNoneMatch":           "a caller who knows the digest has the manifest",
		"ListReferrersParams.Last":                 "the registry's Link has it",
	}
	unreadParameters = map[string]string{
		"api-version": "it has no known effect",
	}
)

// A parameter that a new version of the document brings is in an option of the library and in a handler of the emulator, or in a
// list with the reason why not.
func TestEveryParameterIsUsed(t *testing.T) {
	t.Parallel()
	tr := loadTree(t, "..")
	used := map[string]map[string]bool{}
	for _, dir := range []string{"facade/acr/", "facade/internal/auth/"} {
		tr.goFiles(dir, false, func(_ string, f *ast.File) {
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					parametersIn(fn, used)
				}
			}
		})
	}
	var emulator strings.Builder
	for name, text := range tr.text {
		if strings.HasPrefix(name, "facade/acrtest/") && !strings.HasSuffix(name, "_test.go") {
			emulator.WriteString(text)
		}
	}
	found := 0
	for name, text := range tr.text {
		if !strings.HasPrefix(name, "gen/") {
			continue
		}
		f, err := parser.ParseFile(tr.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !strings.HasSuffix(spec.Name.Name, "Params") {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range fields.Fields.List {
				found++
				name, wire := field.Names[0].Name, wireName(field)
				if key := spec.Name.Name + "." + name; !used[spec.Name.Name][name] && unusedParameters[key] == "" {
					t.Errorf("gen.%s is set nowhere in the library: give it an option, or a reason in unusedParameters", key)
				}
				if !strings.Contains(strings.ToLower(emulator.String()), `"`+strings.ToLower(wire)+`"`) && unreadParameters[wire] == "" {
					t.Errorf("no handler of the emulator reads %q of gen.%s: give it one, or a reason in unreadParameters", wire, spec.Name.Name)
				}
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("only %d parameters were found in gen", found)
	}
}

// parametersIn notes the fields of gen's parameters that a function sets: in a literal, or on a variable afterwards.
func parametersIn(fn *ast.FuncDecl, used map[string]map[string]bool) {
	var types []string
	set := func(typ, field string) {
		if used[typ] == nil {
			used[typ] = map[string]bool{}
		}
		used[typ][field] = true
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		sel, ok := lit.Type.(*ast.SelectorExpr)
		if pkg, isIdent := selected(sel); !ok || !isIdent || pkg != "gen" || !strings.HasSuffix(sel.Sel.Name, "Params") {
			return true
		}
		types = append(types, sel.Sel.Name)
		for _, element := range lit.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					set(sel.Sel.Name, key.Name)
				}
			}
		}
		return true
	})
	ast.Inspect(fn, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for _, left := range assign.Lhs {
			if sel, ok := left.(*ast.SelectorExpr); ok {
				for _, typ := range types {
					set(typ, sel.Sel.Name)
				}
			}
		}
		return true
	})
}

func selected(sel *ast.SelectorExpr) (string, bool) {
	if sel == nil {
		return "", false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return x.Name, true
}

// wireName is the name of a parameter in the query or the header.
func wireName(field *ast.Field) string {
	text, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	tag := reflect.StructTag(text)
	name, _, _ := strings.Cut(tag.Get("form"), ",")
	if name == "" {
		name, _, _ = strings.Cut(tag.Get("json"), ",")
	}
	return name
}
