package acrtest

import (
	"net/http"
	"net/url"
	"strings"
)

// oauth serves the token endpoints under /oauth2.
type oauth struct{ tokens *tokens }

// maxForm bounds the body of a token request.
const maxForm = 1 << 20

// exchange turns an Entra token into a refresh token of the registry.
func (o *oauth) exchange(w http.ResponseWriter, r *http.Request, x *visit) {
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	x.setForm(form)
	grant := form.Get("grant_type")
	if grant != "access_token" && grant != "access_token_refresh_token" {
		refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the grant type is not supported")
		return
	}
	if !o.isService(form.Get("service")) {
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	p, problem := o.tokens.openEntra(form.Get("access_token"))
	switch {
	case problem != "":
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", problem)
		return
	case o.tokens.cfg.noRole:
		refuseToken(w, http.StatusForbidden, "DENIED", permissionsFailed)
		return
	}
	x.setCaller(p.id)
	replyToken(w, "refresh_token", o.tokens.issueRefresh(p))
}

const (
	permissionsFailed = "retrieving permissions failed"
	armDisallowed     = "arm aad token disallowed"
)

// token issues access tokens for the grants of a POST.
func (o *oauth) token(w http.ResponseWriter, r *http.Request, x *visit) {
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	x.setForm(form)
	if !o.isService(form.Get("service")) {
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	var p *principal
	switch form.Get("grant_type") {
	case "refresh_token":
		p, _ = o.tokens.openRefresh(form.Get("refresh_token"))
	case "password":
		if form.Get("scope") == "" {
			empty(w, http.StatusBadRequest)
			return
		}
		p = o.tokens.principals.byID[anonymousID]
		if form.Has("username") || form.Has("password") {
			p = o.tokens.principals.byPassword(form.Get("username"), form.Get("password"))
		}
	default:
		refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the grant type is not supported")
		return
	}
	o.grant(w, x, p, form["scope"])
}

// tokenBasic issues access tokens for a GET: with a user name and password, or anonymously without.
func (o *oauth) tokenBasic(w http.ResponseWriter, r *http.Request, x *visit) {
	query := r.URL.Query()
	x.setScope(strings.Join(query["scope"], " "))
	if !o.isService(query.Get("service")) {
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	p := o.tokens.principals.byID[anonymousID]
	if r.Header.Get("Authorization") != "" {
		user, password, _ := r.BasicAuth()
		if p = o.tokens.principals.byPassword(user, password); user == refreshUser {
			p, _ = o.tokens.openRefresh(password)
		}
	}
	o.grant(w, x, p, query["scope"])
}

// grant answers with a token of what the caller may have of what he asked for; that may be nothing,
// and is a 200 all the same.
func (o *oauth) grant(w http.ResponseWriter, x *visit, p *principal, scopes []string) {
	if p == nil {
		refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	x.setCaller(p.id)
	replyToken(w, "access_token", o.tokens.issueAccess(p, scopes))
}

// isService compares the service parameter with the name of the registry.
func (o *oauth) isService(service string) bool {
	return o.tokens.hosts.isLogin(service)
}

// readForm reads a urlencoded body; it answers itself when there is none.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the request body must be application/x-www-form-urlencoded")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the request body is not a form")
		return nil, false
	}
	return r.PostForm, true
}

// replyToken answers as the token endpoints do: no length, no newline at the end.
func replyToken(w http.ResponseWriter, key, token string) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // without it net/http would count a short body and send its length
	_, _ = w.Write(mustJSON(map[string]string{key: token}))
}

// refuseToken answers with an error of the token endpoints: other than elsewhere it names no
// charset and ends without a newline.
func refuseToken(w http.ResponseWriter, status int, code, message string) {
	body := mustJSON(errorBody{Errors: []apiError{{Code: code, Message: message}}})
	w.Header().Set("Content-Type", "application/json")
	setLength(w, len(body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}
