package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/acrkit/acrkit/api"
)

// facts are what a document says, one short line each, with what it says about it: "GET /acr/v1/_catalog query last" is
// "string optional", "GET /acr/v1/_catalog 200 body" is "schema RepositoryList". Descriptions and examples do not count.
type facts map[string]string

// schemaNames maps the definitions of the Swagger to the schemas of our document that stand for them.
var schemaNames = map[string]string{
	"AccessToken":                            "AccessToken",
	"AcrErrorInfo":                           "ErrorInfo",
	"AcrErrors":                              "ErrorBody",
	"AcrManifests":                           "ManifestList",
	"Annotations":                            "Annotations",
	"DeletedRepository":                      "DeletedRepository",
	"Descriptor":                             "Descriptor",
	"ManifestAttributes":                     "ManifestEnvelope",
	"ManifestAttributesBase":                 "ManifestProperties",
	"ManifestAttributes_manifest_references": "ManifestReference",
	"ManifestChangeableAttributes":           "ManifestAttributes",
	"OCIIndex":                               "ImageIndex",
	"OCIManifest":                            "ImageManifest",
	"Platform":                               "Platform",
	"RefreshToken":                           "RefreshToken",
	"Repositories":                           "RepositoryList",
	"RepositoryAttributes":                   "RepositoryProperties",
	"RepositoryChangeableAttributes":         "Attributes",
	"RepositoryTags":                         "TagNameList",
	"TagAttributes":                          "TagEnvelope",
	"TagAttributesBase":                      "TagProperties",
	"TagChangeableAttributes":                "Attributes",
	"TagList":                                "TagList",
	"V1Manifest":                             "ManifestV1",
	"V2Manifest":                             "ImageManifest",
	"ManifestList":                           "ImageIndex",
}

// ourDocument returns the facts of openapi.yaml.
func ourDocument(t *testing.T) facts {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, ours := range schemaNames {
		named[ours] = ours
	}
	return factsOf(doc, named)
}

// swagger returns the facts of a Swagger 2.0 document, converted to OpenAPI 3. (Swagger 2.0 must not be compared as it is:
// tools that take it for OpenAPI 3 miss half of what has changed, and say nothing.)
func swagger(t *testing.T, file string) facts {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	two, err := readSwagger(data)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	doc, err := openapi2conv.ToV3(two)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for theirs := range doc.Components.Schemas {
		named[theirs] = theirs
		if ours := schemaNames[theirs]; ours != "" {
			named[theirs] = ours
		}
	}
	f := factsOf(doc, named)
	f["document base path"] = strings.TrimSuffix(two.BasePath, "/")
	f["document security"] = securityOf(two)
	return f
}

// readSwagger refuses what is no Swagger 2.0 with paths: read as one, it would say that everything is gone.
func readSwagger(data []byte) (*openapi2.T, error) {
	var kind struct {
		Swagger, OpenAPI string
		Paths            map[string]any
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, err
	}
	if kind.Swagger != "2.0" || len(kind.Paths) == 0 {
		return nil, fmt.Errorf("not a Swagger 2.0 document: swagger %q, openapi %q, %d paths", kind.Swagger, kind.OpenAPI, len(kind.Paths))
	}
	two := new(openapi2.T)
	return two, json.Unmarshal(data, two)
}

func securityOf(two *openapi2.T) string {
	var names []string
	for _, requirement := range two.Security {
		names = slices.AppendSeq(names, maps.Keys(requirement))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// factsOf goes by our names of schemas; named gives ours for theirs.
func factsOf(doc *openapi3.T, named map[string]string) facts {
	b := builder{facts: facts{}, named: named}
	b.facts["document version"] = doc.Info.Version
	for template, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			b.operation(method+" "+normalize(template), item, op)
		}
	}
	for name, ours := range named {
		if ref := doc.Components.Schemas[name]; ref != nil {
			b.facts["schema "+ours] = "schema"
			b.properties("schema "+ours, ref.Value)
			for _, name := range ref.Value.Required {
				b.facts["schema "+ours+" ."+name+" always"] = "yes"
			}
		}
	}
	return b.facts
}

type builder struct {
	facts facts
	named map[string]string
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// normalize makes paths comparable: the names of parameters do not matter, and the upload path that is one parameter in the
// Swagger is the path it stands for.
func normalize(template string) string {
	if template == "/{nextBlobUuidLink}" {
		return "/v2/{}/blobs/uploads/{}"
	}
	return placeholder.ReplaceAllString(template, "{}")
}

func (b builder) operation(key string, item *openapi3.PathItem, op *openapi3.Operation) {
	b.facts[key] = "operation"
	if op.Deprecated {
		b.facts[key+" deprecated"] = "yes"
	}
	for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
		p := ref.Value
		if p.In == openapi3.ParameterInPath {
			continue // in the path, by position
		}
		b.facts[key+" "+p.In+" "+strings.ToLower(p.Name)] = b.kind(p.Schema) + presence(p.Required)
	}
	if op.RequestBody != nil {
		body := op.RequestBody.Value
		b.facts[key+" body"] = b.content(key+" body", body.Content) + presence(body.Required)
		if media := body.Content.Get("application/json"); strings.HasPrefix(key, "PATCH ") && media != nil && media.Schema != nil {
			b.properties(key+" body", media.Schema.Value)
		}
	}
	for status, ref := range op.Responses.Map() {
		at := key + " " + class(status)
		b.facts[at] = "response"
		for name, header := range ref.Value.Headers {
			b.facts[at+" header "+strings.ToLower(name)] = b.kind(header.Value.Schema)
		}
		if len(ref.Value.Content) > 0 {
			b.facts[at+" body"] = b.content(at+" body", ref.Value.Content)
			if status[0] == '2' {
				b.facts[at+" types"] = strings.Join(slices.Sorted(maps.Keys(ref.Value.Content)), ", ")
			}
		}
		if status == "default" {
			for k, v := range b.facts {
				if rest, ok := strings.CutPrefix(k, at); ok {
					b.facts[key+" 5XX"+rest] = v
				}
			}
		}
	}
}

// content names the schemas of all media types. Those of forms and of schemas without a name are written out.
func (b builder) content(at string, content openapi3.Content) string {
	kinds := map[string]bool{}
	for kind, media := range content {
		switch {
		case media.Schema == nil, kind == "text/plain", kind == "text/html":
		case strings.Contains(kind, "form"):
			b.properties(at, media.Schema.Value)
			kinds["form"] = true
		default:
			kinds[b.kind(media.Schema)] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
}

// class gives single error statuses and the default the one name that both documents have for them.
func class(status string) string {
	switch {
	case status == "default":
		return "4XX"
	case status[0] == '4' || status[0] == '5':
		return status[:1] + "XX"
	}
	return status
}

func (b builder) properties(key string, schema *openapi3.Schema) {
	for _, part := range schema.AllOf {
		b.properties(key, part.Value)
	}
	for name, ref := range schema.Properties {
		b.facts[key+" ."+name] = b.kind(ref)
		if strings.HasSuffix(key, " body") { // what a response leaves out matters less
			b.facts[key+" ."+name] += presence(slices.Contains(schema.Required, name))
		}
	}
}

func (b builder) kind(ref *openapi3.SchemaRef) string {
	schema := ref.Value
	name := strings.TrimPrefix(ref.Ref, "#/components/schemas/")
	if name != "" && len(schema.Properties)+len(schema.AllOf) > 0 || name == "Annotations" {
		if ours := b.named[name]; ours != "" {
			name = ours
		}
		return "schema " + name
	}
	if schema.Items != nil {
		return "array of " + b.kind(schema.Items)
	}
	text := "any"
	if schema.Type != nil && len(*schema.Type) > 0 {
		text = strings.Join(*schema.Type, "|")
	}
	if schema.Format != "" {
		text += " " + schema.Format
	}
	enum, open := schema.Enum, ""
	if values, ok := schema.Extensions["x-extensible-enum"].([]any); ok {
		enum, open = values, orOther
	}
	if len(enum) > 0 {
		values := make([]string, len(enum))
		for i, value := range enum {
			values[i] = fmt.Sprint(value)
		}
		slices.Sort(values)
		text += " of " + strings.Join(values, "|") + open
	}
	return text
}

// orOther ends a set of values that may grow.
const orOther = " or other"

func presence(required bool) string {
	if required {
		return ", required"
	}
	return ", optional"
}
