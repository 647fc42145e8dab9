package acrtest

import "time"

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
