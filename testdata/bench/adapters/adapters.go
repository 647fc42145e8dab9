// Package adapters holds one adapter for each library under test.
package adapters

import (
	"maps"
	"slices"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
)

// factories are the libraries by the name that the tables show.
var factories = map[string]adapter.Factory{
	"acrkit":    newACRKit,
	"azsdk":     newAzSDK,
	"ggcr":      newGGCR,
	"ideal":     newIdeal,
	"oras":      newOras,
	"regclient": newRegclient,
}

// Lookup returns the factory of a library.
func Lookup(name string) (adapter.Factory, bool) {
	f, ok := factories[name]
	return f, ok
}

// Names returns the names of all libraries in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(factories)) }
