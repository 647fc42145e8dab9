package acrsuite

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Spy is the innermost transport of a test's client. It learns the secrets that come in, and looks through all that goes out.
type Spy struct {
	Base             http.RoundTripper
	Login, authority string // hosts

	mu   sync.Mutex
	sent []Sight
}

// Sight is one request as it left the client.
type Sight struct {
	Method, Host, Path string
	URL                string
	Header             http.Header
	Form               url.Values // of a token request
}

// RoundTrip implements http.RoundTripper.
func (s *Spy) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	seen := Sight{Method: req.Method, Host: req.URL.Host, Path: req.URL.Path, URL: req.URL.String(), Header: req.Header.Clone()}
	isToken := strings.HasPrefix(req.URL.Path, "/oauth2/") || req.URL.Host == s.authority
	var body []byte
	if isToken && req.Body != nil && req.Body != http.NoBody {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		if form, err := url.ParseQuery(string(body)); err == nil {
			seen.Form = form
			Secrets.Learn(clientSecret, form.Get("client_secret"), "")
		}
	}
	s.mu.Lock()
	s.sent = append(s.sent, seen)
	s.mu.Unlock()
	s.judge(req, body)

	resp, err := s.Base.RoundTrip(out)
	if err != nil {
		return resp, err
	}
	if location, err := url.Parse(resp.Header.Get("Location")); err == nil && location.Host != "" {
		Secrets.Learn(linkSecret, location.Query().Get("sig"), location.Host)
	}
	if isToken {
		resp.Body = &learningBody{ReadCloser: resp.Body, entra: req.URL.Host == s.authority}
	}
	return resp, nil
}

// CloseIdleConnections closes those of the base.
func (s *Spy) CloseIdleConnections() {
	if base, ok := s.Base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// judge looks for secrets where they do not belong.
func (s *Spy) judge(req *http.Request, body []byte) {
	where := "a request to " + req.URL.Host + " (" + req.Method + " " + req.URL.Path + "), "
	belongs := func(kinds ...SecretKind) func(SecretKind, string) bool {
		return func(kind SecretKind, origin string) bool {
			return slices.Contains(kinds, kind) && (kind != linkSecret || origin == req.URL.Host)
		}
	}
	Secrets.look(where+"its URL", req.URL.String(), belongs(linkSecret))
	for key, values := range req.Header {
		var may []SecretKind
		if key == "Authorization" && req.URL.Host == s.Login {
			may = []SecretKind{accessSecret}
			if strings.HasPrefix(req.URL.Path, "/oauth2/") {
				may = []SecretKind{PasswordSecret, refreshSecret}
			}
		}
		Secrets.look(where+"header "+key, strings.Join(values, "\n"), belongs(may...))
	}
	for _, key := range []string{"Cookie", "Referer"} {
		if req.Header.Get(key) != "" {
			Secrets.note(where+"header "+key, "a "+key)
		}
	}
	var may []SecretKind
	switch {
	case req.URL.Host == s.authority:
		may = []SecretKind{clientSecret}
	case req.URL.Host == s.Login && req.URL.Path == "/oauth2/exchange":
		may = []SecretKind{EntraSecret}
	case req.URL.Host == s.Login && req.URL.Path == "/oauth2/token":
		may = []SecretKind{refreshSecret}
	}
	Secrets.look(where+"its body", string(body), belongs(may...))
}

// Requests is what was sent, to hosts of which keep says so; nil keeps all.
func (s *Spy) Requests(keep func(Sight) bool) []Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Sight
	for _, seen := range s.sent {
		if keep == nil || keep(seen) {
			out = append(out, seen)
		}
	}
	return out
}

// learningBody learns the tokens of a reply before its reader sees their end.
type learningBody struct {
	io.ReadCloser
	entra bool
	text  []byte
	at    int // up to here nothing more is to be learned
}

// Read implements io.Reader.
func (b *learningBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if len(b.text) < 128<<10 {
		b.text = append(b.text, p[:n]...)
		if bytes.IndexByte(p[:n], '"') >= 0 { // without one no token ends here
			b.learn()
		}
	}
	return n, err
}

// learn takes each token that has come whole. A regular expression would read the text anew with each piece of it, which
// the race detector makes slow.
func (b *learningBody) learn() {
	for {
		before, value, ok := bytes.Cut(b.text[b.at:], []byte(`_token"`))
		if !ok {
			return
		}
		value, ok = bytes.CutPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte(":"))
		value = bytes.TrimLeft(value, " \t\r\n")
		if !ok || len(value) == 0 || value[0] != '"' {
			if len(value) == 0 {
				return // the rest of it is on its way
			}
			b.at = len(b.text) - len(value)
			continue
		}
		end := endOfString(value)
		if end < 0 {
			return
		}
		b.at = len(b.text) - len(value) + end
		var token string
		if json.Unmarshal(value[:end], &token) != nil {
			continue
		}
		switch {
		case b.entra:
			Secrets.Learn(EntraSecret, token, "")
		case bytes.HasSuffix(before, []byte(`"refresh`)):
			Secrets.Learn(refreshSecret, token, "")
		case bytes.HasSuffix(before, []byte(`"access`)):
			Secrets.Learn(accessSecret, token, "")
		}
	}
}

// endOfString returns where the JSON string at the start of a text ends, or -1.
func endOfString(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
