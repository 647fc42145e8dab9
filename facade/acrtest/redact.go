package acrtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const redacted = "REDACTED"

// secretFields are the fields of forms and JSON bodies that hold credentials.
var secretFields = []string{"access_token", "refresh_token", "id_token", "password", "client_secret", "client_assertion", "assertion", "device_code"}

// secretPair is a parameter of a query or a form that holds a credential or a signature; an
// upload's _state is signed as well. secretMember is the same in JSON. By its name even a secret is
// found that is too short to be looked for everywhere.
var (
	secretPair   = regexp.MustCompile(`\b(sig|_state|` + strings.Join(secretFields, "|") + `)=[^&\s"'<>;]+`)
	secretMember = regexp.MustCompile(`"(` + strings.Join(secretFields, "|") + `)"(\s*:\s*)"(?:[^"\\]|\\.)+"`)
)

// secretHeaders are left out of a transcript.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"}

// secrets collects what must not stand in a transcript, wherever it turns up.
type secrets map[string]bool

func (s secrets) add(value string) {
	const worth = 8 // shorter ones would take out words
	if len(value) < worth || value == redacted {
		return
	}
	s[value] = true
	s[url.QueryEscape(value)] = true
}

// learnRequest notes the credentials of a request.
func (s secrets) learnRequest(header http.Header, body []byte) {
	for _, key := range secretHeaders {
		for _, value := range header.Values(key) {
			_, credential, ok := strings.Cut(value, " ")
			if !ok {
				credential = value
			}
			s.add(credential)
			if pair, err := base64.StdEncoding.DecodeString(credential); err == nil {
				_, password, _ := strings.Cut(string(pair), ":")
				s.add(password)
			}
		}
	}
	if form, err := url.ParseQuery(string(body)); err == nil {
		for _, field := range secretFields {
			for _, value := range form[field] {
				s.add(value)
			}
		}
	}
}

// learnResponse notes the credentials in a reply.
func (s secrets) learnResponse(body []byte) {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return
	}
	for _, field := range secretFields {
		if value, ok := fields[field].(string); ok {
			s.add(value)
		}
	}
}

// scrub takes the secrets out of a text. A JWT keeps its form, with a far expiry as its only claim,
// so that a client which replays the transcript does not take it for expired.
func (s secrets) scrub(text string) string {
	for _, secret := range slices.SortedFunc(mapKeys(s), func(a, b string) int { return len(b) - len(a) }) {
		replacement := redacted
		if strings.Count(secret, ".") == 2 && strings.HasPrefix(secret, "ey") {
			replacement = redactedJWT
		}
		text = strings.ReplaceAll(text, secret, replacement)
	}
	text = secretPair.ReplaceAllStringFunc(text, func(pair string) string {
		name, value, _ := strings.Cut(pair, "=")
		if value == redactedJWT {
			return pair
		}
		return name + "=" + redacted
	})
	return secretMember.ReplaceAllStringFunc(text, func(member string) string {
		if strings.HasSuffix(member, `"`+redactedJWT+`"`) {
			return member
		}
		return secretMember.ReplaceAllString(member, `"$1"$2"`+redacted+`"`)
	})
}

// redactedJWT expires in the year 2100.
var redactedJWT = redacted + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":4102444800}`)) + "." + redacted

func mapKeys(s secrets) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range s {
			if !yield(k) {
				return
			}
		}
	}
}

func (s secrets) scrubMessage(m message) message {
	header := make(http.Header, len(m.header))
	for k, values := range m.header {
		if slices.Contains(secretHeaders, http.CanonicalHeaderKey(k)) {
			header[k] = []string{redacted}
			continue
		}
		for _, v := range values {
			header[k] = append(header[k], s.scrub(v))
		}
	}
	body := m.body
	if !isBinary(body) {
		body = []byte(s.scrub(string(body)))
	}
	return message{first: s.scrub(m.first), header: header, body: body}
}
