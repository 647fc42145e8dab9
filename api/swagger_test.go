package api_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
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
			t.Errorf("only ours: %s = %s", d.fact, d.ours)
		case d.theirs != "" && departed.why(d.fact, d.theirs) == "":
			t.Errorf("Swagger: %s = %s; ours: %q", d.fact, d.theirs, d.ours)
		}
	}
	for fact, value := range theirs {
		if ours[fact] == value {
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
	breaking, compatible := changes(swagger(t, *specDiff), ourDocument(t))
	t.Logf("breaking changes: %d", len(breaking))
	for _, line := range breaking {
		t.Errorf("  %s", line)
	}
	t.Logf("compatible changes: %d", len(compatible))
	for _, line := range compatible {
		t.Logf("  %s", line)
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

// TestChanges sees that the comparison finds what it is there for.
func TestChanges(t *testing.T) {
	t.Parallel()
	ours := ourDocument(t)
	for name, tc := range map[string]struct {
		fact, value string // "" removes the fact
		breaking    string
		compatible  string
	}{
		"a header goes":               {"GET /acr/v1/{}/_tags 200 header link", "", "gone:    GET /acr/v1/{}/_tags 200 header link (was string)", ""},
		"a property changes its type": {"schema TagProperties .signed", "string", "changed: schema TagProperties .signed: boolean -> string", ""},
		"a parameter is needed":       {"GET /acr/v1/_catalog query filter", "string, required", "needed:  GET /acr/v1/_catalog query filter: string, required", ""},
		"a parameter is offered":      {"GET /acr/v1/_catalog query filter", "string, optional", "", "new:     GET /acr/v1/_catalog query filter: string, optional"},
		"an operation comes":          {"GET /acr/v1/_new", "operation", "", "new:     GET /acr/v1/_new: operation"},
		"a known departure":           {"PUT /v2/{}/blobs/uploads/{} 201 header range", "string", "", ""},
		"nothing":                     {"GET /v2/", "operation", "", ""},
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
type difference struct{ fact, theirs, ours string }

// compare returns the differences, sorted. What belongs to something that one of the documents does not have at all (the
// parameters of an operation, the properties of a schema) goes without saying, unless it is a departure's own matter.
func compare(theirs, ours facts) []difference {
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	var out []difference
	for _, fact := range slices.Sorted(maps.Keys(all)) {
		if theirs[fact] == ours[fact] {
			continue
		}
		if theirs[fact] == "" && within(fact, theirs, ours) || ours[fact] == "" && within(fact, ours, theirs) {
			continue
		}
		out = append(out, difference{fact, theirs[fact], ours[fact]})
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
