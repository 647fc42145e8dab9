package contract

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/acrkit/acrkit/api"
)

// everywhereKey is the document's extension that lists the response headers of the front end, which no operation repeats.
const everywhereKey = "x-response-headers-everywhere"

type document struct {
	doc    *openapi3.T
	router *router
	rules  *rules
}

// load reads the document once per process.
var load = sync.OnceValues(func() (*document, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	everywhere, ok := doc.Extensions[everywhereKey].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("openapi.yaml: no map %s", everywhereKey)
	}
	rules := &rules{everywhere: map[string]bool{}}
	for name := range everywhere {
		rules.everywhere[http.CanonicalHeaderKey(name)] = true
	}
	router, err := newRouter(doc)
	if err != nil {
		return nil, err
	}
	return &document{doc: doc, router: router, rules: rules}, nil
})

// Operations returns the operationIds of the document, sorted.
func Operations() ([]string, error) {
	document, err := load()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(document.router.ids)), nil
}
