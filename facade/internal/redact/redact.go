package redact

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is what is shown of a server's text.
const maxText = 4 << 10

// Removed stands where a secret stood.
const Removed = "REDACTED"

var (
	// query finds the query of a URL in running text; a SAS link is a bearer credential.
	query = regexp.MustCompile(`(?i)(https?://[^\s"'<>?#]*)[?#][^\s"'<>]*`)
	// userinfo finds the user information of a URL in running text.
	userinfo = regexp.MustCompile(`(?i)(https?://)[^\s"'<>/?#]*@`)
	// signature finds a signature outside a whole URL; "u0026" is how JSON writes its "&".
	signature = regexp.MustCompile(`(?i)((?:\b|u0026|%26|%3f)(?:sig|_state|access_token|refresh_token|password|client_secret|client_assertion)(?:=|%3d|\\u003d))[^&\s"'<>]+`)
	// member finds a secret as a member of a JSON object, within a JSON string too: of a token reply, a helper or a docker configuration.
	member = regexp.MustCompile(`(?i)(\\?"(?:access_token|refresh_token|password|client_secret|client_assertion|secret|identitytoken|registrytoken|auth)\\?"\s*:\s*\\?")[^"\\]*`)
	// jwt finds a JSON web token: "eyJ" is `{"` in base64.
	jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_=-]*)*`)
	// wholeJWT finds a signed JSON web token by its three parts; what else is base64 of JSON, such as claims, has no dots.
	wholeJWT = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]*`)
	// scheme finds the value of an Authorization header; shorter words are words ("basic authentication"), unless the header's name goes before.
	scheme = regexp.MustCompile(`(?i)\b(?:(authorization: *(?:bearer|basic)) +[A-Za-z0-9._~+/=-]+|(bearer|basic) +[A-Za-z0-9._~+/=-]{20,})`)
)

// OneLine returns s as one printable line of at most 4 KiB: control, bidi and other invisible characters escaped, URLs without query and user information, things that look like
// tokens taken out.
func OneLine(s string) string {
	const slack = 16 << 10 // enough to see a token that starts within what is shown
	if len(s) > slack {
		s = s[:slack]
	}
	if strings.ContainsAny(s, ":=%") || strings.Contains(s, "eyJ") || strings.Contains(s, " ") {
		s = userinfo.ReplaceAllString(s, "${1}"+Removed+"@")
		s = query.ReplaceAllString(s, "${1}")
		s = jwt.ReplaceAllString(s, Removed)
		s = signature.ReplaceAllString(s, "${1}"+Removed)
		s = member.ReplaceAllString(s, "${1}"+Removed)
		s = scheme.ReplaceAllString(s, "${1}${2} "+Removed)
	}
	var b strings.Builder
	for _, r := range s {
		if b.Len() > maxText-16 {
			b.WriteString(" [...]")
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteRune('?')
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !unicode.Is(unicode.Cf, r):
			b.WriteRune(r)
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return strings.TrimSpace(b.String())
}

// Echoes takes the credential of a request, and what looks like a token, out of the headers of its reply: logs and errors show some of them. Headers that are acted upon
// keep what only looks like a token: a location's state and a challenge's claims may begin like one. Of these a challenge is logged, and has no use for a whole one.
// scrub takes out the secrets of a client in any form; it may be nil.
func Echoes(h http.Header, authorization string, scrub func(string) string) {
	_, credential, _ := strings.Cut(authorization, " ")
	if scrub != nil && !holdsSecret(h, scrub) {
		scrub = nil
	}
	for key, values := range h {
		acted := key == "Location" || key == "Link" || key == "Www-Authenticate"
		for i, v := range values {
			if scrub != nil {
				v = scrub(v)
				values[i] = v
			}
			if len(credential) >= 8 && strings.Contains(v, credential) || !acted && strings.Contains(v, "eyJ") && jwt.MatchString(v) {
				values[i] = Removed
			} else if key == "Www-Authenticate" && strings.Contains(v, "eyJ") {
				values[i] = wholeJWT.ReplaceAllString(v, Removed)
			}
		}
	}
}

// holdsSecret reports whether scrub changes a value of the header. All values are looked through at once, since a call
// costs more than a text does.
func holdsSecret(h http.Header, scrub func(string) string) bool {
	var all strings.Builder
	for _, values := range h {
		for _, v := range values {
			_, _ = all.WriteString(v)
			_ = all.WriteByte(0) // no part of a secret, nor of an escape
		}
	}
	return scrub(all.String()) != all.String()
}

// URL returns scheme, host and path of u: what may be shown of it.
func URL(u *url.URL) string {
	if u == nil {
		return ""
	}
	v := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return v.String()
}

// Outcome returns how a request ended, for a log record: the text of its error, or the status code of its response.
func Outcome(resp *http.Response, err error) string {
	if err != nil {
		return OneLine(err.Error())
	}
	return "status " + strconv.Itoa(resp.StatusCode)
}
