package azure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

// Every exported method of the SDK's three clients is called somewhere in this package, so a newer SDK with one more fails here.
func TestEveryMethodIsCalled(t *testing.T) {
	t.Parallel()
	called := callsOf(t)
	methods := 0
	for field, client := range map[string]reflect.Type{
		"registry": reflect.TypeFor[*azcontainerregistry.Client](),
		"blobs":    reflect.TypeFor[*azcontainerregistry.BlobClient](),
		"auth":     reflect.TypeFor[*azcontainerregistry.AuthenticationClient](),
	} {
		for m := range client.Methods() {
			methods++
			if !called[field+"."+m.Name] {
				t.Errorf("%s.%s is never called", client.Elem().Name(), m.Name)
			}
		}
	}
	if methods < 27 {
		t.Errorf("the clients have %d methods: some were not found", methods)
	}
	t.Logf("all %d exported methods of the SDK's clients are called", methods)
}

// callsOf finds the calls of the form c.FIELD.METHOD(...) in the tests of this package.
func callsOf(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if method, ok := call.Fun.(*ast.SelectorExpr); ok {
				if client, ok := method.X.(*ast.SelectorExpr); ok {
					called[client.Sel.Name+"."+method.Sel.Name] = true
				}
			}
			return true
		})
	}
	return called
}
