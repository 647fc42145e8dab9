package api_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/acrkit/acrkit/api"
)

// swaggerFile is Microsoft's Swagger 2.0 of the version that the document describes. It lies beside the checkout and is no
// part of it.
const swaggerFile = "../../shared/swagger/containerregistry-2021-07-01.json"

var specDiff = flag.String("swagger", "", "Swagger 2.0 `file` of a new API version, to be compared with openapi.yaml by TestSpecDiff")

// TestSwagger compares the document with Microsoft's Swagger: each path, method, parameter, status, header, schema and
// property of either is in the other as well, or in a list with the reason why not.
func TestSwagger(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(swaggerFile); err != nil {
		t.Skipf("no Swagger to compare with: it is not part of the project and would be %s", swaggerFile)
	}
	theirs, ours := swagger(t, swaggerFile), ourDocument(t)
	departed, added := explain(departures), explain(additions)
	same := 0
	for _, d := range compare(theirs, ours) {
		switch {
		case d.theirs == "" && added.why(d.fact, d.ours) == "":
			t.Errorf("only ours: %s = %s; a line of additions in departures_test.go says why, if it is meant", d.fact, d.ours)
		case d.theirs != "" && departed.why(d.fact, d.theirs) == "":
			t.Errorf("Swagger: %s = %s; ours: %q; a line of departures in departures_test.go says why, if it is meant", d.fact, d.theirs, d.ours)
		}
	}
	for fact, value := range theirs {
		if closed(ours[fact]) == closed(value) {
			same++
		}
	}
	departed.stale(t, "departures")
	added.stale(t, "additions")
	t.Logf("facts of the Swagger: %d, the same in our document: %d; kinds of departures %d, of additions %d",
		len(theirs), same, len(departures), len(additions))
}

// TestSpecDiff prints what a new Swagger changes that the document has not followed yet, breaking changes first. It fails
// if there are any of these.
func TestSpecDiff(t *testing.T) {
	t.Parallel()
	if *specDiff == "" {
		t.Skip("no Swagger to compare with: give one with -swagger=FILE")
	}
	theirs, ours := swagger(t, *specDiff), ourDocument(t)
	breaking, compatible := changes(theirs, ours)
	compatible = append(compatible, published(theirs, ours)...)
	t.Logf("breaking changes: %d", len(breaking))
	operations := ourOperations(t)
	for _, line := range breaking {
		t.Errorf("  %s (%s)", line, placeOf(line, operations))
	}
	t.Logf("compatible changes: %d", len(compatible))
	for _, line := range compatible {
		t.Logf("  %s (%s)", line, placeOf(line, operations))
	}
}

// changes sorts what differs, known departures and additions aside, by whether it can break a client.
func changes(theirs, ours facts) (breaking, compatible []string) {
	departed, added := explain(departures), explain(additions)
	for _, d := range compare(theirs, ours) {
		switch {
		case d.theirs == "" && added.why(d.fact, d.ours) == "":
			breaking = append(breaking, "gone:    "+d.fact+" (was "+d.ours+")")
		case d.theirs == "" || departed.why(d.fact, d.theirs) != "":
		case d.grown(), strings.HasPrefix(d.fact, "document version"), strings.HasSuffix(d.fact, " deprecated"), strings.HasSuffix(d.fact, " always"):
			compatible = append(compatible, "changed: "+d.fact+": "+d.ours+" -> "+d.theirs)
		case d.ours != "":
			breaking = append(breaking, "changed: "+d.fact+": "+d.ours+" -> "+d.theirs)
		case strings.HasSuffix(d.theirs, ", required"):
			breaking = append(breaking, "needed:  "+d.fact+": "+d.theirs)
		default:
			compatible = append(compatible, "new:     "+d.fact+": "+d.theirs)
		}
	}
	return breaking, compatible
}

// published lists the operations of a Swagger that were additions of ours: previews, for the most part.
func published(theirs, ours facts) (lines []string) {
	added := explain(additions)
	for _, fact := range slices.Sorted(maps.Keys(theirs)) {
		if theirs[fact] == "operation" && ours[fact] == "operation" && added.why(fact, theirs[fact]) != "" {
			lines = append(lines, "published: "+fact+": no addition of ours any more; take it out of additions, and x-preview off")
		}
	}
	return lines
}

// A preview that has been published is named, with what to do about it.
func TestPublished(t *testing.T) {
	t.Parallel()
	ours := ourDocument(t)
	theirs := facts{"GET /acr/v1/{}/_streaming": "operation", "GET /acr/v1/{}/_tags": "operation", "GET /acr/v1/_new": "operation"}
	if got := published(theirs, ours); len(got) != 1 || !strings.Contains(got[0], "_streaming") || placeOf(got[0], ourOperations(t)) != "operation GetStreaming in api/openapi.yaml" {
		t.Errorf("%q", got)
	}
}

// placeOf says what to edit for a line of changes: the operation of the document, or its schema.
func placeOf(line string, operations map[string]string) string {
	_, fact, _ := strings.Cut(line, ":")
	fact = strings.TrimSpace(fact)
	if name, ok := strings.CutPrefix(fact, "schema "); ok {
		name, _, _ = strings.Cut(name, " ")
		return "schema " + strings.TrimSuffix(name, ":") + " in api/openapi.yaml"
	}
	fields := strings.Fields(fact)
	if len(fields) > 1 {
		if id := operations[fields[0]+" "+strings.TrimSuffix(fields[1], ":")]; id != "" {
			return "operation " + id + " in api/openapi.yaml"
		}
	}
	return "api/openapi.yaml"
}

// ourOperations are the ids of our operations by the facts that stand for them.
func ourOperations(t *testing.T) map[string]string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for template, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			ids[method+" "+normalize(template)] = op.OperationID
		}
	}
	return ids
}

// TestChanges sees that the comparison finds what it is there for.
func TestChanges(t *testing.T) {
	t.Parallel()
	ours := ourDocument(t)
	for name, tc := range map[string]struct {
		fact, value string // "" removes the fact
		breaking    string
		compatible  string
	}{
		"a header goes":                  {"GET /acr/v1/{}/_tags 200 header link", "", "gone:    GET /acr/v1/{}/_tags 200 header link (was string)", ""},
		"a property changes its type":    {"schema TagProperties .signed", "string", "changed: schema TagProperties .signed: boolean -> string", ""},
		"a parameter is needed":          {"GET /acr/v1/_catalog query filter", "string, required", "needed:  GET /acr/v1/_catalog query filter: string, required", ""},
		"a parameter is offered":         {"GET /acr/v1/_catalog query filter", "string, optional", "", "new:     GET /acr/v1/_catalog query filter: string, optional"},
		"an operation comes":             {"GET /acr/v1/_new", "operation", "", "new:     GET /acr/v1/_new: operation"},
		"a known departure":              {"PUT /v2/{}/blobs/uploads/{} 201 header range", "string", "", ""},
		"a PATCH takes another property": {"PATCH /acr/v1/{} body .newFlag", "boolean, optional", "", "new:     PATCH /acr/v1/{} body .newFlag: boolean, optional"},
		"a PATCH loses a property":       {"PATCH /acr/v1/{} body .deleteEnabled", "", "gone:    PATCH /acr/v1/{} body .deleteEnabled (was boolean, optional)", ""},
		"an operation is deprecated":     {"GET /acr/v1/{}/_tags deprecated", "yes", "", "changed: GET /acr/v1/{}/_tags deprecated:  -> yes"},
		"the version moves":              {"document version", "2030-01-01", "", "changed: document version: " + ours["document version"] + " -> 2030-01-01"},
		"the base path moves":            {"document base path", "/next", "", "new:     document base path: /next"},
		"another media type":             {"GET /acr/v1/{}/_tags 200 types", "application/xml", "changed: GET /acr/v1/{}/_tags 200 types: application/json -> application/xml", ""},
		"nothing":                        {"GET /v2/", "operation", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := maps.Clone(ours)
			theirs[tc.fact] = tc.value
			if tc.value == "" {
				delete(theirs, tc.fact)
			}
			breaking, compatible := changes(theirs, ours)
			if got := strings.Join(breaking, "\n"); got != tc.breaking {
				t.Errorf("breaking:\n%s\nwant:\n%s", got, tc.breaking)
			}
			if got := strings.Join(compatible, "\n"); got != tc.compatible {
				t.Errorf("compatible:\n%s\nwant:\n%s", got, tc.compatible)
			}
		})
	}
}

// difference is a fact that the documents do not agree on; a document that does not have it says "".
type difference struct {
	fact, theirs, ours string
	open               bool // our document says that the set of values may grow
}

// grown reports whether the Swagger has new values of an open set, and all of ours.
func (d difference) grown() bool {
	ourKind, ourValues, a := strings.Cut(d.ours, " of ")
	theirKind, theirValues, b := strings.Cut(d.theirs, " of ")
	if !d.open || !a || !b || ourKind != theirKind {
		return false
	}
	theirs := strings.Split(strings.TrimSuffix(theirValues, ", optional"), "|")
	for value := range strings.SplitSeq(strings.TrimSuffix(ourValues, ", optional"), "|") {
		if !slices.Contains(theirs, value) {
			return false
		}
	}
	return true
}

// closed is a fact's value without the remark that its set is open, which only our document makes.
func closed(value string) string { return strings.Replace(value, orOther, "", 1) }

// compare returns the differences, sorted. What belongs to something that one of the documents does not have at all (the
// parameters of an operation, the properties of a schema) goes without saying, unless it is a departure's own matter.
func compare(theirs, ours facts) []difference {
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	var out []difference
	for _, fact := range slices.Sorted(maps.Keys(all)) {
		if closed(theirs[fact]) == closed(ours[fact]) {
			continue
		}
		if theirs[fact] == "" && within(fact, theirs, ours) || ours[fact] == "" && within(fact, ours, theirs) {
			continue
		}
		out = append(out, difference{fact, closed(theirs[fact]), closed(ours[fact]), closed(ours[fact]) != ours[fact]})
	}
	return out
}

// within reports whether the fact is part of an operation, a response or a schema that lacks it altogether and other has.
func within(fact string, lacks, other facts) bool {
	for i := range len(fact) {
		if fact[i] == ' ' && i > 0 {
			part := fact[:i]
			if value := other[part]; (value == "operation" || value == "response" || value == "schema") && lacks[part] == "" {
				return true
			}
		}
	}
	return false
}

func TestWhatIsNoSwaggerIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"openapi":"3.0.3","paths":{"/":{}}}`, `{"swagger":"2.0"}`, `{"swagger":"2.0","paths":{}}`, `[]`, `no JSON`} {
		if _, err := readSwagger([]byte(text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	if _, err := readSwagger([]byte(`{"swagger":"2.0","paths":{"/v2/":{}}}`)); err != nil {
		t.Error(err)
	}
}

func TestChangesNameWhatToEdit(t *testing.T) {
	t.Parallel()
	operations := ourOperations(t)
	for line, want := range map[string]string{
		"gone:    GET /acr/v1/{}/_tags 200 header link (was string)": "operation ListTags in api/openapi.yaml",
		"changed: schema TagProperties .signed: boolean -> string":   "schema TagProperties in api/openapi.yaml",
		"new:     GET /acr/v1/_new: operation":                       "api/openapi.yaml",
		"changed: document version: a -> b":                          "api/openapi.yaml",
	} {
		if got := placeOf(line, operations); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// A new value of a set that may grow breaks no client; one that goes does.
func TestOpenSetsMayGrow(t *testing.T) {
	t.Parallel()
	ours := ourDocument(t)
	checked := 0
	for fact, value := range ours {
		if !strings.Contains(value, orOther) {
			continue
		}
		checked++
		theirs := maps.Clone(ours)
		theirs[fact] = strings.Replace(closed(value), " of ", " of a-new-value|", 1)
		if breaking, compatible := changes(theirs, ours); len(breaking) != 0 || len(compatible) != 1 {
			t.Errorf("%s: breaking %q, compatible %q", fact, breaking, compatible)
		}
		kind, _, _ := strings.Cut(closed(value), " of ")
		theirs[fact] = kind + " of another"
		if breaking, _ := changes(theirs, ours); len(breaking) != 1 {
			t.Errorf("%s loses its values: breaking %q", fact, breaking)
		}
	}
	if checked == 0 {
		t.Error("the document has no open set")
	}
}
