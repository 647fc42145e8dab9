package acr

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// operation is a row of the table below: what this package knows of an operation of the document
// before it is sent.
type operation struct {
	id      string                // operationId of the document, Operation of an *Error
	call    call.Kind             // which redirects are followed
	scopes  func(string) []string // scopes of the access token, by repository name
	success []int                 // status codes of a success
	missing ErrorCode             // the meaning of a 404 without a body
}

// ok reports whether the status code is a success.
func (op *operation) ok(status int) bool { return slices.Contains(op.success, status) }

func scopeNone(string) []string           { return nil }
func scopeCatalog(string) []string        { return []string{"registry:catalog:*"} }
func scopeDeletedCatalog(string) []string { return []string{"registry:deleted_catalog:*"} }
func scopeMetadataRead(name string) []string {
	return []string{"repository:" + name + ":metadata_read"}
}
func scopeMetadataWrite(name string) []string {
	return []string{"repository:" + name + ":metadata_write"}
}
func scopeDelete(name string) []string      { return []string{"repository:" + name + ":delete"} }
func scopePull(name string) []string        { return []string{"repository:" + name + ":pull"} }
func scopePullPush(name string) []string    { return []string{"repository:" + name + ":pull,push"} }
func scopeDeletedRead(name string) []string { return []string{"repository:" + name + ":deleted_read"} }
func scopeDeletedRestore(name string) []string {
	return []string{"repository:" + name + ":deleted_read,deleted_restore"}
}

// operations is the table: every operation of the document that this package sends itself. The auth
// policy sends the token operations. A new operation needs one row here.
var operations []*operation

// row adds an operation to the table.
func row(op operation) *operation {
	operations = append(operations, &op)
	return &op
}

var (
	opCheckSupport = row(operation{id: "CheckSupport", call: call.API, scopes: scopeNone, success: []int{200}})

	opListRepositories           = row(operation{id: "ListRepositories", call: call.API, scopes: scopeCatalog, success: []int{200}})
	opListRepositoryNames        = row(operation{id: "ListRepositoryNames", call: call.API, scopes: scopeCatalog, success: []int{200}})
	opGetRepositoryProperties    = row(operation{id: "GetRepositoryProperties", call: call.API, scopes: scopeMetadataRead, success: []int{200}})
	opUpdateRepositoryAttributes = row(operation{id: "UpdateRepositoryAttributes", call: call.API, scopes: scopeMetadataWrite, success: []int{200}})
	opDeleteRepository           = row(operation{id: "DeleteRepository", call: call.API, scopes: scopeDelete, success: []int{200, 202}})

	opListTags            = row(operation{id: "ListTags", call: call.API, scopes: scopeMetadataRead, success: []int{200}})
	opListTagNames        = row(operation{id: "ListTagNames", call: call.API, scopes: scopePull, success: []int{200}})
	opGetTagProperties    = row(operation{id: "GetTagProperties", call: call.API, scopes: scopeMetadataRead, success: []int{200}})
	opUpdateTagAttributes = row(operation{id: "UpdateTagAttributes", call: call.API, scopes: scopeMetadataWrite, success: []int{200}})
	opDeleteTag           = row(operation{id: "DeleteTag", call: call.API, scopes: scopeDelete, success: []int{200, 202}})

	opListManifests            = row(operation{id: "ListManifests", call: call.API, scopes: scopeMetadataRead, success: []int{200}})
	opGetManifestProperties    = row(operation{id: "GetManifestProperties", call: call.API, scopes: scopeMetadataRead, success: []int{200}})
	opUpdateManifestAttributes = row(operation{id: "UpdateManifestAttributes", call: call.API, scopes: scopeMetadataWrite, success: []int{200}})

	opGetManifest    = row(operation{id: "GetManifest", call: call.API, scopes: scopePull, success: []int{200}})
	opHeadManifest   = row(operation{id: "HeadManifest", call: call.API, scopes: scopePull, success: []int{200}, missing: ErrManifestUnknown})
	opPutManifest    = row(operation{id: "PutManifest", call: call.API, scopes: scopePullPush, success: []int{201}})
	opDeleteManifest = row(operation{id: "DeleteManifest", call: call.API, scopes: scopeDelete, success: []int{200, 202}})
	opListReferrers  = row(operation{id: "ListReferrers", call: call.API, scopes: scopePull, success: []int{200}})

	opGetBlob    = row(operation{id: "GetBlob", call: call.Blob, scopes: scopePull, success: []int{200, 206, 307}})
	opHeadBlob   = row(operation{id: "HeadBlob", call: call.Blob, scopes: scopePull, success: []int{200, 307}, missing: ErrBlobUnknown})
	opDeleteBlob = row(operation{id: "DeleteBlob", call: call.API, scopes: scopeDelete, success: []int{200, 202}})

	opStartUpload     = row(operation{id: "StartUpload", call: call.Upload, scopes: scopePullPush, success: []int{201, 202}})
	opGetUploadStatus = row(operation{id: "GetUploadStatus", call: call.Upload, scopes: scopePullPush, success: []int{204}})
	opUploadChunk     = row(operation{id: "UploadChunk", call: call.Upload, scopes: scopePullPush, success: []int{202}})
	opCompleteUpload  = row(operation{id: "CompleteUpload", call: call.Upload, scopes: scopePullPush, success: []int{201}})
	opCancelUpload    = row(operation{id: "CancelUpload", call: call.Upload, scopes: scopePullPush, success: []int{204}})

	opListDeletedRepositories = row(operation{id: "ListDeletedRepositories", call: call.API, scopes: scopeDeletedCatalog, success: []int{200}})
	opListDeletedManifests    = row(operation{id: "ListDeletedManifests", call: call.API, scopes: scopeDeletedRead, success: []int{200}})
	opListDeletedTags         = row(operation{id: "ListDeletedTags", call: call.API, scopes: scopeDeletedRead, success: []int{200}})
	opRestoreManifest         = row(operation{id: "RestoreManifest", call: call.API, scopes: scopeDeletedRestore, success: []int{200, 201, 202, 204}})

	opGetStreaming            = row(operation{id: "GetStreaming", call: call.API, scopes: scopePull, success: []int{200}})
	opUpdateStreaming         = row(operation{id: "UpdateStreaming", call: call.API, scopes: scopePullPush, success: []int{202}})
	opStartConversion         = row(operation{id: "StartConversion", call: call.API, scopes: scopePullPush, success: []int{202}})
	opGetConversion           = row(operation{id: "GetConversion", call: call.API, scopes: scopePull, success: []int{200}})
	opGetOperation            = row(operation{id: "GetOperation", call: call.API, scopes: scopePull, success: []int{200}})
	opCancelOperation         = row(operation{id: "CancelOperation", call: call.API, scopes: scopePullPush, success: []int{200}})
	opQueryMetadata           = row(operation{id: "QueryMetadata", call: call.API, scopes: scopeCatalog, success: []int{200}})
	opQueryRepositoryMetadata = row(operation{id: "QueryRepositoryMetadata", call: call.API, scopes: scopeMetadataRead, success: []int{200}})

	// opChallenge is CheckSupport without a credential, which a registry refuses with a challenge.
	opChallenge = &operation{id: "CheckSupport", call: call.API, scopes: scopeNone, success: []int{http.StatusOK, http.StatusUnauthorized}}

	// These only name a call in errors. GetBlobContent is a request to storage; Login, AccessToken and Doctor
	// send requests of other operations.
	opGetBlobContent = &operation{id: "GetBlobContent"}
	opLogin          = &operation{id: "Login"}
	opAccessToken    = &operation{id: "AccessToken"}
	opDoctor         = &operation{id: "Doctor"}
)

// check is the only place that judges responses. It returns the response of a success with its body
// open, and turns everything else into an error; the body is then read and closed.
func (op *operation) check(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, op.fail(err)
	}
	if !op.ok(resp.StatusCode) {
		return nil, op.refused(resp)
	}
	if err := op.impostor(resp); err != nil {
		_ = resp.Body.Close()
		return nil, op.fail(err)
	}
	return resp, nil
}

// unread are the operations of whose success nothing else is read.
var unread = []*operation{opCheckSupport, opDeleteManifest, opDeleteTag, opDeleteBlob, opRestoreManifest}

// impostor refuses a success that is not a registry's: the page of a portal or proxy, which answer every request with 200. Of blobs the
// digest is the proof. Where nothing else is read of a response, a 200 has to be empty or "{}", or name the API; 202 is what the registry
// answers.
func (op *operation) impostor(resp *http.Response) error {
	if op == opGetBlob || resp.StatusCode >= http.StatusMultipleChoices { // redirects may have a page, for browsers
		return nil
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case mediaType == "text/html", mediaType == "application/xhtml+xml":
	case slices.Contains(unread, op) && resp.StatusCode == http.StatusOK &&
		!namesAPI(resp) && !saysNothing(resp):
	default:
		return nil
	}
	where := ""
	if resp.Request != nil {
		where = resp.Request.Method + " " + redact.URL(resp.Request.URL) + " "
	}
	return contradicts(ErrMalformedReply, "%sanswered %d with content of type %q, as a portal or proxy does and a registry does not",
		where, resp.StatusCode, redact.OneLine(mediaType))
}

// namesAPI reports whether the response names the API, as every response of the registry does.
func namesAPI(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Docker-Distribution-Api-Version"), "registry/")
}

// saysNothing reads the body of a response, and reports whether it is empty or an empty object.
func saysNothing(resp *http.Response) bool {
	const enough = 15
	body, err := wire.ReadAll(resp.Body, nil, -1, enough)
	text := strings.Join(strings.Fields(string(body)), "")
	return err == nil && (text == "" || text == "{}")
}
