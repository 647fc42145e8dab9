package auth

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

const (
	// maxToken bounds what is taken for a token.
	maxToken = 48 << 10
	// unknownLife is the life of a token that does not say: as long as the shortest-lived tokens of ACR.
	unknownLife = 5 * time.Minute
	// maxLife is what is believed at most.
	maxLife = 24 * time.Hour
)

// claims are what is read of a token. Nothing is decided by them that the registry does not decide again; they are not verified, for that is the registry's business.
type claims struct {
	exp     time.Time // zero: unknown
	granted *scopeSet // nil: unknown
	abac    bool      // an identity that is granted rights by repository
}

// readClaims reads what can be read of a token. It never fails: an opaque token has no claims.
func readClaims(token string) claims {
	var out claims
	payload, ok := payloadOf(token)
	if !ok {
		return out
	}
	var raw struct {
		Exp         json.RawMessage `json:"exp"`
		Access      json.RawMessage `json:"access"`
		AADIdentity json.RawMessage `json:"aad_identity"`
	}
	if json.Unmarshal(payload, &raw) != nil {
		return out
	}
	// exp is a NumericDate, seconds with or without a fraction (RFC 7519 section 2); some issuers quote it.
	if f, err := strconv.ParseFloat(strings.Trim(string(raw.Exp), `"`), 64); err == nil && f > 0 && f < 1<<40 {
		out.exp = time.Unix(int64(f), 0)
	}
	var access []struct {
		Type, Name string
		Actions    []string
	}
	if len(raw.Access) > 0 && json.Unmarshal(raw.Access, &access) == nil {
		scopes := make([]scope, 0, len(access))
		for _, a := range access {
			if s, ok := parseScope(a.Type + ":" + a.Name + ":" + strings.Join(a.Actions, ",")); ok {
				scopes = append(scopes, s)
			}
		}
		out.granted = newScopeSet(scopes...)
	}
	id := string(raw.AADIdentity)
	out.abac = id != "" && id != "null" && id != `""`
	return out
}

// payloadOf returns the middle of the three parts of a JWT. Base64url without padding is the rule, but all four variants are met.
func payloadOf(token string) ([]byte, bool) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return nil, false
	}
	_, rest, _ := strings.Cut(token, ".")
	part, _, _ := strings.Cut(rest, ".")
	part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
	b, err := base64.RawURLEncoding.DecodeString(part)
	return b, err == nil
}

// lifeLeft says how long the token can be used from now: exp less the Date of the reply it came in, so that a wrong local clock does not matter, else less the local
// clock. Never exp less iat: ACR back-dates iat by 15 minutes, and may hand out a token that is partly used.
func (c claims) lifeLeft(date, now time.Time) time.Duration {
	if c.exp.IsZero() {
		return unknownLife
	}
	if date.IsZero() {
		date = now
	}
	left := c.exp.Sub(date)
	if left <= 0 { // expired on arrival: more likely one of the clocks is wrong
		return unknownLife
	}
	return min(left, maxLife)
}

// validToken says whether s can be a token: visible ASCII, not endless.
func validToken(s string) bool { return s != "" && len(s) <= maxToken && wire.IsVisible(s) }
