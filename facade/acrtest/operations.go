package acrtest

import (
	"log/slog"
	"net/http"

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
}

// handlers has one entry for each operation of the login origin save the token calls. It is called
// with the caller admitted and the common headers set.
var handlers = map[string]func(*operations, http.ResponseWriter, *http.Request, route){
	"CheckSupport":        (*operations).checkSupport,
	"ListRepositoryNames": (*operations).listRepositories,
	"ListTagNames":        (*operations).listTagNames,

	"GetManifest":    (*operations).getManifest,
	"HeadManifest":   (*operations).getManifest,
	"PutManifest":    (*operations).putManifest,
	"DeleteManifest": (*operations).deleteManifest,
	"ListReferrers":  (*operations).listReferrers,

	"GetBlob":    (*operations).getBlob,
	"HeadBlob":   (*operations).headBlob,
	"DeleteBlob": (*operations).deleteBlob,

	"StartUpload":     (*operations).startUpload,
	"GetUploadStatus": (*operations).getUploadStatus,
	"UploadChunk":     (*operations).uploadChunk,
	"CompleteUpload":  (*operations).completeUpload,
	"CancelUpload":    (*operations).cancelUpload,

	"ListRepositories":           (*operations).listRepositories,
	"GetRepositoryProperties":    (*operations).getRepositoryProperties,
	"UpdateRepositoryAttributes": (*operations).updateRepositoryAttributes,
	"DeleteRepository":           (*operations).deleteRepository,

	"ListTags":            (*operations).listTags,
	"GetTagProperties":    (*operations).getTagProperties,
	"UpdateTagAttributes": (*operations).updateTagAttributes,
	"DeleteTag":           (*operations).deleteTag,

	"ListManifests":            (*operations).listManifests,
	"GetManifestProperties":    (*operations).getManifestProperties,
	"UpdateManifestAttributes": (*operations).updateManifestAttributes,

	"ListDeletedRepositories": (*operations).listDeletedRepositories,
	"ListDeletedManifests":    (*operations).listDeletedManifests,
	"ListDeletedTags":         (*operations).listDeletedTags,
	"RestoreManifest":         (*operations).restoreManifest,
}

// checkSupport says that this is a registry.
func (o *operations) checkSupport(w http.ResponseWriter, _ *http.Request, _ route) {
	writeJSON(w, http.StatusOK, []byte("{}"))
}
