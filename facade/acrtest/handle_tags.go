package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// handleTagNames serves the list of the distribution specification.
func (s *Server) handleTagNames(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	p.Order = store.ByKey
	tags, more, err := s.store.Tags(rt.name, "", p)
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	if nothingAsked(r) {
		tags, more = nil, false
	}
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Name
	}
	if len(names) > 0 {
		s.link(w, r, rt, p, names[len(names)-1], len(names), more)
	}
	s.replyJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{rt.name, names})
}

func (s *Server) handleTags(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	tags, more, err := s.store.Tags(rt.name, digest.Digest(r.URL.Query().Get("digest")), p)
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	list := make([]tagProperties, len(tags))
	for i, t := range tags {
		list[i] = propertiesOfTag(t)
	}
	if len(tags) > 0 {
		// The filter by digest is not repeated in the link: none has been seen with it.
		s.link(w, r, rt, p, tags[len(tags)-1].Name, len(tags), more)
	}
	s.replyJSON(w, http.StatusOK, struct {
		Registry  string          `json:"registry"`
		ImageName string          `json:"imageName"`
		Tags      []tagProperties `json:"tags"`
	}{s.Host(), rt.name, list})
}

func (s *Server) handleTag(w http.ResponseWriter, _ *http.Request, rt route) {
	t, err := s.store.Tag(rt.name, rt.reference)
	s.tag(w, rt, t, err)
}

func (s *Server) handleUpdateTag(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := s.changeOf(w, r); ok {
		t, err := s.store.UpdateTag(rt.name, rt.reference, c)
		s.tag(w, rt, t, err)
	}
}

func (s *Server) tag(w http.ResponseWriter, rt route, t store.Tag, err error) {
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	s.replyJSON(w, http.StatusOK, struct {
		Registry  string        `json:"registry"`
		ImageName string        `json:"imageName"`
		Tag       tagProperties `json:"tag"`
	}{s.Host(), rt.name, propertiesOfTag(t)})
}

func (s *Server) handleDeleteTag(w http.ResponseWriter, _ *http.Request, rt route) {
	d, err := s.store.DeleteTag(rt.name, rt.reference)
	if err != nil {
		s.refuse(w, rt, err)
		return
	}
	w.Header()["X-Ms-Int-Docker-Content-Digest"] = []string{d.String()}
	empty(w, http.StatusAccepted)
}

// empty answers without a body, and says so.
func empty(w http.ResponseWriter, status int) {
	if status != http.StatusNoContent {
		setLength(w, 0)
	}
	w.WriteHeader(status)
}
