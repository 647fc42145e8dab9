package acrtest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// player does to requests what the fault script says.
type player struct {
	script     *script
	tokens     *tokens
	gatekeeper *gatekeeper
	complain   func(string)
}

// answer does the operation, with what the script makes of it.
func (p *player) answer(w http.ResponseWriter, r *http.Request, x *visit, handle http.HandlerFunc) {
	plan := p.script.match(x.op(), r)
	if plan == nil {
		handle(w, r)
		return
	}
	x.update(func(e *Request) { e.Fault = plan.text() })
	x.reply.plan = plan
	x.body.plan = plan
	if plan.acceptOnly >= 0 && r.ContentLength > plan.acceptOnly {
		r.ContentLength = plan.acceptOnly
	}
	if plan.ignoreRange {
		r.Header = r.Header.Clone()
		r.Header.Del("Range")
	}
	p.play(plan, w, r, x, handle)
}

func (p *player) play(plan *plan, w http.ResponseWriter, r *http.Request, x *visit, handle http.HandlerFunc) {
	if plan.status == 0 && (plan.contentType != "" || plan.early) {
		p.complain("acrtest: On(" + x.op() + "): Code, Body and Early need a Status on the same line")
	}
	if plan.delay > 0 && !x.wait(plan.delay) {
		panic(http.ErrAbortHandler)
	}
	for range plan.informational {
		w.WriteHeader(plan.informationalCode)
	}
	switch {
	case plan.stall:
		x.hang(r.Context())
		panic(http.ErrAbortHandler)
	case plan.raw != nil:
		x.rawReply(w, plan.raw)
	case plan.revoke:
		p.revoke(w, r, x)
	case plan.lag:
		code, message := lagError(x.op())
		fail(w, http.StatusNotFound, code, message, nil)
	case plan.status != 0:
		p.scripted(plan, w, r)
	case plan.do != nil:
		plan.do(w, r, handle)
	default:
		handle(w, r)
	}
}

// scripted answers with a status of the script.
func (p *player) scripted(plan *plan, w http.ResponseWriter, r *http.Request) {
	if !plan.early {
		_, _ = io.Copy(io.Discard, r.Body) // a caller that is gone is answered all the same
	}
	body, contentType := plan.body, plan.contentType
	if contentType == "" {
		contentType = "application/json; charset=utf-8"
		body = encodeJSON(errorBody{Errors: []apiError{scriptedError(plan.status)}})
		if strings.HasPrefix(r.URL.Path, "/oauth2/") { // see refuseToken
			contentType, body = "application/json", bytes.TrimSuffix(body, []byte("\n"))
		}
	}
	if plan.status == http.StatusNoContent || plan.status == http.StatusNotModified || plan.status < http.StatusOK {
		w.WriteHeader(plan.status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	setLength(w, len(body))
	w.WriteHeader(plan.status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}

// scriptedError is the error that usually goes with a status.
func scriptedError(status int) apiError {
	switch status {
	case http.StatusUnauthorized:
		return apiError{Code: "UNAUTHORIZED", Message: needCredential}
	case http.StatusForbidden:
		return apiError{Code: "DENIED", Message: "requested access to the resource is denied"}
	case http.StatusMethodNotAllowed:
		return apiError{Code: "REGISTRY_DISALLOWED_OPERATION", Message: "The operation is disallowed on this registry, repository or image."}
	case http.StatusTooManyRequests:
		return apiError{Code: "TOOMANYREQUESTS", Message: throttled}
	case http.StatusServiceUnavailable:
		return apiError{Code: "UNAVAILABLE", Message: "service unavailable"}
	}
	return apiError{Code: "UNKNOWN", Message: "unknown error"}
}

// lagError is what an operation says of an object that is not there.
func lagError(op string) (code, message string) {
	switch op {
	case "GetManifest", "HeadManifest", "DeleteManifest", "GetManifestProperties", "UpdateManifestAttributes", "ListReferrers":
		return "MANIFEST_UNKNOWN", "manifest unknown"
	case "PutManifest":
		return "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"
	case "GetBlob", "HeadBlob", "DeleteBlob", opBlobContent:
		return "BLOB_UNKNOWN", "blob unknown to registry"
	case "StartUpload", "GetUploadStatus", "UploadChunk", "CompleteUpload", "CancelUpload":
		return "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"
	case "GetTagProperties", "UpdateTagAttributes", "DeleteTag":
		return "TAG_UNKNOWN", "the specified tag does not exist"
	}
	return "NAME_UNKNOWN", "repository name not known to registry"
}

// revoke refuses the credential of a request for good.
func (p *player) revoke(w http.ResponseWriter, r *http.Request, x *visit) {
	var claims standardClaims
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		if r.Method == http.MethodGet {
			refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
			return
		}
		form, ok := readForm(w, r)
		if !ok {
			return
		}
		x.setForm(form)
		if readClaims(form.Get("refresh_token"), &claims) == nil {
			p.tokens.revoked.add(claims.ID)
		}
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && readClaims(token, &claims) == nil {
		p.tokens.revoked.add(claims.ID)
		p.tokens.anonymous.clear()
	}
	rt, _ := findRoute(r.URL.Path)
	rt.op = x.op()
	w.Header().Del("X-Ms-Request-Id")
	w.Header().Del("X-Ms-Client-Request-Id")
	p.gatekeeper.challenge(w, r, scopeOf(rt, r), "invalid_token")
}
