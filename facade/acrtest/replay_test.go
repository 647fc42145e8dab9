package acrtest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// session does what a client does: challenge, tokens, an upload, a list.
func (c *client) session(entra string) []string {
	var seen []string
	note := func(a answer) answer {
		seen = append(seen, fmt.Sprint(a.StatusCode, " ", a.Header.Get("Docker-Content-Digest"), a.Header.Get("Link"), len(a.body) > 0))
		return a
	}
	note(c.call(http.MethodGet, "/acr/v1/_catalog", ""))
	refresh := c.field(note(c.form("/oauth2/exchange", "grant_type", "access_token", "service", c.host(), "access_token", entra)), "refresh_token")
	token := c.field(note(c.form("/oauth2/token", "grant_type", "refresh_token", "service", c.host(), "scope", "repository:a:pull,push", "refresh_token", refresh)), "access_token")
	location := note(c.call(http.MethodPost, "/v2/a/blobs/uploads/", token)).Header.Get("Location")
	content := []byte{0, 1, 2, 0xff}
	req := c.request(http.MethodPatch, location, token, bytes.NewReader(content))
	req.Header.Set("Content-Type", "application/octet-stream")
	location = note(c.do(req)).Header.Get("Location")
	d := digest.FromBytes(content)
	note(c.call(http.MethodPut, location+"&digest="+strings.Replace(d.String(), ":", "%3A", 1), token))
	a := note(c.call(http.MethodGet, "/v2/a/blobs/"+d.String(), token))
	seen = append(seen, digest.FromString(a.body).String())
	return seen
}

func (c *client) host() string { return strings.TrimPrefix(c.endpoint(), "https://") }

func TestRecordAndReplay(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithLoginServer("myregistry.azurecr.io"))
	recorder := acrtest.NewRecorder(c.http.Transport)
	c.http = &http.Client{Transport: recorder}
	entra := c.s.EntraToken()
	first := c.session(entra)
	transcript := recorder.Transcript()
	text := string(transcript)
	_, secret, _ := strings.Cut(entra, ".")
	for _, leak := range []string{secret, "Bearer ey", "sig=ey", entra} {
		if strings.Contains(text, leak) {
			t.Errorf("the transcript holds %.20s...", leak)
		}
	}
	for _, r := range []string{"_state=REDACTED", "sig=REDACTED", "access_token=REDACTED"} {
		if !strings.Contains(text, r) {
			t.Errorf("the transcript has no %s", r)
		}
	}

	file := filepath.Join(t.TempDir(), "session.txtar")
	if err := recorder.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	r := acrtest.NewReplay(t, file)
	again := &client{t: t, http: r.HTTPClient(), url: r.Endpoint()}
	if second := again.session("any"); strings.Join(second, "\n") != strings.Join(first, "\n") {
		t.Errorf("replayed\n%s\nrecorded\n%s", strings.Join(second, "\n"), strings.Join(first, "\n"))
	}
}

func TestReplaySaysWhatIsAmiss(t *testing.T) {
	t.Parallel()
	const transcript = `A comment.
-- 001 request --
GET https://myregistry.azurecr.io/v2/ HTTP/1.1

-- 001 response --
HTTP/1.1 200 OK
Content-Type: application/json

{}
-- 002 request --
GET https://myregistry.azurecr.io/acr/v1/_catalog HTTP/1.1

-- 002 response --
HTTP/1.1 503 Service Unavailable
`
	r, err := acrtest.StartReplay([]byte(transcript))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := &client{t: t, http: r.HTTPClient(), url: r.Endpoint()}
	if a := c.call(http.MethodGet, "/v2/", ""); a.StatusCode != 200 || a.body != "{}\n" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a := c.call(http.MethodGet, "/v2/other/tags/list", ""); a.StatusCode != 404 || !strings.Contains(a.body, "_catalog") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if got := r.Mistakes(); len(got) != 1 {
		t.Errorf("mistakes: %q", got)
	}
	if got := r.Unasked(); len(got) != 1 || got[0] != "GET https://myregistry.azurecr.io/acr/v1/_catalog" {
		t.Errorf("unasked: %q", got)
	}
	for _, bad := range []string{"", "-- 1 request --\nGET / HTTP/1.1\n", "-- a --\n-- b --\n", "-- 1 request --\nGET nowhere\n\n-- 1 response --\nHTTP/1.1 200\n\n"} {
		if r, err := acrtest.StartReplay([]byte(bad)); err == nil {
			r.Close()
			t.Errorf("%q was taken for a transcript", bad)
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte("-- 001 request --\nGET https://a/ HTTP/1.1\n\n-- 001 response --\nHTTP/1.1 200 OK\nX-Acrtest-Body: base64\n\nAAEC\n"))
	f.Fuzz(func(_ *testing.T, transcript []byte) {
		if r, err := acrtest.StartReplay(transcript); err == nil {
			r.Close()
		}
	})
}
