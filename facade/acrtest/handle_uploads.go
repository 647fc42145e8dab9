package acrtest

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// startUpload opens a session, or mounts a blob, or takes a whole blob in one request.
func (o *operations) startUpload(w http.ResponseWriter, r *http.Request, rt route) {
	if err := o.store.Writable(rt.name); err != nil {
		o.refuse(w, rt, err)
		return
	}
	q := r.URL.Query()
	if d := digest.Digest(q.Get("mount")); d.Validate() == nil && q.Get("from") != "" {
		if b, err := o.store.MountBlob(rt.name, q.Get("from"), d); err == nil {
			o.replyCreated(w, b)
			return
		}
		// What cannot be mounted can be uploaded.
	}
	single := q.Get("digest") != ""
	want := digest.Digest(q.Get("digest"))
	if single && want.Validate() != nil {
		badDigest(w)
		return
	}
	u, err := o.store.StartUpload(rt.name)
	if err == nil {
		err = u.Acquire(r.Context(), hangUp(w))
	}
	if err != nil {
		o.refuse(w, rt, err)
		return
	}
	defer u.Release()
	if !single {
		o.setLocation(w, u)
		empty(w, http.StatusAccepted)
		return
	}
	if !o.appendBody(w, r, rt, u) {
		u.Cancel() // nobody knows its location
		return
	}
	o.commit(w, rt, u, want)
}

func (o *operations) getUploadStatus(w http.ResponseWriter, r *http.Request, rt route) {
	u, _, ok := o.findSession(w, r, rt)
	if !ok {
		return
	}
	defer u.Release()
	o.setLocation(w, u)
	empty(w, http.StatusNoContent)
}

func (o *operations) uploadChunk(w http.ResponseWriter, r *http.Request, rt route) {
	u, state, ok := o.findSession(w, r, rt)
	if !ok {
		return
	}
	defer u.Release()
	if !o.inOrder(w, r, u, state) || !o.appendBody(w, r, rt, u) {
		return
	}
	o.setLocation(w, u)
	empty(w, http.StatusAccepted)
}

func (o *operations) completeUpload(w http.ResponseWriter, r *http.Request, rt route) {
	u, state, ok := o.findSession(w, r, rt)
	if !ok {
		return
	}
	defer u.Release()
	want := digest.Digest(r.URL.Query().Get("digest"))
	if want.Validate() != nil {
		badDigest(w) // the session stays
		return
	}
	if !o.inOrder(w, r, u, state) || !o.appendBody(w, r, rt, u) {
		return
	}
	if err := o.store.Writable(rt.name); err != nil {
		o.refuse(w, rt, err)
		return
	}
	o.commit(w, rt, u, want)
}

func (o *operations) cancelUpload(w http.ResponseWriter, r *http.Request, rt route) {
	u, _, ok := o.findSession(w, r, rt)
	if !ok {
		return
	}
	defer u.Release()
	u.Cancel()
	w.Header()["Docker-Upload-Uuid"] = []string{u.ID}
	empty(w, http.StatusNoContent)
}

// commit ends a session with its blob.
func (o *operations) commit(w http.ResponseWriter, rt route, u *store.Upload, want digest.Digest) {
	b, err := u.Commit(want)
	switch {
	case errors.Is(err, store.ErrDigestMismatch):
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", digestMismatch, nil)
	case err != nil:
		o.refuse(w, rt, err)
	default:
		o.replyCreated(w, b)
	}
}

func (o *operations) replyCreated(w http.ResponseWriter, b store.Blob) {
	h := w.Header()
	h["Location"] = []string{"/v2/" + b.Repository + "/blobs/" + b.Digest.String()}
	h["Docker-Content-Digest"] = []string{b.Digest.String()}
	empty(w, http.StatusCreated)
}

// inOrder checks the Content-Range of a chunk, if it has one; it has answered when it returns
// false. The service takes a bare "A-B" only. Where it is missing, the chunk goes where its
// location says, so that must be the end.
func (o *operations) inOrder(w http.ResponseWriter, r *http.Request, u *store.Upload, state uploadState) bool {
	header := r.Header.Get("Content-Range")
	if header == "" {
		if state.Offset != u.Offset() && r.ContentLength != 0 {
			u.Cancel()
			staleLocation(w)
			return false
		}
		return true
	}
	first, last, ok := bareRange(header)
	if !ok {
		fail(w, http.StatusBadRequest, "RANGE_INVALID", "invalid content range",
			struct{ Range, Reason string }{header, "the Content-Range header format is invalid"})
		return false
	}
	if first != u.Offset() {
		// By the distribution specification; what the service does is not known. The session stays,
		// and says where it is.
		o.setLocation(w, u)
		fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "invalid content range", nil)
		return false
	}
	if r.ContentLength >= 0 && r.ContentLength != last-first+1 && !shortened(r) {
		fail(w, http.StatusBadRequest, "SIZE_INVALID", "provided length did not match content length", nil)
		return false
	}
	return true
}

// shortened tells whether a fault lets in only a part of the body, and says so in its length: the
// chunk itself is well-formed.
func shortened(r *http.Request) bool {
	body, ok := r.Body.(*requestBody)
	return ok && body.plan != nil && body.plan.acceptOnly >= 0
}

func bareRange(header string) (first, last int64, ok bool) {
	a, b, ok := strings.Cut(header, "-")
	x, errX := strconv.ParseUint(a, 10, 63)
	y, errY := strconv.ParseUint(b, 10, 63)
	return int64(x), int64(y), ok && errX == nil && errY == nil && x <= y
}

// take reads the request's body into the session; it has answered when it returns false. What
// arrived before the body broke off stays in the session.
func (o *operations) appendBody(w http.ResponseWriter, r *http.Request, rt route, u *store.Upload) bool {
	_, err := u.Append(r.Body)
	switch {
	case err == nil:
		return true
	case errors.As(err, new(*fs.PathError)): // of the directory: a body has no path
		o.refuse(w, rt, err)
	default:
		bodyFailed(w, err)
	}
	return false
}

// hangUp ends the reading of a request's body.
func hangUp(w http.ResponseWriter) func() {
	rc := http.NewResponseController(w)
	return func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) } // where there are no deadlines the wait goes on
}

// requestTooLarge is what the front end says to a body over its limit.
const requestTooLarge = "413 Request Entity Too Large - AzureContainerRegistry\n"

// bodyFailed answers when a request's body could not be taken in. Mostly nobody hears it, for the
// connection is gone.
func bodyFailed(w http.ResponseWriter, err error) {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		plain(w, http.StatusRequestEntityTooLarge, requestTooLarge)
		return
	}
	w.Header()["Connection"] = []string{"close"}
	fail(w, http.StatusBadRequest, "CONTENT_LEN_INVALID", "the request body ended before its length", nil)
}
