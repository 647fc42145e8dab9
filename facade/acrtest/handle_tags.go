package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// listTagNames serves the list of the distribution specification.
func (o *operations) listTagNames(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	p.Order = store.ByKey
	tags, more, err := o.store.Tags(rt.name, "", p)
	if err != nil {
		o.refuse(w, rt, err)
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
		o.setLink(w, r, rt, p, names[len(names)-1], len(names), more)
	}
	replyJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{rt.name, orNull(names)})
}

func (o *operations) listTags(w http.ResponseWriter, r *http.Request, rt route) {
	p := pageOf(r)
	tags, more, err := o.store.Tags(rt.name, digest.Digest(r.URL.Query().Get("digest")), p)
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	list := make([]tagProperties, len(tags))
	for i, t := range tags {
		list[i] = propertiesOfTag(t)
	}
	if len(tags) > 0 {
		// The filter by digest is not repeated in the link: none has been seen with it.
		o.setLink(w, r, rt, p, tags[len(tags)-1].Name, len(tags), more)
	}
	replyJSON(w, http.StatusOK, struct {
		Registry  string          `json:"registry"`
		ImageName string          `json:"imageName"`
		Tags      []tagProperties `json:"tags"`
	}{o.host, rt.name, orNull(list)})
}

func (o *operations) getTagProperties(w http.ResponseWriter, _ *http.Request, rt route) {
	t, err := o.store.Tag(rt.name, rt.reference)
	o.replyTag(w, rt, t, err)
}

func (o *operations) updateTagAttributes(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := o.readChange(w, r); ok {
		t, err := o.store.UpdateTag(rt.name, rt.reference, c)
		o.replyTag(w, rt, t, err)
	}
}

func (o *operations) replyTag(w http.ResponseWriter, rt route, t store.Tag, err error) {
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	replyJSON(w, http.StatusOK, struct {
		Registry  string        `json:"registry"`
		ImageName string        `json:"imageName"`
		Tag       tagProperties `json:"tag"`
	}{o.host, rt.name, propertiesOfTag(t)})
}

func (o *operations) deleteTag(w http.ResponseWriter, _ *http.Request, rt route) {
	d, err := o.store.DeleteTag(rt.name, rt.reference)
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	w.Header()["X-Ms-Int-Docker-Content-Digest"] = []string{d.String()}
	empty(w, http.StatusAccepted)
}
