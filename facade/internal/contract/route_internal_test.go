package contract

import (
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/version"
)

// TestRoutes sends each shape of path to its operation, names with slashes and names that look like routes included.
func TestRoutes(t *testing.T) {
	t.Parallel()
	document, err := load()
	if err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
	for _, tc := range []struct{ method, path, id, name string }{
		{"GET", "/v2/", "CheckSupport", ""},
		{"GET", "/v2/_catalog", "ListRepositoryNames", ""},
		{"GET", "/v2/a/b/tags/list", "ListTagNames", "a/b"},
		{"GET", "/v2/tags/list/tags/list", "ListTagNames", "tags/list"},
		{"GET", "/v2/a/referrers/" + digest, "ListReferrers", "a"},
		{"GET", "/v2/a/b/manifests/v1", "GetManifest", "a/b"},
		{"HEAD", "/v2/a/b/manifests/v1", "HeadManifest", "a/b"},
		{"PUT", "/v2/manifests/manifests/v1", "PutManifest", "manifests"},
		{"DELETE", "/v2/a/manifests/" + digest, "DeleteManifest", "a"},
		{"GET", "/v2/a/b/c/blobs/" + digest, "GetBlob", "a/b/c"},
		{"HEAD", "/v2/blobs/blobs/" + digest, "HeadBlob", "blobs"},
		{"DELETE", "/v2/a/blobs/" + digest, "DeleteBlob", "a"},
		{"POST", "/v2/a/blobs/uploads/", "StartUpload", "a"},
		{"POST", "/v2/blobs/uploads/blobs/uploads/", "StartUpload", "blobs/uploads"},
		{"GET", "/v2/a/b/blobs/uploads/u", "GetUploadStatus", "a/b"},
		{"PATCH", "/v2/a/b/blobs/uploads/u", "UploadChunk", "a/b"},
		{"PUT", "/v2/a/b/blobs/uploads/u", "CompleteUpload", "a/b"},
		{"DELETE", "/v2/a/b/blobs/uploads/u", "CancelUpload", "a/b"},
		{"GET", "/acr/v1/_catalog", "ListRepositories", ""},
		{"GET", "/acr/v1/a/b/c", "GetRepositoryProperties", "a/b/c"},
		{"PATCH", "/acr/v1/a/b", "UpdateRepositoryAttributes", "a/b"},
		{"DELETE", "/acr/v1/a/b", "DeleteRepository", "a/b"},
		{"GET", "/acr/v1/a/b/_tags", "ListTags", "a/b"},
		{"GET", "/acr/v1/a/b/_tags/v1", "GetTagProperties", "a/b"},
		{"PATCH", "/acr/v1/a/b/_tags/v1", "UpdateTagAttributes", "a/b"},
		{"DELETE", "/acr/v1/a/b/_tags/v1", "DeleteTag", "a/b"},
		{"GET", "/acr/v1/a/b/_manifests", "ListManifests", "a/b"},
		{"GET", "/acr/v1/a/b/_manifests/" + digest, "GetManifestProperties", "a/b"},
		{"PATCH", "/acr/v1/a/b/_manifests/" + digest, "UpdateManifestAttributes", "a/b"},
		{"GET", "/acr/v1/_deleted/_catalog", "ListDeletedRepositories", ""},
		{"GET", "/acr/v1/_deleted/a/b/_tags", "ListDeletedTags", "a/b"},
		{"GET", "/acr/v1/_deleted/a/b/_manifests", "ListDeletedManifests", "a/b"},
		{"POST", "/acr/v1/_deleted/a/b/_manifests/" + digest, "RestoreManifest", "a/b"},
		{"POST", "/acr/v1/_metadata/_query", "QueryMetadata", ""},
		{"POST", "/acr/v1/a/b/_metadata/_query", "QueryRepositoryMetadata", "a/b"},
		{"POST", "/acr/v1/a/b/_streaming/" + digest, "StartConversion", "a/b"},
		{"GET", "/acr/v1/a/b/_operations/u", "GetOperation", "a/b"},
		{"POST", "/acr/v1/a/b/_operations/u:cancel", "CancelOperation", "a/b"},
		{"POST", "/oauth2/exchange", "ExchangeEntraToken", ""},
		{"POST", "/oauth2/token", "GetAccessToken", ""},
		{"GET", "/oauth2/token", "GetAccessTokenWithBasic", ""},
		{"GET", "/v2", "", ""},
		{"GET", "/v2/a", "", ""},
		{"GET", "/v2/a/b", "", ""},
		{"POST", "/v2/a/blobs/uploads", "", ""},
		{"OPTIONS", "/v2/a/manifests/v1", "", ""},
		{"GET", "/oauth2/exchange", "", ""},
		{"GET", "/", "", ""},
	} {
		route, err := document.router.find(tc.method, tc.path)
		id, name := "", ""
		if err == nil {
			id, name = route.id, route.values["name"]
		}
		if id != tc.id || name != tc.name {
			t.Errorf("%s %s: %s of %q, want %s of %q (%v)", tc.method, tc.path, id, name, tc.id, tc.name, err)
		}
	}
}

// TestOperationsHaveRoutes sends the path of each operation back to it, whatever the values of its parameters.
func TestOperationsHaveRoutes(t *testing.T) {
	t.Parallel()
	document, err := load()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("{name}", "a/b", "{reference}", "v1", "{tag}", "v1", "{uuid}", "u", "{id}", "u", "{digest}", "sha256:1")
	for id := range document.router.ids {
		d, err := Declared(id)
		if err != nil {
			t.Fatal(err)
		}
		if path := values.Replace(d.Path); strings.Contains(path, "{") {
			t.Errorf("%s has a parameter that this test has no value for: add one to values", d.Path)
			continue
		}
		route, err := document.router.find(d.Method, values.Replace(d.Path))
		if err != nil || route.id != id {
			t.Errorf("%s %s leads to %+v, %v, and not to %s: see the paths of api/openapi.yaml", d.Method, d.Path, route, err, id)
		}
	}
}

// TestVersion sees that requests ask for the version that the document describes.
func TestVersion(t *testing.T) {
	t.Parallel()
	document, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if described := document.doc.Info.Version; version.API != described {
		t.Errorf("requests ask for API version %s (facade/internal/version), api/openapi.yaml describes %s", version.API, described)
	}
}
