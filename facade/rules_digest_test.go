package facade_test

import (
	"fmt"
	"go/ast"
	"slices"
)

// digestMethods panic if the digest has no algorithm that is known.
var digestMethods = []string{"Algorithm", "Encoded", "Hex", "Verifier"}

// digestCallers are the functions of package acr that call them, of digests that were checked before.
var digestCallers = []string{"computedAs", "referrersTag", "sameContent", "transfer"}

// uncheckedDigests finds functions of package acr that call a method of a digest. What a server states becomes a digest in
// one function, statedDigest, which checks it; a method of another one would panic in the caller's process.
func (tr tree) uncheckedDigests() (broken []string) {
	tr.goFiles("facade/acr/", false, func(name string, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(digestCallers, fn.Name.Name) {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(digestMethods, sel.Sel.Name) {
					broken = append(broken, fmt.Sprintf("%s: %s calls %s of a digest, which panics if nobody has checked it", name, fn.Name.Name, sel.Sel.Name))
				}
				return true
			})
		}
	})
	return broken
}
