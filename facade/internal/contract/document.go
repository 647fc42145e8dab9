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

// everywhereKey is the document's extension that lists the response headers of the front end, which
// no operation repeats.
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

// Declaration is what the document says of an operation, for tables that have to agree with it.
type Declaration struct {
	Method    string
	Path      string   // with its parameters in braces
	Scopes    []string // of x-acr-scopes, with {name} for the repository; nil for token calls
	Successes []string // statuses below 400, sorted; "2XX" stands for any of them
}

// Declared returns the declaration of an operation.
func Declared(id string) (Declaration, error) {
	document, err := load()
	if err != nil {
		return Declaration{}, err
	}
	op := document.router.ids[id]
	if op == nil {
		return Declaration{}, fmt.Errorf("openapi.yaml: no operation %s", id)
	}
	var d Declaration
	for _, p := range document.router.paths {
		for method, candidate := range p.item.Operations() {
			if candidate == op {
				d.Method, d.Path = method, p.template
			}
		}
	}
	scopes, ok := op.Extensions["x-acr-scopes"].([]any)
	if ok {
		d.Scopes = []string{}
	}
	for _, scope := range scopes {
		d.Scopes = append(d.Scopes, fmt.Sprint(scope))
	}
	for status := range op.Responses.Map() {
		if status < "4" {
			d.Successes = append(d.Successes, status)
		}
	}
	slices.Sort(d.Successes)
	return d, nil
}
