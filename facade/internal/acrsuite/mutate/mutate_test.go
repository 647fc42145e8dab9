package mutate_test

import (
	"path"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/acrsuite/mutate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guards are those of the packages that touch a server, a credential or content.
var guards = slices.Concat(authGuards, wireGuards, transportGuards, transferGuards, imagesGuards, acrGuards)

// guard is a mutate.Guard of a package.
type guard struct{ name, file, line, broken, test string }

// in returns the guards of the package in a directory, whose names begin with its name.
func in(dir string, guards []guard) (all []mutate.Guard) {
	for _, g := range guards {
		all = append(all, mutate.Guard{
			Name: path.Base(dir) + ": " + g.name, File: path.Join(dir, g.file), Line: g.line, Broken: g.broken, Dir: dir, Test: g.test,
		})
	}
	return all
}

func TestGuardsAreThere(t *testing.T) {
	t.Parallel()
	mutate.Check(t, guards)
}

func TestMutations(t *testing.T) {
	t.Parallel()
	mutate.Run(t, guards)
}
