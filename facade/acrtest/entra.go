package acrtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// entra serves the Entra tenant of the service principal.
type entra struct {
	tokens *tokens
	player *player
}

// serve is the Entra tenant: its metadata, and the client-credentials grant.
func (e *entra) serve(w http.ResponseWriter, r *http.Request, x *visit) {
	h := w.Header()
	h["Date"] = []string{e.tokens.now().UTC().Format(http.TimeFormat)}
	h["Cache-Control"] = []string{"no-store, no-cache"}
	h["Strict-Transport-Security"] = []string{transportSecurity}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Ms-Request-Id"] = []string{newGUID()}
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(rest, ".well-known/openid-configuration"):
		x.setOp("OpenIDConfiguration")
	case r.Method == http.MethodPost && (rest == "oauth2/v2.0/token" || rest == "oauth2/token"):
		x.setOp("EntraToken")
	default:
		notFound(w)
		return
	}
	e.player.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		if tenant != e.tokens.self.Tenant {
			e.refuse(w, http.StatusBadRequest, "invalid_tenant", "AADSTS90002: Tenant not found.")
			return
		}
		if r.Method == http.MethodGet {
			e.openIDConfiguration(w)
			return
		}
		e.clientCredentials(w, r, x)
	})
}

func (e *entra) openIDConfiguration(w http.ResponseWriter) {
	base := e.tokens.hosts.authorityURL() + "/" + e.tokens.self.Tenant
	replyEntra(w, http.StatusOK, map[string]any{
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"token_endpoint":                        base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_types_supported":              []string{"code", "id_token", "token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"tenant_region_scope":                   nil,
	})
}

func (e *entra) clientCredentials(w http.ResponseWriter, r *http.Request, x *visit) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		e.refuse(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: The request body is not a form.")
		return
	}
	form := r.PostForm
	x.setForm(form)
	if form.Get("grant_type") != "client_credentials" {
		e.refuse(w, http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
		return
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		// OAuth 2.0 (RFC 6749 section 2.3.1) has both parts form-encoded.
		id, secret = formDecoded(user), formDecoded(password)
	}
	if p := e.tokens.principals.byPassword(id, secret); p == nil || !p.entra {
		e.refuse(w, http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
		return
	}
	x.setCaller(e.tokens.principals.client.id)
	audience := form.Get("resource")
	for scope := range strings.FieldsSeq(form.Get("scope")) {
		if resource, ok := strings.CutSuffix(scope, "/.default"); ok {
			audience = resource
		}
	}
	if audience == "" {
		e.refuse(w, http.StatusBadRequest, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
		return
	}
	token, _ := e.tokens.issueEntra(audience)
	seconds := int(entraLife / time.Second)
	replyEntra(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	})
}

func formDecoded(s string) string {
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	return s
}

func (e *entra) refuse(w http.ResponseWriter, status int, code, message string) {
	replyEntra(w, status, map[string]any{
		"error": code, "error_description": message, "timestamp": e.tokens.now().UTC().Format("2006-01-02 15:04:05Z"),
		"trace_id": newGUID(), "correlation_id": newGUID(),
	})
}

func replyEntra(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		body = []byte("{}") // only maps of strings and numbers come here
	}
	writeJSON(w, status, body)
}
