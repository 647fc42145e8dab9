package acrtest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// getManifest serves GET and HEAD; net/http leaves the body out of the latter.
func (o *operations) getManifest(w http.ResponseWriter, r *http.Request, rt route) {
	m, err := o.store.Pull(rt.name, rt.reference)
	if err == nil && !accepts(r.Header["Accept"], m.MediaType, rt.reference) {
		// The service converts Docker images to schema 1 here; that is left out, and they are
		// refused as OCI's are.
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", notAccepted(m.MediaType), nil)
		return
	}
	if errors.Is(err, store.ErrManifestUnknown) {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", unknownMessage(rt), unknownReference(rt))
		return
	}
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	h := w.Header()
	tag := `"` + m.Digest.String() + `"`
	h["Etag"] = []string{tag}
	h["Docker-Content-Digest"] = []string{m.Digest.String()}
	if matches(r.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = []string{m.MediaType}
	setLength(w, len(m.Content))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(m.Content) // the caller may be gone; nobody is left to tell
}

// matches reads an If-None-Match, whose digests the distribution project also takes without their
// quotes.
func matches(header []string, tag string) bool {
	for _, line := range header {
		for v := range strings.SplitSeq(line, ",") {
			v = strings.TrimPrefix(strings.TrimSpace(v), "W/")
			if v == tag || v == "*" || `"`+v+`"` == tag {
				return true
			}
		}
	}
	return false
}

// accepts tells whether a manifest can be sent to a caller. OCI manifests go to those who name
// their type, and no header names none, as in the distribution project; Docker's go to everyone by
// digest; other types have no rule.
func accepts(header []string, mediaType, reference string) bool {
	switch mediaType {
	case store.DockerManifest, store.DockerList:
		if strings.Contains(reference, ":") {
			return true
		}
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex:
	default:
		return true
	}
	for _, line := range header {
		for v := range strings.SplitSeq(line, ",") {
			if t, _, err := mime.ParseMediaType(v); err == nil && (t == mediaType || t == "*/*" || t == "application/*") {
				return true
			}
		}
	}
	return false
}

func notAccepted(mediaType string) string {
	switch mediaType {
	case ocispec.MediaTypeImageManifest:
		return "OCI manifest found, but accept header does not support OCI manifests"
	case ocispec.MediaTypeImageIndex:
		return "OCI index found, but accept header does not support OCI indexes"
	}
	return "manifest is of type " + mediaType + ", but the accept header does not support it"
}

func unknownMessage(rt route) string {
	if strings.Contains(rt.reference, ":") {
		return fmt.Sprintf("manifest %s is not found", rt.reference)
	}
	return fmt.Sprintf("manifest tagged by %q is not found", rt.reference)
}

func unknownReference(rt route) any {
	if strings.Contains(rt.reference, ":") {
		return struct{ Name, Revision string }{rt.name, rt.reference}
	}
	return struct{ Tag string }{rt.reference}
}

func (o *operations) putManifest(w http.ResponseWriter, r *http.Request, rt route) {
	content, err := io.ReadAll(io.LimitReader(r.Body, store.MaxManifest+1))
	if err != nil {
		bodyFailed(w, err)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // a caller who is still sending would not hear the refusal
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(content) > store.MaxManifest {
		badManifest(w)
		return
	}
	push := store.Push{MediaType: mediaType, Content: content, AllowMissing: o.cfg.skipBlobCheck, KeepTags: o.cfg.immutableTags}
	if strings.Contains(rt.reference, ":") {
		push.Digest = digest.Digest(rt.reference)
		if push.Digest.Validate() != nil {
			badDigest(w)
			return
		}
	} else {
		push.Tags = []string{rt.reference}
	}
	m, err := o.store.PutManifest(rt.name, push)
	if err != nil {
		o.refuseManifest(w, rt, err)
		return
	}
	h := w.Header()
	h["Docker-Content-Digest"] = []string{m.Digest.String()}
	h["Location"] = []string{"/v2/" + rt.name + "/manifests/" + m.Digest.String()}
	if m.Subject != "" {
		h["Oci-Subject"] = []string{m.Subject.String()}
	}
	empty(w, http.StatusCreated)
}

func badManifest(w http.ResponseWriter) {
	fail(w, http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid", struct{ Reason object }{})
}

func (o *operations) refuseManifest(w http.ResponseWriter, rt route, err error) {
	var missing *store.MissingError
	switch {
	case errors.As(err, &missing):
		list := make([]apiError, len(missing.Digests))
		for i, d := range missing.Digests {
			list[i] = apiError{Code: "MANIFEST_BLOB_UNKNOWN", Message: "blob unknown to registry", Detail: d}
		}
		replyJSON(w, http.StatusBadRequest, errorBody{Errors: list})
	case errors.Is(err, store.ErrDigestMismatch):
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", digestMismatch, nil)
	case errors.Is(err, store.ErrManifestInvalid):
		badManifest(w)
	default:
		o.refuse(w, rt, err)
	}
}

func (o *operations) deleteManifest(w http.ResponseWriter, _ *http.Request, rt route) {
	if !strings.Contains(rt.reference, ":") {
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "A manifest can only be deleted by digest.", nil)
		return
	}
	err := o.store.DeleteManifest(rt.name, digest.Digest(rt.reference))
	if errors.Is(err, store.ErrRepositoryUnknown) {
		err = store.ErrManifestUnknown
	}
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	empty(w, http.StatusAccepted)
}
