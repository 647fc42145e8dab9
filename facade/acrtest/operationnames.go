package acrtest

import (
	"fmt"
	"slices"
	"strings"
)

// GetBlobContent and the two names below are operations that are not of the login server.
const (
	opBlobContent = "GetBlobContent"
	opOpenID      = "OpenIDConfiguration"
	opEntraToken  = "EntraToken"
	opCanary      = "Canary"
)

// otherOperations are those that the table of the login origin does not have.
var otherOperations = []string{opBlobContent, opOpenID, opEntraToken, opCanary}

// Operations returns the operation names that [Server.On] and [Ledger] accept, in order: the
// operation IDs of api/openapi.yaml, "GetBlobContent" for blob content from the storage account,
// "OpenIDConfiguration" and "EntraToken" for the authority, and "Canary" for the servers of
// [Server.Canary].
func Operations() []string {
	all := slices.Clone(otherOperations)
	for _, op := range operationTable {
		all = append(all, op.id)
	}
	slices.Sort(all)
	return all
}

// isOperation tells whether the ledger knows the name.
func isOperation(op string) bool {
	return operationByID(op) != nil || slices.Contains(otherOperations, op)
}

// unknownOperation is the complaint of a method that was given a name which is none; only the case
// may be wrong.
func unknownOperation(method, op string) string {
	text := fmt.Sprintf("acrtest: %s(%q): unknown operation", method, op)
	for _, known := range Operations() {
		if strings.EqualFold(known, op) {
			return text + fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return text + "; Operations() lists the known ones"
}
