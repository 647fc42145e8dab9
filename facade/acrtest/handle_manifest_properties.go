package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

type manifestList struct {
	Registry  string               `json:"registry"`
	ImageName string               `json:"imageName"`
	Manifests []manifestProperties `json:"manifests"`
}

func (s *Server) handleManifests(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	manifests, more, err := s.store.Manifests(rt.name, p)
	s.manifests(w, r, rt, p, manifests, more, err)
}

func (s *Server) manifests(w http.ResponseWriter, r *http.Request, rt route, p store.Page, page []store.Manifest, more bool, err error) {
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	list := make([]manifestProperties, len(page))
	for i, m := range page {
		list[i] = propertiesOfManifest(m)
		if !m.Deleted.IsZero() {
			list[i].Deleted = &m.Deleted
		}
	}
	if len(page) > 0 {
		s.link(w, r, rt, p, page[len(page)-1].Digest.String(), len(page), more)
	}
	s.replyJSON(w, http.StatusOK, manifestList{s.Host(), rt.name, list})
}

func (s *Server) handleManifest(w http.ResponseWriter, _ *http.Request, rt route) {
	m, err := s.store.Manifest(rt.name, digest.Digest(rt.reference))
	s.manifest(w, rt, m, err)
}

func (s *Server) handleUpdateManifest(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := s.changeOf(w, r); ok {
		m, err := s.store.UpdateManifest(rt.name, digest.Digest(rt.reference), c)
		s.manifest(w, rt, m, err)
	}
}

func (s *Server) manifest(w http.ResponseWriter, rt route, m store.Manifest, err error) {
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	s.replyJSON(w, http.StatusOK, struct {
		Registry  string             `json:"registry"`
		ImageName string             `json:"imageName"`
		Manifest  manifestProperties `json:"manifest"`
	}{s.Host(), rt.name, propertiesOfManifest(m)})
}
