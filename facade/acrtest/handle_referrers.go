package acrtest

import (
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// listReferrers lists the referrers of a manifest, which need not exist, as an index.
func (o *operations) listReferrers(w http.ResponseWriter, r *http.Request, rt route) {
	d := digest.Digest(rt.reference)
	if d.Validate() != nil {
		badDigest(w)
		return
	}
	p := pageOf(r)
	if r.URL.Query().Get("n") == "" {
		p.N = maxPage // many clients read no further than one page of referrers
	}
	artifactType := r.URL.Query().Get("artifactType")
	page, more := o.store.Referrers(rt.name, d, artifactType, p)
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: make([]ocispec.Descriptor, len(page)),
	}
	for i, m := range page {
		index.Manifests[i] = descriptorOf(m)
	}
	if len(page) > 0 {
		o.setLink(w, r, rt, p, page[len(page)-1].Digest.String(), len(page), more, "artifactType")
	}
	if artifactType != "" {
		w.Header()["Oci-Filters-Applied"] = []string{"artifactType"}
	}
	body := encodeJSON(index)
	w.Header()["Content-Type"] = []string{ocispec.MediaTypeImageIndex}
	setLength(w, len(body))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}

func descriptorOf(m store.Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content)), ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
}
