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

func (o *operations) listManifests(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	manifests, more, err := o.store.Manifests(rt.name, p)
	o.replyManifests(w, r, rt, p, manifests, more, err)
}

func (o *operations) replyManifests(w http.ResponseWriter, r *http.Request, rt route, p store.Page, page []store.Manifest, more bool, err error) {
	if err != nil {
		o.refuse(w, rt, err)
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
		o.setLink(w, r, rt, p, page[len(page)-1].Digest.String(), len(page), more)
	}
	replyJSON(w, http.StatusOK, manifestList{o.host, rt.name, orNull(list)})
}

func (o *operations) getManifestProperties(w http.ResponseWriter, _ *http.Request, rt route) {
	m, err := o.store.Manifest(rt.name, digest.Digest(rt.reference))
	o.replyManifest(w, rt, m, err)
}

func (o *operations) updateManifestAttributes(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := o.readChange(w, r); ok {
		m, err := o.store.UpdateManifest(rt.name, digest.Digest(rt.reference), c)
		o.replyManifest(w, rt, m, err)
	}
}

func (o *operations) replyManifest(w http.ResponseWriter, rt route, m store.Manifest, err error) {
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	replyJSON(w, http.StatusOK, struct {
		Registry  string             `json:"registry"`
		ImageName string             `json:"imageName"`
		Manifest  manifestProperties `json:"manifest"`
	}{o.host, rt.name, propertiesOfManifest(m)})
}
