package contract

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

var errNoRoute = errors.New("the document has no such path")

// route is an operation that a request has been matched with.
type route struct {
	id     string
	op     *openapi3.Operation
	params openapi3.Parameters // of the path item and the operation
	values map[string]string   // path parameters, decoded
}

// router finds operations by the decoded path. Ready-made routers match either %2F or raw slashes in a repository's name but
// not both, and take GET /acr/v1/a/b/_tags/v1 for the properties of a repository.
type router struct {
	paths []path
	ids   map[string]*openapi3.Operation
}

type path struct {
	template string
	literal  int // bytes outside the braces: of two templates that match, the one with more is meant
	match    *regexp.Regexp
	item     *openapi3.PathItem
}

var placeholder = regexp.MustCompile(`\{([^}]+)\}`)

func newRouter(doc *openapi3.T) (*router, error) {
	r := &router{ids: map[string]*openapi3.Operation{}}
	for template, item := range doc.Paths.Map() {
		var expr strings.Builder
		p := path{template: template, item: item}
		expr.WriteString("^")
		rest := template
		for rest != "" {
			loc := placeholder.FindStringSubmatchIndex(rest)
			if loc == nil {
				expr.WriteString(regexp.QuoteMeta(rest))
				p.literal += len(rest)
				break
			}
			expr.WriteString(regexp.QuoteMeta(rest[:loc[0]]))
			p.literal += loc[0]
			name := rest[loc[2]:loc[3]]
			segment := "[^/]+"
			if isMultiSegment(item, name) {
				segment = ".+"
			}
			fmt.Fprintf(&expr, "(?P<%s>%s)", name, segment)
			rest = rest[loc[1]:]
		}
		expr.WriteString("$")
		var err error
		if p.match, err = regexp.Compile(expr.String()); err != nil {
			return nil, fmt.Errorf("openapi.yaml: %s: %w", template, err)
		}
		for method, op := range item.Operations() {
			if op.OperationID == "" || r.ids[op.OperationID] != nil {
				return nil, fmt.Errorf("openapi.yaml: %s %s: no operationId of its own", method, template)
			}
			r.ids[op.OperationID] = op
		}
		r.paths = append(r.paths, p)
	}
	return r, nil
}

func isMultiSegment(item *openapi3.PathItem, name string) bool {
	for _, ref := range item.Parameters {
		if ref.Value.In == openapi3.ParameterInPath && ref.Value.Name == name {
			multi, _ := ref.Value.Extensions["x-multi-segment"].(bool)
			return multi
		}
	}
	return false
}

func (r *router) find(method, decoded string) (*route, error) {
	var best *path
	for i := range r.paths {
		p := &r.paths[i]
		if (best == nil || p.literal > best.literal) && p.match.MatchString(decoded) {
			best = p
		}
	}
	if best == nil {
		return nil, errNoRoute
	}
	op := best.item.Operations()[method]
	if op == nil {
		return nil, fmt.Errorf("the document has no %s for %s", method, best.template)
	}
	found := &route{id: op.OperationID, op: op, values: map[string]string{}}
	found.params = append(append(found.params, best.item.Parameters...), op.Parameters...)
	groups := best.match.FindStringSubmatch(decoded)
	for i, name := range best.match.SubexpNames() {
		if name != "" {
			found.values[name] = groups[i]
		}
	}
	return found, nil
}
