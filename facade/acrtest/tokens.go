package acrtest

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// Lives of the registry's tokens, from nbf to exp. nbf and iat lie 15 minutes back, so what is left
// when a token is issued is 3 hours, 60 minutes and 5 minutes.
const (
	backDate       = 900 * time.Second
	refreshSpan    = 11700 * time.Second
	accessSpan     = 4500 * time.Second
	anonymousSpan  = 1200 * time.Second
	anonymousReuse = time.Minute // the service answers equal anonymous requests with the same token for a while
)

// tokens issues the tokens of the registry and of the Entra authority, and checks those that come
// back.
type tokens struct {
	cfg        *config
	now        func() time.Time
	hosts      hosts
	self       identity
	principals *principals

	entra, refresh, access *jwtSigner
	anonymous              tokenCache
	revoked                idSet
	strangerOnce           sync.Once
}

func newTokens(cfg *config, now func() time.Time, at hosts, self identity, who *principals) *tokens {
	return &tokens{
		cfg: cfg, now: now, hosts: at, self: self, principals: who,
		entra: newJWTSigner(), refresh: newJWTSigner(), access: newJWTSigner(),
	}
}

func (t *tokens) issueRefresh(p *principal) string {
	claims := refreshClaims{
		standardClaims: t.claims(p, "refresh_token", refreshSpan),
		Permissions:    permissions{Actions: []string{"read", "write", "delete", "deleted/read", "deleted/restore/action"}},
		Roles:          []string{},
	}
	if t.cfg.abac {
		claims.AADIdentity = p.id
	}
	return t.refresh.sign(claims)
}

func (t *tokens) issueAccess(p *principal, scopes []string) string {
	span := accessSpan
	if p.anonymous {
		span = anonymousSpan
		if token, ok := t.anonymous.get(strings.Join(scopes, " "), t.now()); ok {
			return token
		}
	}
	claims := accessClaims{
		standardClaims: t.claims(p, "access_token", span),
		Access:         grant(p.rights, parseScopes(scopes), t.cfg.abac),
		Roles:          []string{},
	}
	token := t.access.sign(claims)
	if p.anonymous {
		t.anonymous.put(strings.Join(scopes, " "), token, t.now())
	}
	return token
}

func (t *tokens) claims(p *principal, grant string, span time.Duration) standardClaims {
	from := t.now().Add(-backDate)
	c := standardClaims{
		ID: newGUID(), Subject: p.id, NotBefore: from.Unix(), Expires: from.Add(span).Unix(), IssuedAt: from.Unix(),
		Issuer: "Azure Container Registry", Audience: t.hosts.login, Version: "1.0", RID: t.self.RegistryID, GrantType: grant,
	}
	if p.entra {
		c.AppID = p.user
	}
	return c
}

// openAccess checks an access token.
func (t *tokens) openAccess(token string) (accessClaims, error) {
	var claims accessClaims
	if err := t.access.open(token, &claims); err != nil {
		return accessClaims{}, err
	}
	if !claims.validAt(t.now()) || t.revoked.has(claims.ID) {
		return accessClaims{}, errExpired
	}
	return claims, nil
}

// openRefresh checks a refresh token and gives whose it is.
func (t *tokens) openRefresh(token string) (*principal, error) {
	var claims refreshClaims
	if err := t.refresh.open(token, &claims); err != nil {
		return nil, err
	}
	if !claims.validAt(t.now()) || t.revoked.has(claims.ID) {
		return nil, errExpired
	}
	p := t.principals.byID[claims.Subject]
	if p == nil {
		return nil, errToken
	}
	return p, nil
}

var errExpired = errors.New("acrtest: the token has expired or was revoked")

// RevokeAccessTokens invalidates all access tokens issued so far, as if a role had been removed.
// The next request with one of them is answered with status 401 and error="invalid_token".
func (s *Server) RevokeAccessTokens() {
	s.tokens.access.rotate()
	s.tokens.anonymous.clear()
}

// RevokeRefreshTokens invalidates all refresh tokens issued so far. The next request that exchanges
// one for an access token is answered with status 401.
func (s *Server) RevokeRefreshTokens() { s.tokens.refresh.rotate() }
