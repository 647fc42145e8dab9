package acrtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// registry is a caller that signs in with the admin user's password and follows no redirect.
type registry struct {
	t    testing.TB
	s    *acrtest.Server
	http *http.Client
}

func newRegistry(t testing.TB, opts ...acrtest.Option) *registry {
	t.Helper()
	s := acrtest.New(t, opts...)
	c := s.HTTPClient()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &registry{t, s, c}
}

// send sends a request; path may be a URL, and header is in pairs.
func (r *registry) send(method, path, body string, header ...string) answer {
	r.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.s.Endpoint() + path
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.HasPrefix(path, r.s.Endpoint()+"/") {
		req.SetBasicAuth(r.s.Admin())
	}
	req.Header.Set("Accept", "*/*")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header[header[i]] = []string{header[i+1]}
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// want checks a status and, in pairs, headers; a value of "" wants none.
func (r *registry) want(a answer, status int, header ...string) answer {
	r.t.Helper()
	if a.StatusCode != status {
		r.t.Errorf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if got := a.Header.Get(header[i]); got != header[i+1] {
			r.t.Errorf("%s %s: %s is %q, want %q", a.Request.Method, a.Request.URL.Path, header[i], got, header[i+1])
		}
	}
	return a
}

// wantBody checks a status and a body.
func (r *registry) wantBody(a answer, status int, body string) {
	r.t.Helper()
	r.want(a, status)
	if a.body != body {
		r.t.Errorf("%s %s:\ngot  %q\nwant %q", a.Request.Method, a.Request.URL.Path, a.body, body)
	}
}

// refused checks a status and the first error's code, message and detail.
func (r *registry) refused(a answer, status int, code, message, detail string) {
	r.t.Helper()
	if detail != "" {
		detail = `,"detail":` + detail
	}
	r.wantBody(a, status, fmt.Sprintf(`{"errors":[{"code":%q,"message":%q%s}]}`+"\n", code, message, detail))
}

func decode[T any](t testing.TB, body string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func (r *registry) pushBlob(name, content string) digest.Digest {
	r.t.Helper()
	d := digest.FromString(content)
	r.want(r.send("POST", "/v2/"+name+"/blobs/uploads/?digest="+url.QueryEscape(d.String()), content), http.StatusCreated)
	return d
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// imageOf is an OCI image of one blob that must be there.
func imageOf(blob digest.Digest, note string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"note":%q}}`,
		ociManifest, blob, note)
}

func (r *registry) push(name, reference, mediaType, content string) answer {
	r.t.Helper()
	return r.send("PUT", "/v2/"+name+"/manifests/"+reference, content, "Content-Type", mediaType)
}
