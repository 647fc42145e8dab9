package acr

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// advise returns what to do about a response, if the cause is known. auth explains the causes of a
// refused sign-in. Advice fits the operation and the message, or is left out.
func advise(op *operation, e *Error) string {
	switch {
	case e.ofUpstream():
		return "the refusal is from the source registry of a cache rule: check the credentials of the rule and the limits of that registry"
	case e.has(codeDisallowed):
		return lockOf(op)
	case slices.Contains(uploadOperations, op) && op != opStartUpload && (e.has(ErrBlobUploadInvalid) || e.has(ErrBlobUploadUnknown)):
		return "the upload session is lost: upload the blob again"
	case op == opPutManifest && e.has(ErrManifestBlobUnknown):
		return "upload the blobs and manifests it names first; right after an upload another replica of the registry may not have them yet, so wait and try again (PutManifestOptions.BlobWait)"
	case e.StatusCode == http.StatusRequestEntityTooLarge:
		return adviseTooLarge(op)
	case e.StatusCode == http.StatusRequestHeaderFieldsTooLarge, e.StatusCode == http.StatusBadRequest && pageSaysTooLarge(e.body):
		return "the access token is too large for the server or a proxy before it: use an identity that is a member of fewer groups, or raise the proxy's limit of headers"
	case e.StatusCode == http.StatusTooManyRequests:
		return "the registry's request limit is reached: send fewer requests, or set ClientOptions.Governor"
	case e.StatusCode == http.StatusNotFound && e.Code == "" && strings.Contains(e.Message, "404 page not found"):
		return "the server does not know this path: it may not be an Azure Container Registry, or may not offer this operation"
	case e.has(ErrNameUnknown) && hostInName.MatchString(e.URL):
		return "the name of the repository begins with the host of a registry: write it without, if that is the registry of this client"
	case e.has(ErrBlobUnknown) && (op == opGetBlob || op == opHeadBlob):
		return adviseReplica + "; if it is the digest of a manifest, use GetManifest"
	case e.StatusCode == http.StatusNotFound && bareDigest.MatchString(e.URL):
		return "it looks like a digest without its algorithm: write sha256: before it"
	case e.StatusCode == http.StatusNotFound && e.Code == "" && op == opHeadManifest:
		return "there is no such manifest, or no such repository"
	case (e.has(ErrManifestUnknown) || e.has(ErrBlobUnknown)) && strings.Contains(e.URL, "/sha256:") && op != opRestoreManifest && !deletes(op):
		return adviseReplica
	case e.has(ErrUnsupported) && deletes(op):
		return "the registry does not allow deletes: it may be a connected registry in read-only mode, or a registry that is not an Azure Container Registry"
	}
	return adviseStranger(e)
}

const adviseReplica = "if it was pushed a moment ago, another replica of the registry may not have it yet: try again shortly"

// hostInName is the URL of a repository whose name begins with the host of an Azure Container Registry.
var hostInName = regexp.MustCompile(`/v[12]/[a-z0-9.-]+\.azurecr\.[a-z]{2}/`)

// bareDigest is a URL that ends with the digits of a sha256 digest alone, which is a valid tag.
var bareDigest = regexp.MustCompile(`/[0-9a-f]{64}$`)

// adviseStranger returns what to do about an answer that looks as if the registry had not given it.
func adviseStranger(e *Error) string {
	switch {
	case e.StatusCode < http.StatusBadRequest:
		return "this status is not a success of this operation: look for a proxy or portal in between"
	case e.StatusCode == http.StatusProxyAuthRequired:
		return auth.AdviseProxy
	case e.StatusCode == http.StatusNetworkAuthenticationRequired:
		return auth.AdvisePortal
	case e.StatusCode < http.StatusInternalServerError && e.Code == "" && isPage(e.body): // the registry's own gateway has pages for 5xx
		return "the answer is a web page, so it may be from a proxy or portal instead of the registry"
	}
	return ""
}

// isPage reports whether a body is HTML or XML.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

var uploadOperations = []*operation{opStartUpload, opGetUploadStatus, opUploadChunk, opCompleteUpload, opCancelUpload}

func deletes(op *operation) bool {
	return slices.Contains([]*operation{opDeleteManifest, opDeleteBlob, opDeleteTag, opDeleteRepository}, op)
}

// adviseTooLarge returns what to do about a request whose body was refused for its size; requests without a body have none.
func adviseTooLarge(op *operation) string {
	switch op {
	case opStartUpload, opUploadChunk, opCompleteUpload:
		return "the registry does not accept a body of this size: use smaller chunks (UploadOptions.ChunkSize)"
	case opPutManifest:
		return "the registry does not accept a manifest of this size: look for large annotations or a proxy in between"
	}
	return ""
}

// lockOf returns whose lock may have refused an operation, and how to open it.
func lockOf(op *operation) string {
	const unlock = " is locked (set WriteEnabled and DeleteEnabled to true to unlock it)"
	switch op {
	case opDeleteTag:
		return "the tag or the repository" + unlock
	case opDeleteManifest:
		return "the manifest, one of its tags or the repository" + unlock
	case opDeleteRepository:
		return "the repository, or a manifest or tag in it," + unlock
	case opPutManifest:
		return "the tag, the manifest it points to or the repository" + unlock + ", or the registry's storage is full"
	case opDeleteBlob, opRestoreManifest:
		return "the repository" + unlock
	case opStartUpload, opGetUploadStatus, opUploadChunk, opCompleteUpload, opCancelUpload:
		return "the repository" + unlock + ", or the registry's storage is full"
	}
	return "the tag, manifest or repository has ReadEnabled false, or the manifest is quarantined"
}

// ofUpstream reports whether the registry passes on what the source registry of a cache rule says.
func (e *Error) ofUpstream() bool {
	message := strings.ToLower(e.Message)
	return slices.ContainsFunc([]string{"cache rule", "upstream", "source registry", "pull through", "pull-through"}, func(words string) bool {
		return strings.Contains(message, words)
	})
}

// pageSaysTooLarge reports whether a page says that the header of the request is too large, as nginx does with status 400.
func pageSaysTooLarge(body []byte) bool {
	return isPage(body) && strings.Contains(strings.ToLower(string(body)), "too large")
}

// explain adds the cause to a refusal that check made of a response. It must not be called if the request failed without one: the
// failure may wrap the *Error of another call, for which the context was cancelled.
func explain(err error, resp *http.Response, a *auth.Authenticator, scopes []string) {
	if refusal, ok := errors.AsType[*Error](err); ok {
		refusal.explain(a.Explain(resp, refusal.body, scopes...))
		refusal.body = nil
	}
}

// explain adds what auth knows about the cause: a missing right, the firewall, a disabled audience.
func (e *Error) explain(cause *auth.Error) {
	if cause == nil || e.ofUpstream() {
		return
	}
	e.causes = append(e.causes, cause)
	why := cause.Message
	if cause.Cause != nil {
		why = joined(cause.Cause.Error(), why)
	}
	if e.Message == "" {
		e.Message, why = why, ""
	}
	skew := ""
	if cause.ClockSkew != 0 && !errors.Is(cause.Cause, ErrClockSkew) {
		skew = cause.SkewText()
	}
	parts := slices.DeleteFunc([]string{why, skew, cause.Advice}, func(s string) bool { return s == "" })
	e.advice = strings.Join(parts, "; ")
}

// joined is what there is of the parts, with colons between.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
