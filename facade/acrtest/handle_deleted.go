package acrtest

import (
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// The lists of what was deleted are a preview of the service, known by what the Azure command line
// calls.

func (o *operations) listDeletedRepositories(w http.ResponseWriter, r *http.Request, rt route) {
	o.replyNames(w, r, rt, o.store.DeletedRepositories)
}

func (o *operations) listDeletedManifests(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	manifests, more, err := o.store.DeletedManifests(rt.name, p)
	o.replyManifests(w, r, rt, p, manifests, more, err)
}

type deletedTag struct {
	Tag     string    `json:"tag"`
	Digest  string    `json:"digest"`
	Deleted time.Time `json:"deletedAt"`
}

func (o *operations) listDeletedTags(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	tags, more, err := o.store.DeletedTags(rt.name, p)
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	list := make([]deletedTag, len(tags))
	for i, t := range tags {
		list[i] = deletedTag{t.Name, t.Digest.String(), t.Deleted}
	}
	if len(tags) > 0 {
		o.setLink(w, r, rt, p, store.DeletedTagKey(tags[len(tags)-1]), len(tags), more)
	}
	replyJSON(w, http.StatusOK, struct {
		Registry  string       `json:"registry"`
		ImageName string       `json:"imageName"`
		Tags      []deletedTag `json:"tags"`
	}{o.host, rt.name, orNull(list)})
}

// restoreManifest brings a deleted manifest back. The status of the real answer is not documented;
// a client is to take any 2xx.
func (o *operations) restoreManifest(w http.ResponseWriter, r *http.Request, rt route) {
	var body struct {
		Tag string `json:"tag"`
	}
	if !o.decodeBody(w, r, &body) {
		return
	}
	if body.Tag != "" && !tagGrammar.MatchString(body.Tag) {
		fail(w, http.StatusBadRequest, "TAG_INVALID", "the tag is not one", nil)
		return
	}
	force := r.URL.Query().Get("force") == "true"
	if err := o.store.Restore(rt.name, digest.Digest(rt.reference), body.Tag, force); err != nil {
		o.refuse(w, rt, err)
		return
	}
	empty(w, http.StatusAccepted)
}
