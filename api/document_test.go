package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/acrkit/acrkit/api"
)

// TestDocument holds the document against the rules that OpenAPI cannot express.
func TestDocument(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil { // examples included
		t.Fatal(err)
	}
	operations := 0
	for template, item := range doc.Paths.Map() {
		checkPath(t, template, item)
		for method, op := range item.Operations() {
			operations++
			checkOperation(t, method+" "+template, method, op)
		}
	}
	for name, ref := range doc.Components.Schemas {
		checkSchema(t, name, ref)
	}
	t.Logf("operations %d, schemas %d", operations, len(doc.Components.Schemas))
}

// checkPath sees that parameters of a path belong to the path, and that names may have slashes.
func checkPath(t *testing.T, template string, item *openapi3.PathItem) {
	t.Helper()
	for _, ref := range item.Parameters {
		p := ref.Value
		multi, _ := p.Extensions["x-multi-segment"].(bool)
		if p.In == openapi3.ParameterInPath && (p.Name == "name") != multi {
			t.Errorf("%s: x-multi-segment of %s is %v", template, p.Name, multi)
		}
	}
	for segment := range strings.SplitSeq(template, "/") {
		rest, ok := strings.CutPrefix(segment, "{")
		name, _, _ := strings.Cut(rest, "}") // a verb may follow, as in {id}:cancel
		if ok && item.Parameters.GetByInAndName(openapi3.ParameterInPath, name) == nil {
			t.Errorf("%s: parameter %s is not in the path item", template, segment)
		}
	}
}

func checkOperation(t *testing.T, where, method string, op *openapi3.Operation) {
	t.Helper()
	if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
		t.Errorf("%s: wants an operationId, a summary, a description and one tag", where)
	}
	if _, ok := op.Extensions["x-acr-scopes"].([]any); !ok && op.Tags[0] != "token" {
		t.Errorf("%s: wants x-acr-scopes", where)
	}
	if _, sourced := op.Extensions["x-source"].(string); op.Extensions["x-preview"] != nil && !sourced {
		t.Errorf("%s: a preview wants x-source: where Microsoft describes or calls it", where)
	}
	statuses := slices.Collect(func(yield func(string) bool) {
		for status := range op.Responses.Map() {
			if !yield(status) {
				return
			}
		}
	})
	for _, status := range []string{"4XX", "5XX", "429"} {
		if !slices.Contains(statuses, status) {
			t.Errorf("%s: wants a response %s", where, status)
		}
	}
	if slices.Contains(statuses, "default") {
		t.Errorf("%s: a default would take successes for errors", where)
	}
	for status, ref := range op.Responses.Map() {
		response := ref.Value
		bodyless := method == http.MethodHead || status == "204" || status == "304"
		if bodyless && len(response.Content) > 0 {
			t.Errorf("%s: %s cannot have a body", where, status)
		}
		if isError := status >= "4"; isError && !bodyless && response.Content.Get("application/json") == nil {
			t.Errorf("%s: %s wants the error body", where, status)
		}
		for name, header := range response.Headers {
			if header.Value.Description == "" {
				t.Errorf("%s: %s: header %s wants a description", where, status, name)
			}
		}
	}
	if method == http.MethodDelete && op.OperationID != "CancelUpload" && !slices.Contains(statuses, "202") {
		t.Errorf("%s: deletes answer 202", where)
	}
}

func checkSchema(t *testing.T, name string, ref *openapi3.SchemaRef) {
	t.Helper()
	if ref.Value.Description == "" {
		t.Errorf("%s: wants a description", name)
	}
	for _, required := range ref.Value.Required {
		if ref.Value.Properties[required] == nil {
			t.Errorf("%s: requires %s, which it does not have", name, required)
		}
	}
	for key, property := range ref.Value.Properties {
		if property.Ref == "" && property.Value.Description == "" {
			t.Errorf("%s.%s: wants a description", name, key)
		}
	}
}
