package attack_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// parrot answers each request that has an access token with what form makes of the token.
type parrot struct {
	http.RoundTripper
	form func(token string) (status int, header http.Header, body string)
}

// RoundTrip implements http.RoundTripper.
func (p *parrot) RoundTrip(r *http.Request) (*http.Response, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return p.RoundTripper.RoundTrip(r)
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	status, header, body := p.form(token)
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// repeatedTokens: the registry repeats the access token, encoded so, wherever a caller may come to see it. The token is
// a JWT, or opaque and full of letters that encodings change.
func repeatedTokens(t *testing.T, encodings ...string) {
	places := map[string]func(text string) (int, http.Header, string){
		"message": func(s string) (int, http.Header, string) {
			return http.StatusForbidden, http.Header{}, `{"errors":[{"code":"DENIED","message":"no: ` + s + `"}]}`
		},
		"code and detail": func(s string) (int, http.Header, string) {
			return http.StatusBadRequest, http.Header{}, `{"errors":[{"code":"` + s + `","message":"no","detail":{"it":"` + s + `"}}]}`
		},
		"body that is no document": func(s string) (int, http.Header, string) {
			return http.StatusBadGateway, http.Header{"Content-Type": {"text/plain"}}, "no: " + s
		},
		"link": func(s string) (int, http.Header, string) {
			return http.StatusOK, http.Header{"Link": {`</v2/` + url.PathEscape(s) + `>; rel="next"`}}, `{"repositories":["a"],"tags":["a"]}`
		},
		"redirect": func(s string) (int, http.Header, string) {
			return http.StatusTemporaryRedirect, http.Header{"Location": {"http://elsewhere.example/" + url.PathEscape(s)}}, ""
		},
		"name": func(s string) (int, http.Header, string) {
			return http.StatusOK, http.Header{}, `{"imageName":"` + s + `","repositories":[" ` + s + `"],"tags":[{"name":" ` + s + `"}],"manifests":[{"digest":"` + s + `"}],"mediaType":"` + s + `"}`
		},
		"digest": func(s string) (int, http.Header, string) {
			return http.StatusOK, http.Header{"Docker-Content-Digest": {s}, "X-Ms-Correlation-Request-Id": {s}}, "{}"
		},
		"challenge": func(s string) (int, http.Header, string) {
			return http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Bearer realm="` + s + `",service="` + s + `",scope="` + s + `"`}}, ""
		},
		"content type": func(s string) (int, http.Header, string) {
			return http.StatusOK, http.Header{"Content-Type": {"text/" + s}}, "{}"
		},
	}
	kinds := map[string]func(id string) string{
		"JWT":    nil,
		"opaque": func(id string) string { return "q8T+opaque/" + id + "+token+of/a+registry/that+has/no+JWT==" },
	}
	for kind, face := range kinds {
		w := acrsuite.NewWorld(t)
		w.Unheld = true
		m := &acrsuite.Mask{Base: w.Spy.Base}
		if face == nil {
			face = func(id string) string {
				enc := base64.RawURLEncoding
				return "eyJhbGciOiJSUzI1NiJ9." + enc.EncodeToString([]byte(`{"jti":"`+id+` of a suite"}`)) + "." + enc.EncodeToString([]byte(id+" is signed"))
			}
		}
		m.Wear(func(id string) string { return face(encodings[0][:1] + id) }) // the rows have no token in common
		p := &parrot{RoundTripper: m}
		w.Use(p)
		turn := 0
		for _, encoding := range acrsuite.Thinned(t, encodings, 4, 2) {
			for place, put := range places {
				p.form = func(token string) (int, http.Header, string) { return put(acrsuite.Encodings[encoding](token)) }
				w.Options = []acrsuite.Option{acrsuite.Once}
				turn++
				w.Over(acrsuite.EveryNth(acrsuite.CallsOf(acrsuite.ReadCall, acrsuite.ListCall, acrsuite.DeleteCall, acrsuite.ExamineCall), turn, acrsuite.UnderRace(max(5, len(encodings)), len(encodings))), func(f *acrsuite.Fixture) {
					f.Note = kind + ", " + encoding + ", " + place
					_ = f.Run() // whatever it ends with is looked through
				})
			}
		}
	}
}
