package acr_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// served lists every operation of the document with the method that serves it.
var served = map[string]string{
	"CheckSupport":               "Client.Ping",
	"ListRepositories":           "Client.Repositories",
	"ListRepositoryNames":        "Client.RepositoryNames",
	"GetRepositoryProperties":    "Repository.Properties",
	"UpdateRepositoryAttributes": "Repository.UpdateAttributes",
	"DeleteRepository":           "Repository.Delete",
	"ListTags":                   "Repository.Tags",
	"ListTagNames":               "Repository.TagNames",
	"GetTagProperties":           "Artifact.TagProperties",
	"UpdateTagAttributes":        "Artifact.UpdateTagAttributes",
	"DeleteTag":                  "Artifact.DeleteTag",
	"ListManifests":              "Repository.Manifests",
	"GetManifestProperties":      "Artifact.ManifestProperties",
	"UpdateManifestAttributes":   "Artifact.UpdateManifestAttributes",
	"GetManifest":                "Repository.GetManifest",
	"HeadManifest":               "Repository.HeadManifest",
	"PutManifest":                "Repository.PutManifest",
	"DeleteManifest":             "Repository.DeleteManifest",
	"ListReferrers":              "Repository.Referrers",
	"GetBlob":                    "Repository.GetBlob",
	"HeadBlob":                   "Repository.StatBlob",
	"DeleteBlob":                 "Repository.DeleteBlob",
	"StartUpload":                "Repository.StartUpload",
	"GetUploadStatus":            "Repository.ResumeUpload",
	"UploadChunk":                "BlobWriter.Write",
	"CompleteUpload":             "BlobWriter.Commit",
	"CancelUpload":               "BlobWriter.Cancel",
	"ListDeletedRepositories":    "Client.DeletedRepositories",
	"ListDeletedManifests":       "Repository.DeletedManifests",
	"ListDeletedTags":            "Repository.DeletedTags",
	"RestoreManifest":            "Repository.RestoreManifest",
	// The token operations are sent on behalf of every other; Login shows their outcome.
	"ExchangeEntraToken":      "Client.Login",
	"GetAccessToken":          "Client.Ping",
	"GetAccessTokenWithBasic": "Client.Ping",
}

// omitted lists the operations that no method serves, each with its reason.
var omitted = map[string]string{}

// TestEveryOperationIsServed compares the table with the document and with the package.
func TestEveryOperationIsServed(t *testing.T) {
	t.Parallel()
	ids, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{
		"Client":     reflect.TypeFor[*acr.Client](),
		"Repository": reflect.TypeFor[*acr.Repository](),
		"Artifact":   reflect.TypeFor[*acr.Artifact](),
		"BlobWriter": reflect.TypeFor[*acr.BlobWriter](),
	}
	for _, id := range ids {
		method := served[id]
		if method == "" {
			if omitted[id] == "" {
				t.Errorf("%s is served by no method, and no reason is given", id)
			}
			continue
		}
		receiver, name, _ := strings.Cut(method, ".")
		if _, ok := types[receiver].MethodByName(name); !ok {
			t.Errorf("%s: there is no %s", id, method)
		}
	}
	for id := range served {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is not in the document", id)
		}
	}
}
