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

// Operations returns the sorted names of the operations that [Server.On] and [Ledger] accept:
//
//   - manifests: GetManifest, HeadManifest, PutManifest, DeleteManifest, ListReferrers
//   - blobs: GetBlob (the redirect) and GetBlobContent (the content, from the storage account),
//     HeadBlob, DeleteBlob
//   - uploads: StartUpload (also mounts, and small blobs as a whole), UploadChunk,
//     CompleteUpload, GetUploadStatus, CancelUpload
//   - lists: ListRepositories, ListTags, ListManifests; by OCI's own paths ListRepositoryNames,
//     ListTagNames
//   - properties and locks: GetRepositoryProperties, GetTagProperties, GetManifestProperties,
//     UpdateRepositoryAttributes, UpdateTagAttributes, UpdateManifestAttributes
//   - deletion: DeleteRepository, DeleteTag; ListDeletedRepositories, ListDeletedTags,
//     ListDeletedManifests, RestoreManifest
//   - sign-in: CheckSupport (GET /v2/), ExchangeEntraToken, GetAccessToken,
//     GetAccessTokenWithBasic; at the authority OpenIDConfiguration, EntraToken
//   - previews: QueryMetadata, QueryRepositoryMetadata, GetStreaming, UpdateStreaming,
//     StartConversion, GetConversion, GetOperation, CancelOperation
//   - requests to servers of [Server.Canary]: Canary
//
// Most are the operation IDs of api/openapi.yaml.
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
	return text + "; the known ones are " + strings.Join(Operations(), ", ")
}
