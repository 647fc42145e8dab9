package acrtest

import (
	"strings"
	"time"
)

// The audiences that an Entra token may be for: the registry's own, and those of Azure Resource
// Manager in the clouds.
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

func (t *tokens) issueEntra(audience string) (string, time.Time) {
	now := t.now()
	expires := now.Add(entraLife)
	return t.entra.sign(entraClaims{
		Audience: audience, Issuer: t.hosts.authorityURL() + "/" + t.self.Tenant + "/", IssuedAt: now.Unix(), NotBefore: now.Unix() - 300,
		Expires: expires.Unix(), AppID: t.principals.client.user, ObjectID: t.principals.client.id, Subject: t.principals.client.id, Tenant: t.self.Tenant, Version: "1.0",
	}), expires
}

// openEntra checks an Entra token; the second result says why it is refused, in the registry's
// words.
func (t *tokens) openEntra(token string) (*principal, string) {
	var claims entraClaims
	if t.entra.open(token, &claims) != nil {
		t.warnOfStranger(token)
		return nil, permissionsFailed
	}
	now := t.now().Unix()
	audience := strings.TrimSuffix(claims.Audience, "/")
	switch {
	case claims.NotBefore > now || claims.Expires <= now:
		return nil, permissionsFailed
	case armAudiences[audience]:
		if !t.cfg.armAudience {
			return nil, armDisallowed
		}
	case audience != acrAudience:
		return nil, permissionsFailed
	}
	p := t.principals.byID[claims.Subject]
	if p == nil {
		return nil, permissionsFailed
	}
	return p, ""
}

// warnOfStranger says once that somebody sent what looks like a token of the real Entra. It is
// neither kept nor logged.
func (t *tokens) warnOfStranger(token string) {
	var claims entraClaims
	if readClaims(token, &claims) != nil || claims.Issuer == "" || strings.HasPrefix(claims.Issuer, t.hosts.authorityURL()) {
		return
	}
	t.strangerOnce.Do(func() {
		t.cfg.logger.Warn("rejected a token that this emulator did not issue; it may be a real credential, sent by a client that is configured for another registry")
	})
}
