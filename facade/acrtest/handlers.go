package acrtest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// backend is the part of the server that belongs to the handlers. The server embeds it.
type backend struct {
	store *store.Store
	seals sealer
}

// handlers has one entry for each operation of the login origin save the token calls. It is called with the caller admitted and
// the common headers set.
var handlers = map[string]func(*Server, http.ResponseWriter, *http.Request, route){
	"CheckSupport":        (*Server).handleCheckSupport,
	"ListRepositoryNames": (*Server).handleCatalog,
	"ListTagNames":        (*Server).handleTagNames,

	"GetManifest":    (*Server).handleGetManifest,
	"HeadManifest":   (*Server).handleGetManifest,
	"PutManifest":    (*Server).handlePutManifest,
	"DeleteManifest": (*Server).handleDeleteManifest,
	"ListReferrers":  (*Server).handleReferrers,

	"GetBlob":    (*Server).handleGetBlob,
	"HeadBlob":   (*Server).handleHeadBlob,
	"DeleteBlob": (*Server).handleDeleteBlob,

	"StartUpload":     (*Server).handleStartUpload,
	"GetUploadStatus": (*Server).handleUploadStatus,
	"UploadChunk":     (*Server).handleUploadChunk,
	"CompleteUpload":  (*Server).handleCompleteUpload,
	"CancelUpload":    (*Server).handleCancelUpload,

	"ListRepositories":           (*Server).handleCatalog,
	"GetRepositoryProperties":    (*Server).handleRepository,
	"UpdateRepositoryAttributes": (*Server).handleUpdateRepository,
	"DeleteRepository":           (*Server).handleDeleteRepository,

	"ListTags":            (*Server).handleTags,
	"GetTagProperties":    (*Server).handleTag,
	"UpdateTagAttributes": (*Server).handleUpdateTag,
	"DeleteTag":           (*Server).handleDeleteTag,

	"ListManifests":            (*Server).handleManifests,
	"GetManifestProperties":    (*Server).handleManifest,
	"UpdateManifestAttributes": (*Server).handleUpdateManifest,

	"ListDeletedRepositories": (*Server).handleDeletedCatalog,
	"ListDeletedManifests":    (*Server).handleDeletedManifests,
	"ListDeletedTags":         (*Server).handleDeletedTags,
	"RestoreManifest":         (*Server).handleRestore,
}

// openBackend is called once by Start, with s.cfg complete.
func (s *Server) openBackend() (err error) {
	s.store, err = store.Open(store.Options{
		Dir:        s.cfg.dir,
		Sync:       s.cfg.sync,
		Now:        s.now,
		SoftDelete: time.Duration(s.cfg.softDelete) * 24 * time.Hour,
		ReplicaLag: s.cfg.replicaLag,
		UploadTTL:  s.cfg.sessionLife,
	})
	if err != nil {
		return fmt.Errorf("acrtest: opening the directory %s: %w", s.cfg.dir, err)
	}
	if lost := s.store.Lost(); len(lost) > 0 {
		s.cfg.logger.Warn("blobs whose files are missing or damaged were taken out of all repositories", "blobs", lost)
	}
	s.seals = newSealer(s.store.SigningKey())
	return nil
}

// closeBackend is called once by Close, when no request is under way any more.
func (s *Server) closeBackend() {
	if err := s.store.Close(); err != nil {
		s.cfg.logger.Warn("close the store", "error", err)
	}
}

// handleCheckSupport says that this is a registry.
func (s *Server) handleCheckSupport(w http.ResponseWriter, _ *http.Request, _ route) {
	writeJSON(w, http.StatusOK, []byte("{}"))
}
