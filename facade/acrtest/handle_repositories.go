package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

type catalog struct {
	Repositories []string `json:"repositories"`
}

// listRepositories serves both catalogs, which differ in their paths alone.
func (o *operations) listRepositories(w http.ResponseWriter, r *http.Request, rt route) {
	o.replyNames(w, r, rt, o.store.Repositories)
}

// names answers a list of repository names.
func (o *operations) replyNames(w http.ResponseWriter, r *http.Request, rt route, list func(store.Page) ([]string, bool)) {
	p := pageOf(r)
	names, more := list(p)
	if rt.op == "ListRepositoryNames" && nothingAsked(r) {
		names = nil
	}
	if len(names) > 0 {
		o.setLink(w, r, rt, p, names[len(names)-1], len(names), more)
	}
	replyJSON(w, http.StatusOK, catalog{orNull(names)})
}

func (o *operations) getRepositoryProperties(w http.ResponseWriter, _ *http.Request, rt route) {
	p, err := o.store.Repository(rt.name)
	o.replyRepository(w, rt, p, err)
}

func (o *operations) updateRepositoryAttributes(w http.ResponseWriter, r *http.Request, rt route) {
	if c, ok := o.readChange(w, r); ok {
		p, err := o.store.UpdateRepository(rt.name, c)
		o.replyRepository(w, rt, p, err)
	}
}

func (o *operations) replyRepository(w http.ResponseWriter, rt route, p store.Repository, err error) {
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	replyJSON(w, http.StatusOK, repositoryProperties{
		Registry: o.host, ImageName: p.Name, Created: p.Created, Updated: p.Updated, Manifests: p.Manifests, Tags: p.Tags,
		Attributes: attributesOf(p.Attributes),
	})
}

func (o *operations) deleteRepository(w http.ResponseWriter, _ *http.Request, rt route) {
	manifests, tags, err := o.store.DeleteRepository(rt.name)
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	replyJSON(w, http.StatusAccepted, struct {
		Manifests []digest.Digest `json:"manifestsDeleted"`
		Tags      []string        `json:"tagsDeleted"`
	}{manifests, append([]string{}, tags...)})
}
