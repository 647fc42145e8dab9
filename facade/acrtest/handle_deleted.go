package acrtest

import (
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// The lists of what was deleted are a preview of the service, known by what the Azure command line calls.

func (s *Server) handleDeletedCatalog(w http.ResponseWriter, r *http.Request, rt route) {
	s.names(w, r, rt, s.store.DeletedRepositories)
}

func (s *Server) handleDeletedManifests(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	manifests, more, err := s.store.DeletedManifests(rt.name, p)
	s.manifests(w, r, rt, p, manifests, more, err)
}

type deletedTag struct {
	Tag     string    `json:"tag"`
	Digest  string    `json:"digest"`
	Deleted time.Time `json:"deletedAt"`
}

func (s *Server) handleDeletedTags(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	tags, more, err := s.store.DeletedTags(rt.name, p)
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	list := make([]deletedTag, len(tags))
	for i, t := range tags {
		list[i] = deletedTag{t.Name, t.Digest.String(), t.Deleted}
	}
	if len(tags) > 0 {
		s.link(w, r, rt, p, store.DeletedTagKey(tags[len(tags)-1]), len(tags), more)
	}
	s.replyJSON(w, http.StatusOK, struct {
		Registry  string       `json:"registry"`
		ImageName string       `json:"imageName"`
		Tags      []deletedTag `json:"tags"`
	}{s.Host(), rt.name, list})
}

// handleRestore brings a deleted manifest back. The status of the real answer is not documented; a client is to take any 2xx.
func (s *Server) handleRestore(w http.ResponseWriter, r *http.Request, rt route) {
	var body struct {
		Tag string `json:"tag"`
	}
	if !s.decode(w, r, &body) {
		return
	}
	if body.Tag != "" && !tagGrammar.MatchString(body.Tag) {
		s.fail(w, http.StatusBadRequest, "TAG_INVALID", "the tag is not one", nil)
		return
	}
	force := r.URL.Query().Get("force") == "true"
	if err := s.store.Restore(rt.name, digest.Digest(rt.reference), body.Tag, force); err != nil {
		s.refuse(w, rt, err)
		return
	}
	empty(w, http.StatusAccepted)
}
