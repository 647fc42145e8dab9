package acrtest

import (
	"errors"
	"html"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// getBlob sends the caller to storage. The registry itself does not look at a Range, whichever way
// it answers.
func (o *operations) getBlob(w http.ResponseWriter, r *http.Request, rt route) {
	b, ok := o.findBlob(w, rt)
	if !ok {
		return
	}
	h := w.Header()
	h["Docker-Content-Digest"] = []string{b.Digest.String()}
	if o.cfg.inlineBlobs {
		o.sendBlob(w, b)
		return
	}
	location := o.storage.sign(b.Digest)
	body := `<a href="` + html.EscapeString(location) + `">Temporary Redirect</a>.` + "\n\n"
	h["Location"] = []string{location}
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	setLength(w, len(body))
	w.WriteHeader(http.StatusTemporaryRedirect)
	_, _ = w.Write([]byte(body)) // the caller may be gone; nobody is left to tell
}

func (o *operations) sendBlob(w http.ResponseWriter, b store.Blob) {
	content, err := b.Open()
	if err != nil {
		o.refuse(w, route{op: "GetBlob"}, err)
		return
	}
	defer func() { _ = content.Close() }() // it was only read
	blobHeaders(w, b.Size)
	w.WriteHeader(http.StatusOK)
	_ = content.WriteRange(w, 0, b.Size) // the caller may be gone; nobody is left to tell
}

func blobHeaders(w http.ResponseWriter, size int64) {
	w.Header()["Content-Type"] = []string{"application/octet-stream"}
	w.Header()["Content-Length"] = []string{strconv.FormatInt(size, 10)}
}

// headBlob answers from the registry itself, without storage.
func (o *operations) headBlob(w http.ResponseWriter, _ *http.Request, rt route) {
	b, ok := o.findBlob(w, rt)
	if !ok {
		return
	}
	w.Header()["Docker-Content-Digest"] = []string{b.Digest.String()}
	blobHeaders(w, b.Size)
	w.WriteHeader(http.StatusOK)
}

// blob looks the route's blob up; it has answered when it returns false.
func (o *operations) findBlob(w http.ResponseWriter, rt route) (store.Blob, bool) {
	d := digest.Digest(rt.reference)
	if d.Validate() != nil {
		badDigest(w)
		return store.Blob{}, false
	}
	b, err := o.store.Blob(rt.name, d)
	if errors.Is(err, store.ErrBlobUnknown) {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", d)
		return store.Blob{}, false
	}
	if err != nil {
		o.refuse(w, rt, err)
		return store.Blob{}, false
	}
	return b, true
}

func (o *operations) deleteBlob(w http.ResponseWriter, _ *http.Request, rt route) {
	if err := o.store.DeleteBlob(rt.name, digest.Digest(rt.reference)); err != nil {
		o.refuse(w, rt, err)
		return
	}
	empty(w, http.StatusAccepted)
}
