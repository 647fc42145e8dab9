package acrtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// uploadState is what the _state of a location says. A client is not to look into it, but some do,
// so it is spelled as the service's is.
type uploadState struct {
	Name      string
	UUID      string
	Offset    int64
	StartedAt time.Time
}

// encode gives the _state: a MAC and the JSON that it is of, together in base64.
func (g sealer) encode(u uploadState) string {
	text, err := json.Marshal(u)
	if err != nil {
		return "" // years beyond 9999 alone cannot be written
	}
	return base64.URLEncoding.EncodeToString(append(g.sign(string(text)), text...))
}

func (g sealer) decode(state string) (u uploadState, ok bool) {
	raw, err := base64.URLEncoding.DecodeString(state)
	if err != nil || len(raw) < sha256.Size {
		return u, false
	}
	text := raw[sha256.Size:]
	if !hmac.Equal(raw[:sha256.Size], g.sign(string(text))) {
		return u, false
	}
	return u, json.Unmarshal(text, &u) == nil
}

// location tells the caller how far the session is and where it goes on. From then on the session's
// earlier locations are stale.
func (o *operations) setLocation(w http.ResponseWriter, u *store.Upload) {
	u.Acknowledge()
	started := u.Started
	if u.Offset() > 0 {
		// The service reads the time back from a file that holds whole seconds.
		started = started.Truncate(time.Second)
	}
	state := o.seals.encode(uploadState{u.Repository, u.ID, u.Offset(), started})
	h := w.Header()
	h["Location"] = []string{"/v2/" + u.Repository + "/blobs/uploads/" + u.ID + "?_nouploadcache=false&_state=" + url.QueryEscape(state)}
	h["Range"] = []string{"0-" + strconv.FormatInt(max(0, u.Offset()-1), 10)}
	h["Docker-Upload-Uuid"] = []string{u.ID}
}

// session finds the session that a request is for and waits for its turn; it has answered when it
// returns false, and otherwise the caller releases the session.
//
// A location is good until the caller has been told the next one. A request that broke off told
// nothing, so its location is good still: it can be asked how much arrived, and the session goes on
// from there. With any other location the session is lost.
func (o *operations) findSession(w http.ResponseWriter, r *http.Request, rt route) (u *store.Upload, state uploadState, ok bool) {
	u, err := o.store.Upload(rt.name, rt.uuid)
	if err != nil {
		o.refuse(w, rt, err)
		return nil, state, false
	}
	state, ok = o.seals.decode(r.URL.Query().Get("_state"))
	if !ok || state.Name != rt.name || state.UUID != rt.uuid {
		staleLocation(w)
		return nil, state, false
	}
	if err := u.Acquire(r.Context(), hangUp(w)); err != nil {
		o.refuse(w, rt, err)
		return nil, state, false
	}
	if state.Offset == u.Offset() || state.Offset == u.Acknowledged() || u.Acknowledged() < 0 && state.Offset < u.Offset() {
		return u, state, true
	}
	u.Cancel()
	u.Release()
	staleLocation(w)
	return nil, state, false
}

func staleLocation(w http.ResponseWriter) {
	fail(w, http.StatusNotFound, "BLOB_UPLOAD_INVALID", "blob upload invalid", nil)
}
