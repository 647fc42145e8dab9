package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

const (
	maxChallenges      = 8
	maxChallengeHeader = 8 << 10
)

// challenge is one of WWW-Authenticate (RFC 9110 section 11.6.1). Scheme and parameter names are lower case.
type challenge struct {
	scheme string
	params map[string]string
}

// parseChallenges reads the first 8 challenges of a reply. Header lines over 8 KiB are not read, and of a malformed one what comes before the damage.
func parseChallenges(h http.Header) []challenge {
	var out []challenge
	left := maxChallengeHeader
	for i, line := range h.Values("Www-Authenticate") {
		if left -= len(line); left < 0 || i == maxChallenges || len(out) == maxChallenges {
			break
		}
		out = appendChallenges(out, line)
	}
	return out
}

func appendChallenges(out []challenge, s string) []challenge {
	var cur *challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		name, rest := cutToken(s)
		if name == "" {
			return out // the end, or damage
		}
		after := strings.TrimLeft(rest, " \t")
		if cur != nil && strings.HasPrefix(after, "=") {
			value, next, ok := cutValue(strings.TrimLeft(after[1:], " \t"))
			if !ok {
				return out
			}
			if _, twice := cur.params[strings.ToLower(name)]; !twice {
				cur.params[strings.ToLower(name)] = value
			}
			s = next
			continue
		}
		if len(out) == maxChallenges {
			return out
		}
		out = append(out, challenge{scheme: strings.ToLower(name), params: map[string]string{}})
		cur = &out[len(out)-1]
		s = skipToken68(rest)
	}
}

// cutToken takes a token (RFC 9110 section 5.6.2) off s.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) >= 0) {
		i++
	}
	return s[:i], s[i:]
}

// cutValue takes a quoted-string or what stands unquoted off s. Unquoted values may hold what tokens may not: there are servers that send URLs so.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, " \t,")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// skipToken68 takes the credential-like blob off s that some schemes send in place of parameters ("Negotiate a87421==").
func skipToken68(s string) string {
	t := strings.TrimLeft(s, " ")
	if t == s {
		return s
	}
	i := 0
	for i < len(t) && (t[i] >= 'a' && t[i] <= 'z' || t[i] >= 'A' && t[i] <= 'Z' || t[i] >= '0' && t[i] <= '9' || strings.IndexByte("-._~+/", t[i]) >= 0) {
		i++
	}
	for i > 0 && i < len(t) && t[i] == '=' {
		i++
	}
	if rest := strings.TrimLeft(t[i:], " \t"); rest == "" || rest[0] == ',' {
		return rest
	}
	return s
}

// bearer returns the first Bearer challenge.
func bearer(all []challenge) (challenge, bool) {
	for _, c := range all {
		if c.scheme == "bearer" {
			return c, true
		}
	}
	return challenge{}, false
}

// claims returns the claims a Bearer challenge asks the Entra token to have (continuous access evaluation), as the JSON that the credential takes, or "".
func (c challenge) claims() string {
	v := strings.TrimRight(c.params["claims"], "=")
	if v == "" {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(v))
	if err != nil || !json.Valid(b) {
		return ""
	}
	return string(b)
}
