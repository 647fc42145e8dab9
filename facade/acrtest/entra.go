package acrtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The audiences that an Entra token may be for: the registry's own, and those of Azure Resource Manager in the clouds.
const acrAudience = "https://containerregistry.azure.net"

var armAudiences = map[string]bool{
	"https://management.azure.com":              true,
	"https://management.core.windows.net":       true,
	"https://management.chinacloudapi.cn":       true,
	"https://management.core.chinacloudapi.cn":  true,
	"https://management.usgovcloudapi.net":      true,
	"https://management.core.usgovcloudapi.net": true,
	"https://management.microsoftazure.de":      true,
}

// entraLife is that of tokens for applications, which the service gives for a day.
const entraLife = 24 * time.Hour

// entraClaims are the claims of an Entra token that the registry reads.
type entraClaims struct {
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	AppID     string `json:"appid"`
	ObjectID  string `json:"oid"`
	Subject   string `json:"sub"`
	Tenant    string `json:"tid"`
	Version   string `json:"ver"`
}

func (s *Server) issueEntra(audience string) (string, time.Time) {
	now := s.now()
	expires := now.Add(entraLife)
	return s.entraTokens.sign(entraClaims{
		Audience: audience, Issuer: s.Authority() + "/" + s.tenant + "/", IssuedAt: now.Unix(), NotBefore: now.Unix() - 300,
		Expires: expires.Unix(), AppID: s.client.user, ObjectID: s.client.id, Subject: s.client.id, Tenant: s.tenant, Version: "1.0",
	}), expires
}

// openEntra checks an Entra token; the second result says why it is refused, in the registry's words.
func (s *Server) openEntra(token string) (*principal, string) {
	var claims entraClaims
	if s.entraTokens.open(token, &claims) != nil {
		s.warnOfStranger(token)
		return nil, permissionsFailed
	}
	now := s.now().Unix()
	audience := strings.TrimSuffix(claims.Audience, "/")
	switch {
	case claims.NotBefore > now || claims.Expires <= now:
		return nil, permissionsFailed
	case armAudiences[audience]:
		if !s.cfg.armAudience {
			return nil, armDisallowed
		}
	case audience != acrAudience:
		return nil, permissionsFailed
	}
	p := s.principals[claims.Subject]
	if p == nil {
		return nil, permissionsFailed
	}
	return p, ""
}

// warnOfStranger says once that somebody sent what looks like a token of the real Entra. It is neither kept nor logged.
func (s *Server) warnOfStranger(token string) {
	var claims entraClaims
	if readClaims(token, &claims) != nil || claims.Issuer == "" || strings.HasPrefix(claims.Issuer, s.Authority()) {
		return
	}
	s.strangerOnce.Do(func() {
		s.cfg.logger.Warn("a token that is not of this emulator was sent to it and refused; it may be a real credential, and the client that sent it is set up for another registry")
	})
}

// serveAuthority is the Entra tenant: its metadata, and the client-credentials grant.
func (s *Server) serveAuthority(w http.ResponseWriter, r *http.Request, x *visit) {
	h := w.Header()
	h["Date"] = []string{s.now().UTC().Format(http.TimeFormat)}
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
	s.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		if tenant != s.tenant {
			s.refuseEntra(w, http.StatusBadRequest, "invalid_tenant", "AADSTS90002: Tenant not found.")
			return
		}
		if r.Method == http.MethodGet {
			s.openIDConfiguration(w)
			return
		}
		s.clientCredentials(w, r, x)
	})
}

func (s *Server) openIDConfiguration(w http.ResponseWriter) {
	base := s.Authority() + "/" + s.tenant
	s.replyEntra(w, http.StatusOK, map[string]any{
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

func (s *Server) clientCredentials(w http.ResponseWriter, r *http.Request, x *visit) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.refuseEntra(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: The request body is not a form.")
		return
	}
	form := r.PostForm
	x.setForm(form)
	if form.Get("grant_type") != "client_credentials" {
		s.refuseEntra(w, http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
		return
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		// OAuth 2.0 (RFC 6749 section 2.3.1) has both parts form-encoded.
		id, secret = formDecoded(user), formDecoded(password)
	}
	if p := s.byPassword(id, secret); p == nil || !p.entra {
		s.refuseEntra(w, http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
		return
	}
	x.setCaller(s.client.id)
	audience := form.Get("resource")
	for scope := range strings.FieldsSeq(form.Get("scope")) {
		if resource, ok := strings.CutSuffix(scope, "/.default"); ok {
			audience = resource
		}
	}
	if audience == "" {
		s.refuseEntra(w, http.StatusBadRequest, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
		return
	}
	token, _ := s.issueEntra(audience)
	seconds := int(entraLife / time.Second)
	s.replyEntra(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	})
}

func formDecoded(s string) string {
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	return s
}

func (s *Server) refuseEntra(w http.ResponseWriter, status int, code, message string) {
	s.replyEntra(w, status, map[string]any{
		"error": code, "error_description": message, "timestamp": s.now().UTC().Format("2006-01-02 15:04:05Z"),
		"trace_id": newGUID(), "correlation_id": newGUID(),
	})
}

func (s *Server) replyEntra(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		body = []byte("{}") // only maps of strings and numbers come here
	}
	writeJSON(w, status, body)
}
