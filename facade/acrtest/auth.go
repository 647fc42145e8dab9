package acrtest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// caller is who sent a request: what his credential allows, and why it does not when it does not.
type caller struct {
	id      string // subject; "" when there is no good credential
	kind    CredentialKind
	granted []access
	problem string // the error of the challenge: "", "invalid_token" or "insufficient_scope"
}

// identify reads the credential of a request.
func (s *Server) identify(r *http.Request) caller {
	header := r.Header.Get("Authorization")
	if header == "" {
		return caller{kind: NoCredential}
	}
	scheme, value, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		claims, err := s.openAccess(strings.TrimSpace(value))
		if err != nil {
			return caller{kind: BearerCredential, problem: "invalid_token"}
		}
		return caller{id: claims.Subject, kind: BearerCredential, granted: claims.Access}
	case strings.EqualFold(scheme, "Basic"):
		user, password, _ := r.BasicAuth()
		p := s.byPassword(user, password)
		if user == refreshUser {
			p, _ = s.openRefresh(password)
		}
		if p == nil {
			return caller{kind: BasicCredential}
		}
		return caller{id: p.id, kind: BasicCredential, granted: p.rights}
	}
	return caller{kind: OtherCredential}
}

// admit tells whether the caller may do what is needed, and answers with the challenge if he may not. It comes before anything is
// looked up, so that what exists cannot be told from what does not.
func (s *Server) admit(w http.ResponseWriter, c caller, needed []access) bool {
	if c.id != "" && covers(c.granted, needed) {
		return true
	}
	if c.id != "" {
		c.problem = "insufficient_scope"
	}
	s.challenge(w, needed, c.problem)
	return false
}

const needCredential = "authentication required, visit https://aka.ms/acr/authorization for more information."

// challengeEntry is the detail of a refused request.
type challengeEntry struct {
	Type   string
	Name   string
	Action string
}

func (s *Server) challenge(w http.ResponseWriter, needed []access, problem string) {
	var b strings.Builder
	b.WriteString(`Bearer realm="` + s.Endpoint() + `/oauth2/token",service="` + s.Host() + `"`)
	if len(needed) > 0 {
		b.WriteString(`,scope="` + scopeText(needed) + `"`)
	}
	if problem != "" {
		b.WriteString(`,error="` + problem + `"`)
	}
	// The key is spelled as on the wire; net/http would write Www-Authenticate.
	w.Header()["WWW-Authenticate"] = []string{b.String()}
	var detail any
	var entries []challengeEntry
	for _, scope := range needed {
		for _, action := range slices.Sorted(slices.Values(scope.Actions)) {
			entries = append(entries, challengeEntry{Type: scope.Type, Name: scope.Name, Action: action})
		}
	}
	if entries != nil {
		detail = entries
	}
	s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential, detail)
}

// openAccess checks an access token.
func (s *Server) openAccess(token string) (accessClaims, error) {
	var claims accessClaims
	if err := s.accessTokens.open(token, &claims); err != nil {
		return accessClaims{}, err
	}
	if !claims.validAt(s.now()) || s.revoked.has(claims.ID) {
		return accessClaims{}, errExpired
	}
	return claims, nil
}

// openRefresh checks a refresh token and gives whose it is.
func (s *Server) openRefresh(token string) (*principal, error) {
	var claims refreshClaims
	if err := s.refreshTokens.open(token, &claims); err != nil {
		return nil, err
	}
	if !claims.validAt(s.now()) || s.revoked.has(claims.ID) {
		return nil, errExpired
	}
	p := s.principals[claims.Subject]
	if p == nil {
		return nil, errToken
	}
	return p, nil
}

var errExpired = errors.New("acrtest: the token is expired or revoked")

// RevokeAccessTokens makes every access token issued so far worthless, as when a role is taken away: the next call with one is
// a 401 with error="invalid_token".
func (s *Server) RevokeAccessTokens() {
	s.accessTokens.rotate()
	s.anonymousTokens.clear()
}

// RevokeRefreshTokens makes every refresh token issued so far worthless: the next request for an access token with one is a 401.
func (s *Server) RevokeRefreshTokens() { s.refreshTokens.rotate() }

// standardClaims are those of every token of the registry.
type standardClaims struct {
	ID        string `json:"jti"`
	Subject   string `json:"sub"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Version   string `json:"version"`
	RID       string `json:"rid"`
	GrantType string `json:"grant_type"`
	AppID     string `json:"appid"`
}

func (c standardClaims) validAt(now time.Time) bool {
	t := now.Unix()
	return c.NotBefore <= t && t < c.Expires
}

type refreshClaims struct {
	standardClaims

	AADIdentity string      `json:"aad_identity,omitempty"`
	Permissions permissions `json:"permissions"`
	Roles       []string    `json:"roles"`
}

type permissions struct {
	Actions    []string `json:"Actions"`
	NotActions []string `json:"NotActions"`
}

type accessClaims struct {
	standardClaims

	Access []access `json:"access"`
	Roles  []string `json:"roles"`
}
