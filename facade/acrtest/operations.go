package acrtest

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// operations serves the operations of the login origin, save the token calls.
type operations struct {
	cfg     *config
	store   *store.Store
	storage *storage
	seals   sealer
	host    string // the login server, as bodies name it
	logger  *slog.Logger

	streaming *streaming // of all replicas
}

// operation is one row of the table below. Its path is decoded, and {name} in it stands for one or
// more segments. Its scope is what the access token must cover; it is empty if any valid token will
// do. Token operations have no function: the front serves them without a token.
type operation struct {
	id, method, path, scope string
	serve                   func(*operations, http.ResponseWriter, *http.Request, route)
}

// The scopes of the table; {name} stands for the repository's name.
const (
	scopeCatalog       = "registry:catalog:*"
	scopeDelete        = "repository:{name}:delete"
	scopeMetadataRead  = "repository:{name}:metadata_read"
	scopeMetadataWrite = "repository:{name}:metadata_write"
	scopePull          = "repository:{name}:pull"
	scopePush          = "repository:{name}:pull,push"
)

// operationTable lists every operation of the login origin. A new operation needs one row here and
// the method that serves it, which runs after the caller has been admitted and the common headers
// have been set.
//
// The table is written by hand, not read from api/openapi.yaml: the emulator is a witness of its
// own, and a test compares the two (TestOperationsAreEmulated in facade/internal/contract).
var operationTable = []operation{
	{"CheckSupport", http.MethodGet, "/v2/", "", (*operations).checkSupport},
	{"ListRepositoryNames", http.MethodGet, "/v2/_catalog", scopeCatalog, (*operations).listRepositories},
	{"ListTagNames", http.MethodGet, "/v2/{name}/tags/list", scopePull, (*operations).listTagNames},
	{"ListReferrers", http.MethodGet, "/v2/{name}/referrers/{digest}", scopePull, (*operations).listReferrers},

	{"GetManifest", http.MethodGet, "/v2/{name}/manifests/{reference}", scopePull, (*operations).getManifest},
	{"HeadManifest", http.MethodHead, "/v2/{name}/manifests/{reference}", scopePull, (*operations).getManifest},
	{"PutManifest", http.MethodPut, "/v2/{name}/manifests/{reference}", scopePush, (*operations).putManifest},
	{
		"DeleteManifest", http.MethodDelete, "/v2/{name}/manifests/{reference}",
		scopeDelete, (*operations).deleteManifest,
	},

	{"GetBlob", http.MethodGet, "/v2/{name}/blobs/{digest}", scopePull, (*operations).getBlob},
	{"HeadBlob", http.MethodHead, "/v2/{name}/blobs/{digest}", scopePull, (*operations).headBlob},
	{"DeleteBlob", http.MethodDelete, "/v2/{name}/blobs/{digest}", scopeDelete, (*operations).deleteBlob},

	{"StartUpload", http.MethodPost, "/v2/{name}/blobs/uploads/", scopePush, (*operations).startUpload},
	{"GetUploadStatus", http.MethodGet, "/v2/{name}/blobs/uploads/{uuid}", scopePush, (*operations).getUploadStatus},
	{"UploadChunk", http.MethodPatch, "/v2/{name}/blobs/uploads/{uuid}", scopePush, (*operations).uploadChunk},
	{"CompleteUpload", http.MethodPut, "/v2/{name}/blobs/uploads/{uuid}", scopePush, (*operations).completeUpload},
	{"CancelUpload", http.MethodDelete, "/v2/{name}/blobs/uploads/{uuid}", scopePush, (*operations).cancelUpload},

	{"ListRepositories", http.MethodGet, "/acr/v1/_catalog", scopeCatalog, (*operations).listRepositories},
	{
		"GetRepositoryProperties", http.MethodGet, "/acr/v1/{name}",
		scopeMetadataRead, (*operations).getRepositoryProperties,
	},
	{
		"UpdateRepositoryAttributes", http.MethodPatch, "/acr/v1/{name}",
		scopeMetadataWrite, (*operations).updateRepositoryAttributes,
	},
	{"DeleteRepository", http.MethodDelete, "/acr/v1/{name}", scopeDelete, (*operations).deleteRepository},

	{"ListTags", http.MethodGet, "/acr/v1/{name}/_tags", scopeMetadataRead, (*operations).listTags},
	{
		"GetTagProperties", http.MethodGet, "/acr/v1/{name}/_tags/{tag}",
		scopeMetadataRead, (*operations).getTagProperties,
	},
	{
		"UpdateTagAttributes", http.MethodPatch, "/acr/v1/{name}/_tags/{tag}",
		scopeMetadataWrite, (*operations).updateTagAttributes,
	},
	{"DeleteTag", http.MethodDelete, "/acr/v1/{name}/_tags/{tag}", scopeDelete, (*operations).deleteTag},

	{"ListManifests", http.MethodGet, "/acr/v1/{name}/_manifests", scopeMetadataRead, (*operations).listManifests},
	{
		"GetManifestProperties", http.MethodGet, "/acr/v1/{name}/_manifests/{digest}",
		scopeMetadataRead, (*operations).getManifestProperties,
	},
	{
		"UpdateManifestAttributes", http.MethodPatch, "/acr/v1/{name}/_manifests/{digest}",
		scopeMetadataWrite, (*operations).updateManifestAttributes,
	},

	{
		"ListDeletedRepositories", http.MethodGet, "/acr/v1/_deleted/_catalog",
		"registry:deleted_catalog:*", (*operations).listDeletedRepositories,
	},
	{
		"ListDeletedTags", http.MethodGet, "/acr/v1/_deleted/{name}/_tags",
		"repository:{name}:deleted_read", (*operations).listDeletedTags,
	},
	{
		"ListDeletedManifests", http.MethodGet, "/acr/v1/_deleted/{name}/_manifests",
		"repository:{name}:deleted_read", (*operations).listDeletedManifests,
	},
	{
		"RestoreManifest", http.MethodPost, "/acr/v1/_deleted/{name}/_manifests/{digest}",
		"repository:{name}:deleted_read,deleted_restore", (*operations).restoreManifest,
	},

	{"QueryMetadata", http.MethodPost, "/acr/v1/_metadata/_query", scopeCatalog, (*operations).queryMetadata},
	{
		"QueryRepositoryMetadata", http.MethodPost, "/acr/v1/{name}/_metadata/_query",
		scopeMetadataRead, (*operations).queryMetadata,
	},
	{"GetStreaming", http.MethodGet, "/acr/v1/{name}/_streaming", scopePull, tiered((*operations).getStreaming)},
	{"UpdateStreaming", http.MethodPost, "/acr/v1/{name}/_streaming", scopePush, tiered((*operations).updateStreaming)},
	{"GetConversion", http.MethodGet, "/acr/v1/{name}/_streaming/{digest}", scopePull, tiered((*operations).getConversion)},
	{
		"StartConversion", http.MethodPost, "/acr/v1/{name}/_streaming/{digest}",
		scopePush, tiered((*operations).startConversion),
	},
	{"GetOperation", http.MethodGet, "/acr/v1/{name}/_operations/{id}", scopePull, tiered((*operations).getOperation)},
	{
		"CancelOperation", http.MethodPost, "/acr/v1/{name}/_operations/{id}:cancel",
		scopePush, tiered((*operations).cancelOperation),
	},

	{"ExchangeEntraToken", http.MethodPost, "/oauth2/exchange", "", nil},
	{"GetAccessToken", http.MethodPost, "/oauth2/token", "", nil},
	{"GetAccessTokenWithBasic", http.MethodGet, "/oauth2/token", "", nil},
}

// operationByID finds a row of the table; nil if there is none.
func operationByID(id string) *operation {
	i := slices.IndexFunc(operationTable, func(op operation) bool { return op.id == id })
	if i < 0 {
		return nil
	}
	return &operationTable[i]
}

// checkSupport says that this is a registry.
func (o *operations) checkSupport(w http.ResponseWriter, _ *http.Request, _ route) {
	writeJSON(w, http.StatusOK, []byte("{}"))
}
