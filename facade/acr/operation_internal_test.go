package acr

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

// departures are the statuses that the table and the document see differently, with the reason.
var departures = map[string]string{
	"DeleteRepository 200": "as the Swagger says", "DeleteTag 200": "as other registries answer", "DeleteManifest 200": "as other registries answer", "DeleteBlob 200": "as other registries answer",
	"GetManifest 304": "nothing here asks with If-None-Match", "HeadManifest 304": "nothing here asks with If-None-Match",
}

// TestOperationTable holds the table against the document: every operation but those of tokens, with its scopes and its successes.
func TestOperationTable(t *testing.T) {
	t.Parallel()
	ids, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]*operation)
	for _, op := range operations {
		rows[op.id] = op
	}
	for _, id := range ids {
		if op := rows[id]; op != nil {
			agree(t, op)
		} else if _, token := tokenCalls[id]; !token {
			t.Errorf("%s is in api/openapi.yaml and not in the table: add a row to facade/acr/operation.go", id)
		}
		delete(rows, id)
	}
	for id := range rows {
		t.Errorf("%s is in the table of facade/acr/operation.go and not in api/openapi.yaml", id)
	}
}

// agree holds one row against the document.
func agree(t *testing.T, op *operation) {
	t.Helper()
	declared, err := contract.Declared(op.id)
	if err != nil {
		t.Fatal(err)
	}
	if got := op.scopes("{name}"); !slices.Equal(got, declared.Scopes) {
		t.Errorf("%s: scopes %q, the document says %q", op.id, got, declared.Scopes)
	}
	for _, status := range op.success {
		text := strconv.Itoa(status)
		if !slices.Contains(declared.Successes, text) && !slices.Contains(declared.Successes, text[:1]+"XX") && departures[op.id+" "+text] == "" {
			t.Errorf("%s: %d is no success of the document", op.id, status)
		}
	}
	for _, text := range declared.Successes {
		if status, err := strconv.Atoi(text); err == nil && !op.ok(status) && departures[op.id+" "+text] == "" {
			t.Errorf("%s: %s is a success of the document", op.id, text)
		} else if err != nil && !slices.ContainsFunc(op.success, func(s int) bool { return strings.HasPrefix(strconv.Itoa(s), text[:1]) }) {
			t.Errorf("%s: none of %s is a success", op.id, text)
		}
	}
}
