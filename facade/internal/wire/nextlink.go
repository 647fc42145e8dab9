package wire

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
)

// maxLinks bounds the links read from one reply.
const maxLinks = 16

// NextLink returns the rel="next" target of a page's Link headers (RFC 8288), or nil where there is none. It must lie on the login origin, and its decoded
// path must equal samePath, the path of the first page; the query is kept byte for byte. A repeated rel="next" must say the same.
// Errors: ErrUntrusted.
func NextLink(resp *http.Response, login *url.URL, samePath string) (*url.URL, error) {
	base := login
	if resp.Request != nil && resp.Request.URL != nil {
		base = resp.Request.URL
	}
	found, next := 0, ""
	for _, header := range resp.Header.Values("Link") {
		for rest := strings.Trim(header, " \t,"); rest != ""; {
			var target, rels string
			var ok bool
			if target, rels, rest, ok = cutLink(rest); !ok {
				return nil, Untrusted(BadLink, "malformed")
			}
			if found++; found > maxLinks {
				return nil, Untrusted(BadLink, "too many links")
			}
			if !isNext(rels) {
				continue
			}
			if next != "" && next != target {
				return nil, Untrusted(BadLink, "two different next links")
			}
			if target == "" {
				return nil, Untrusted(BadLink, "empty target")
			}
			next = target
		}
	}
	if next == "" {
		return nil, nil
	}
	u, ok := resolve(base, next)
	if !ok {
		return nil, Untrusted(BadLink, "not a URL")
	}
	if _, err := Decide(Move{Call: call.API, Step: StepFollow, Login: OriginOf(login), To: u}); err != nil {
		return nil, err
	}
	if u.Path != samePath {
		return nil, Untrusted(BadLink, "leads to another path than the first page's")
	}
	return u, nil
}

func isNext(rels string) bool {
	for rel := range strings.FieldsSeq(rels) {
		if strings.EqualFold(rel, "next") {
			return true
		}
	}
	return false
}

// cutLink takes one link-value off s: "<target>" and its parameters up to a comma outside quotes. rels is the value of the first rel parameter (later ones do not
// count, RFC 8288 section 3.3).
func cutLink(s string) (target, rels, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, "<")
	if !ok {
		return "", "", "", false
	}
	target, s, ok = strings.Cut(s, ">")
	if !ok {
		return "", "", "", false
	}
	target = strings.TrimSpace(target)
	seen := false
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "":
			return target, rels, "", true
		case s[0] == ',':
			return target, rels, strings.TrimLeft(s, " \t,"), true
		case s[0] != ';':
			return "", "", "", false
		}
		var name, value string
		if name, value, s, ok = cutParam(strings.TrimLeft(s[1:], " \t")); !ok {
			return "", "", "", false
		}
		if !seen && strings.EqualFold(name, "rel") {
			seen, rels = true, value
		}
	}
}

// cutParam takes `name`, `name=token` or `name="quoted"` off s. An empty name is fine: senders write ";;".
func cutParam(s string) (name, value, rest string, ok bool) {
	i := strings.IndexAny(s, "=;,")
	if i < 0 {
		return strings.TrimSpace(s), "", "", true
	}
	name = strings.TrimSpace(s[:i])
	if s[i] != '=' {
		return name, "", s[i:], true
	}
	s = strings.TrimLeft(s[i+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		value, rest, ok = cutQuoted(s)
		return name, value, rest, ok
	}
	if i = strings.IndexAny(s, ";,"); i < 0 {
		i = len(s)
	}
	return name, strings.TrimSpace(s[:i]), s[i:], true
}

// cutQuoted takes a quoted-string (RFC 9110 section 5.6.4) off s, escapes undone.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		case '"':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
