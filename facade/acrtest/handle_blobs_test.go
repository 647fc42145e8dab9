package acrtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestBlob(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := r.pushBlob("a/b", strings.Repeat("x", 1044))
	path := "/v2/a%2Fb/blobs/" + d.String()

	r.want(r.send("HEAD", path, "", "Range", "bytes=0-9"), http.StatusOK,
		"Content-Length", "1044", "Docker-Content-Digest", d.String(), "Content-Type", "application/octet-stream", "Accept-Ranges", "", "Location", "")
	a := r.want(r.send("GET", path, "", "Range", "bytes=0-9"), http.StatusTemporaryRedirect,
		"Docker-Content-Digest", d.String(), "Content-Type", "text/html; charset=utf-8")
	location := a.Header.Get("Location")
	link, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := link.Query()
	wantPath := "-acrkit0001//docker/registry/v2/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
	keys := location[strings.Index(location, "?")+1:]
	for _, key := range []string{"se=", "&sig=", "&sp=r", "&spr=https", "&sr=b", "&sv=2016-05-31", "&regid="} {
		_, rest, found := strings.Cut(keys, key)
		if !found {
			t.Errorf("%q is missing, or not in its place, in %s", key, link.RawQuery)
		}
		keys = rest
	}
	if link.Host != r.s.StorageHost() || !strings.HasSuffix(link.Path, wantPath) || q.Get("regid") == "" {
		t.Errorf("location %s", link.Redacted())
	}
	if want := `<a href="` + strings.ReplaceAll(location, "&", "&amp;") + `">Temporary Redirect</a>.` + "\n\n"; a.body != want {
		t.Errorf("body %q, want %q", a.body, want)
	}

	r.want(r.send("DELETE", path, ""), http.StatusAccepted, "Content-Length", "0", "Docker-Content-Digest", "")
	r.refused(r.send("DELETE", path, ""), http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", "")
	r.refused(r.send("GET", path, ""), http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", `"`+d.String()+`"`)
	r.want(r.send("HEAD", path, ""), http.StatusNotFound)
	if a := r.send("GET", location, ""); a.StatusCode != http.StatusNotFound || a.Header.Get("X-Ms-Error-Code") != "BlobNotFound" {
		t.Errorf("storage, after the blob is gone: %d %s", a.StatusCode, a.body)
	}
	r.want(r.send("GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", ""), http.StatusBadRequest)
}

func TestStorage(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	content := "0123456789"
	d := r.pushBlob("r", content)
	location := r.want(r.send("GET", "/v2/r/blobs/"+d.String(), ""), http.StatusTemporaryRedirect).Header.Get("Location")

	whole := r.send("GET", location, "")
	r.wantBody(whole, http.StatusOK, content)
	r.want(whole, http.StatusOK, "Accept-Ranges", "bytes", "Content-Length", "10", "Content-Type", "application/octet-stream",
		"Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0", "Docker-Content-Digest", "", "Docker-Distribution-Api-Version", "", "X-Ms-Version", "2016-05-31")
	r.wantBody(r.send("HEAD", location, ""), http.StatusOK, "")
	for _, c := range []struct {
		asked  string
		status int
		body   string
		ranged string
	}{
		{"bytes=0-3", http.StatusPartialContent, "0123", "bytes 0-3/10"},
		{"bytes=4-", http.StatusPartialContent, "456789", "bytes 4-9/10"},
		{"bytes=8-99", http.StatusPartialContent, "89", "bytes 8-9/10"},
		{"bytes=9-9", http.StatusPartialContent, "9", "bytes 9-9/10"},
		{"4-", http.StatusOK, content, ""},
		{"bytes=-3", http.StatusOK, content, ""},
		{"bytes=5-3", http.StatusOK, content, ""},
		{"bytes=0-1,3-4", http.StatusOK, content, ""},
	} {
		a := r.send("GET", location, "", "Range", c.asked)
		r.wantBody(a, c.status, c.body)
		r.want(a, c.status, "Content-Range", c.ranged)
	}
	tag := whole.Header.Get("ETag")
	r.want(r.send("GET", location, "", "If-Match", tag), http.StatusOK)

	for name, c := range map[string]struct {
		answer answer
		status int
		code   string
	}{
		"range behind the end": {r.send("GET", location, "", "Range", "bytes=10-"), http.StatusRequestedRangeNotSatisfiable, "InvalidRange"},
		"authorization":        {r.send("GET", location, "", "Authorization", "Bearer x"), http.StatusBadRequest, "InvalidAuthenticationInfo"},
		"changed signature":    {r.send("GET", strings.Replace(location, "&sig=", "&sig=x", 1), ""), http.StatusForbidden, "AuthenticationFailed"},
		"changed expiry":       {r.send("GET", strings.Replace(location, "?se=2", "?se=3", 1), ""), http.StatusForbidden, "AuthenticationFailed"},
		"no query":             {r.send("GET", location[:strings.Index(location, "?")], ""), http.StatusForbidden, "AuthenticationFailed"},
		"single slash":         {r.send("GET", strings.Replace(location, "//docker", "/docker", 1), ""), http.StatusForbidden, "AuthenticationFailed"},
		"other ETag":           {r.send("GET", location, "", "If-Match", `"x"`), http.StatusPreconditionFailed, "ConditionNotMet"},
		"PUT":                  {r.send("PUT", location, ""), http.StatusMethodNotAllowed, "UnsupportedHttpVerb"},
	} {
		r.want(c.answer, c.status, "Content-Type", "application/xml", "X-Ms-Error-Code", c.code)
		if !strings.HasPrefix(c.answer.body, "\ufeff"+`<?xml version="1.0" encoding="utf-8"?><Error><Code>`+c.code+`</Code>`) {
			t.Errorf("%s: %q", name, c.answer.body)
		}
		if name == "range behind the end" {
			r.want(c.answer, c.status, "Content-Range", "bytes */10")
		}
	}
	r.s.Advance(20*time.Minute + time.Second)
	r.want(r.send("GET", location, ""), http.StatusForbidden, "X-Ms-Error-Code", "AuthenticationFailed")
}

func TestInlineBlobs(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithInlineBlobs())
	d := r.pushBlob("r", "0123456789")
	a := r.send("GET", "/v2/r/blobs/"+d.String(), "", "Range", "bytes=2-3")
	r.wantBody(a, http.StatusOK, "0123456789")
	r.want(a, http.StatusOK, "Docker-Content-Digest", d.String(), "Content-Range", "")
}

// A blob larger than a memory segment comes back whole, from memory and from a directory.
func TestLargeBlob(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]acrtest.Option{"memory": nil, "directory": {acrtest.WithDirectory(t.TempDir())}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, opts...)
			content := strings.Repeat("0123456789abcdef", 3<<16+5)
			d := r.pushBlob("r", content)
			location := r.send("GET", "/v2/r/blobs/"+d.String(), "").Header.Get("Location")
			if a := r.send("GET", location, ""); digest.FromString(a.body) != d {
				t.Errorf("%d bytes came back", len(a.body))
			}
		})
	}
}
