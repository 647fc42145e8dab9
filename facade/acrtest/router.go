package acrtest

import (
	"net/http"
	"regexp"
	"strings"
)

// route is what a request asks for: which operation, and the path parameters, decoded.
type route struct {
	op        string // operation id, such as "GetManifest"
	name      string // repository
	reference string // tag or digest, as it stands in the path
	uuid      string // upload session
	path      string // the path as the caller spelled it, "%2F" and all: a Link repeats it
}

// The grammars that decide whether a path has a route at all. They are the ones of the distribution
// project, whose router ACR's answers match: a digest is any algorithm with at least 32 hexadecimal
// digits; whether the registry knows it, the handler says.
var (
	nameGrammar   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestGrammar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$`)
	// An ill-formed digest still has a route to a manifest: the OCI conformance program wants a 400
	// for it, not a 404.
	looseGrammar = regexp.MustCompile(`^[A-Za-z0-9_+.-]+:[A-Za-z0-9=_-]+$`)
	uuidGrammar  = regexp.MustCompile(`^[A-Za-z0-9-_.=]+$`)
)

const maxNameLength = 255

// methods gives the operation of each method on one path.
type methods map[string]string

var (
	checkSupport    = methods{http.MethodGet: "CheckSupport"}
	repositoryNames = methods{http.MethodGet: "ListRepositoryNames"}
	tagNames        = methods{http.MethodGet: "ListTagNames"}
	manifest        = methods{
		http.MethodGet: "GetManifest", http.MethodHead: "HeadManifest",
		http.MethodPut: "PutManifest", http.MethodDelete: "DeleteManifest",
	}
	blob   = methods{http.MethodGet: "GetBlob", http.MethodHead: "HeadBlob", http.MethodDelete: "DeleteBlob"}
	start  = methods{http.MethodPost: "StartUpload"}
	upload = methods{
		http.MethodGet: "GetUploadStatus", http.MethodPatch: "UploadChunk",
		http.MethodPut: "CompleteUpload", http.MethodDelete: "CancelUpload",
	}
	referrers = methods{http.MethodGet: "ListReferrers"}

	repositories       = methods{http.MethodGet: "ListRepositories"}
	repositoryProps    = methods{http.MethodGet: "GetRepositoryProperties", http.MethodPatch: "UpdateRepositoryAttributes", http.MethodDelete: "DeleteRepository"}
	tags               = methods{http.MethodGet: "ListTags"}
	tagProps           = methods{http.MethodGet: "GetTagProperties", http.MethodPatch: "UpdateTagAttributes", http.MethodDelete: "DeleteTag"}
	manifests          = methods{http.MethodGet: "ListManifests"}
	manifestProps      = methods{http.MethodGet: "GetManifestProperties", http.MethodPatch: "UpdateManifestAttributes"}
	deletedRepos       = methods{http.MethodGet: "ListDeletedRepositories"}
	deletedManifests   = methods{http.MethodGet: "ListDeletedManifests"}
	deletedTags        = methods{http.MethodGet: "ListDeletedTags"}
	restoreOneManifest = methods{http.MethodPost: "RestoreManifest"}

	exchange = methods{http.MethodPost: "ExchangeEntraToken"}
	token    = methods{http.MethodGet: "GetAccessTokenWithBasic", http.MethodPost: "GetAccessToken"}
)

// findRoute reads the decoded path from its right end, for repository names hold slashes. A path
// that matches nothing gives nil methods.
func findRoute(path string) (route, methods) {
	switch path {
	case "/v2/":
		return route{}, checkSupport
	case "/v2/_catalog":
		return route{}, repositoryNames
	case "/acr/v1/_catalog":
		return route{}, repositories
	case "/acr/v1/_deleted/_catalog":
		return route{}, deletedRepos
	case "/oauth2/exchange":
		return route{}, exchange
	case "/oauth2/token":
		return route{}, token
	}
	if rest, ok := strings.CutPrefix(path, "/v2/"); ok {
		return findV2(rest)
	}
	if rest, ok := strings.CutPrefix(path, "/acr/v1/_deleted/"); ok {
		return findDeleted(rest)
	}
	if rest, ok := strings.CutPrefix(path, "/acr/v1/"); ok {
		return findACR(rest)
	}
	return route{}, nil
}

func findV2(rest string) (route, methods) {
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok && isName(name) {
		return route{name: name}, tagNames
	}
	if name, ok := strings.CutSuffix(rest, "/blobs/uploads/"); ok && isName(name) {
		return route{name: name}, start
	}
	head, last := cutLast(rest)
	if name, ok := strings.CutSuffix(head, "/blobs/uploads"); ok && isName(name) && uuidGrammar.MatchString(last) {
		return route{name: name, uuid: last}, upload
	}
	name, kind := cutLast(head)
	if !isName(name) {
		return route{}, nil
	}
	switch {
	case kind == "manifests" && (tagGrammar.MatchString(last) || looseGrammar.MatchString(last)):
		return route{name: name, reference: last}, manifest
	case kind == "blobs" && digestGrammar.MatchString(last):
		return route{name: name, reference: last}, blob
	case kind == "referrers" && digestGrammar.MatchString(last):
		return route{name: name, reference: last}, referrers
	}
	return route{}, nil
}

func findACR(rest string) (route, methods) {
	if isName(rest) {
		return route{name: rest}, repositoryProps
	}
	head, last := cutLast(rest)
	if isName(head) {
		switch last {
		case "_tags":
			return route{name: head}, tags
		case "_manifests":
			return route{name: head}, manifests
		}
	}
	name, kind := cutLast(head)
	if !isName(name) {
		return route{}, nil
	}
	switch {
	case kind == "_tags" && tagGrammar.MatchString(last):
		return route{name: name, reference: last}, tagProps
	case kind == "_manifests" && digestGrammar.MatchString(last):
		return route{name: name, reference: last}, manifestProps
	}
	return route{}, nil
}

func findDeleted(rest string) (route, methods) {
	head, last := cutLast(rest)
	if isName(head) {
		switch last {
		case "_tags":
			return route{name: head}, deletedTags
		case "_manifests":
			return route{name: head}, deletedManifests
		}
	}
	name, kind := cutLast(head)
	if isName(name) && kind == "_manifests" && digestGrammar.MatchString(last) {
		return route{name: name, reference: last}, restoreOneManifest
	}
	return route{}, nil
}

// cutLast splits a path before its last slash.
func cutLast(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func isName(name string) bool {
	return len(name) <= maxNameLength && nameGrammar.MatchString(name)
}
