package acrtest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Lives of the registry's tokens, from nbf to exp. nbf and iat lie 15 minutes back, so what is left when a token is issued is 3
// hours, 60 minutes and 5 minutes.
const (
	backDate       = 900 * time.Second
	refreshSpan    = 11700 * time.Second
	accessSpan     = 4500 * time.Second
	anonymousSpan  = 1200 * time.Second
	anonymousReuse = time.Minute // the service answers equal anonymous requests with the same token for a while
)

// maxForm bounds the body of a token request.
const maxForm = 1 << 20

// handleExchange turns an Entra token into a refresh token of the registry.
func (s *Server) handleExchange(w http.ResponseWriter, r *http.Request, x *visit) {
	form, ok := s.readForm(w, r)
	if !ok {
		return
	}
	x.setForm(form)
	grant := form.Get("grant_type")
	if grant != "access_token" && grant != "access_token_refresh_token" {
		s.refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the grant type is not supported")
		return
	}
	if !s.isService(form.Get("service")) {
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	p, problem := s.openEntra(form.Get("access_token"))
	switch {
	case problem != "":
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", problem)
		return
	case s.cfg.noRole:
		s.refuseToken(w, http.StatusForbidden, "DENIED", permissionsFailed)
		return
	}
	x.setCaller(p.id)
	s.replyToken(w, "refresh_token", s.issueRefresh(p))
}

const (
	permissionsFailed = "retrieving permissions failed"
	armDisallowed     = "arm aad token disallowed"
)

// handleToken issues access tokens for the grants of a POST.
func (s *Server) handleToken(w http.ResponseWriter, r *http.Request, x *visit) {
	form, ok := s.readForm(w, r)
	if !ok {
		return
	}
	x.setForm(form)
	if !s.isService(form.Get("service")) {
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	var p *principal
	switch form.Get("grant_type") {
	case "refresh_token":
		p, _ = s.openRefresh(form.Get("refresh_token"))
	case "password":
		p = s.principals[anonymousID]
		if form.Has("username") || form.Has("password") {
			p = s.byPassword(form.Get("username"), form.Get("password"))
		}
	default:
		s.refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the grant type is not supported")
		return
	}
	s.grantToken(w, x, p, form["scope"])
}

// handleTokenBasic issues access tokens for a GET: with a user name and password, or anonymously without.
func (s *Server) handleTokenBasic(w http.ResponseWriter, r *http.Request, x *visit) {
	query := r.URL.Query()
	x.setScope(strings.Join(query["scope"], " "))
	if !s.isService(query.Get("service")) {
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	p := s.principals[anonymousID]
	if r.Header.Get("Authorization") != "" {
		user, password, _ := r.BasicAuth()
		if p = s.byPassword(user, password); user == refreshUser {
			p, _ = s.openRefresh(password)
		}
	}
	s.grantToken(w, x, p, query["scope"])
}

// grantToken answers with a token of what the caller may have of what he asked for; that may be nothing, and is a 200 all the
// same.
func (s *Server) grantToken(w http.ResponseWriter, x *visit, p *principal, scopes []string) {
	if p == nil {
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	x.setCaller(p.id)
	s.replyToken(w, "access_token", s.issueAccess(p, scopes))
}

func (s *Server) issueRefresh(p *principal) string {
	claims := refreshClaims{
		standardClaims: s.claims(p, "refresh_token", refreshSpan),
		Permissions:    permissions{Actions: []string{"read", "write", "delete", "deleted/read", "deleted/restore/action"}},
		Roles:          []string{},
	}
	if s.cfg.abac {
		claims.AADIdentity = p.id
	}
	return s.refreshTokens.sign(claims)
}

func (s *Server) issueAccess(p *principal, scopes []string) string {
	span := accessSpan
	if p.anonymous {
		span = anonymousSpan
		if token, ok := s.anonymousTokens.get(strings.Join(scopes, " "), s.now()); ok {
			return token
		}
	}
	claims := accessClaims{
		standardClaims: s.claims(p, "access_token", span),
		Access:         grant(p.rights, parseScopes(scopes), s.cfg.abac),
		Roles:          []string{},
	}
	token := s.accessTokens.sign(claims)
	if p.anonymous {
		s.anonymousTokens.put(strings.Join(scopes, " "), token, s.now())
	}
	return token
}

func (s *Server) claims(p *principal, grant string, span time.Duration) standardClaims {
	from := s.now().Add(-backDate)
	c := standardClaims{
		ID: newGUID(), Subject: p.id, NotBefore: from.Unix(), Expires: from.Add(span).Unix(), IssuedAt: from.Unix(),
		Issuer: "Azure Container Registry", Audience: s.Host(), Version: "1.0", RID: s.rid, GrantType: grant,
	}
	if p.entra {
		c.AppID = p.user
	}
	return c
}

// isService compares the service parameter with the name of the registry.
func (s *Server) isService(service string) bool { return strings.EqualFold(service, s.Host()) }

// readForm reads a urlencoded body; it answers itself when there is none.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		s.refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the request body must be application/x-www-form-urlencoded")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.refuseToken(w, http.StatusBadRequest, "UNSUPPORTED", "the request body is not a form")
		return nil, false
	}
	return r.PostForm, true
}

// replyToken answers as the token endpoints do: no length, no newline at the end.
func (s *Server) replyToken(w http.ResponseWriter, key, token string) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // without it net/http would count a short body and send its length
	_, _ = w.Write(mustJSON(map[string]string{key: token}))
}

// refuseToken answers with an error of the token endpoints: other than elsewhere it names no charset and ends without a newline.
func (s *Server) refuseToken(w http.ResponseWriter, status int, code, message string) {
	body := mustJSON(errorBody{Errors: []apiError{{Code: code, Message: message}}})
	w.Header().Set("Content-Type", "application/json")
	setLength(w, len(body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}

// tokenCache keeps the anonymous tokens by scope.
type tokenCache struct {
	mu     sync.Mutex
	tokens map[string]cachedToken
}

type cachedToken struct {
	token string
	made  time.Time
}

// maxCachedTokens bounds the cache; past it, it starts anew.
const maxCachedTokens = 1000

func (c *tokenCache) get(scope string, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.tokens[scope]
	age := now.Sub(entry.made)
	return entry.token, ok && age >= 0 && age < anonymousReuse
}

func (c *tokenCache) put(scope, token string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || len(c.tokens) >= maxCachedTokens {
		c.tokens = make(map[string]cachedToken)
	}
	c.tokens[scope] = cachedToken{token: token, made: now}
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = nil
}

// idSet is a set of token ids.
type idSet struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (s *idSet) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func (s *idSet) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = make(map[string]bool)
	}
	s.ids[id] = true
}
