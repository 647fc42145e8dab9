package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

type catalog struct {
	Repositories []string `json:"repositories"`
}

// handleCatalog serves both catalogs, which differ in their paths alone.
func (s *Server) handleCatalog(w http.ResponseWriter, r *http.Request, rt route) {
	s.names(w, r, rt, s.store.Repositories)
}

// names answers a list of repository names.
func (s *Server) names(w http.ResponseWriter, r *http.Request, rt route, list func(store.Page) ([]string, bool)) {
	p := pageOf(r)
	names, more := list(p)
	if rt.op == "ListRepositoryNames" && nothingAsked(r) {
		names = nil
	}
	if len(names) == 0 {
		names = []string{} // "[]", not "null"
	} else {
		s.link(w, r, rt, p, names[len(names)-1], len(names), more)
	}
	s.replyJSON(w, http.StatusOK, catalog{names})
}

func (s *Server) handleRepository(w http.ResponseWriter, _ *http.Request, rt route) {
	p, err := s.store.Repository(rt.name)
	s.repository(w, rt, p, err)
}

func (s *Server) handleUpdateRepository(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := s.changeOf(w, r); ok {
		p, err := s.store.UpdateRepository(rt.name, c)
		s.repository(w, rt, p, err)
	}
}

func (s *Server) repository(w http.ResponseWriter, rt route, p store.Repository, err error) {
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	s.replyJSON(w, http.StatusOK, repositoryProperties{
		Registry: s.Host(), ImageName: p.Name, Created: p.Created, Updated: p.Updated, Manifests: p.Manifests, Tags: p.Tags,
		Attributes: attributesOf(p.Attributes),
	})
}

func (s *Server) handleDeleteRepository(w http.ResponseWriter, _ *http.Request, rt route) {
	manifests, tags, err := s.store.DeleteRepository(rt.name)
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	s.replyJSON(w, http.StatusAccepted, struct {
		Manifests []digest.Digest `json:"manifestsDeleted"`
		Tags      []string        `json:"tagsDeleted"`
	}{manifests, append([]string{}, tags...)})
}
