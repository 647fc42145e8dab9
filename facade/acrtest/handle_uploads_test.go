package acrtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func (r *registry) start(name string) (location, uuid string) {
	r.t.Helper()
	a := r.want(r.send("POST", "/v2/"+name+"/blobs/uploads/", ""), http.StatusAccepted, "Range", "0-0", "Content-Length", "0")
	return a.Header.Get("Location"), a.Header.Get("Docker-Upload-Uuid")
}

func (r *registry) chunk(location, content string, header ...string) string {
	r.t.Helper()
	a := r.send("PATCH", location, content, append([]string{"Content-Type", "application/octet-stream"}, header...)...)
	return r.want(a, http.StatusAccepted, "Content-Length", "0").Header.Get("Location")
}

func (r *registry) complete(location string, d digest.Digest, content string) answer {
	r.t.Helper()
	return r.send("PUT", location+"&digest="+url.QueryEscape(d.String()), content)
}

const invalidUpload = "blob upload invalid"

// state reads what a location's _state says.
func state(t *testing.T, location string) (s struct {
	Name, UUID string
	Offset     int64
	StartedAt  string
}) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.URLEncoding.DecodeString(u.Query().Get("_state"))
	if err != nil || len(raw) < 32 {
		t.Fatalf("_state of %q: %v", location, err)
	}
	if err := json.Unmarshal(raw[32:], &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// An upload in chunks, header by header as it was recorded of the service.
func TestUploadInChunks(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	content := strings.Repeat("x", 2479)
	d := digest.FromString(content)
	location, uuid := r.start("a/b")
	form := regexp.MustCompile(`^/v2/a/b/blobs/uploads/[0-9a-f-]{36}\?_nouploadcache=false&_state=[A-Za-z0-9_-]+(%3D)*$`)
	first := state(t, location)
	if !form.MatchString(location) || first.Name != "a/b" || first.UUID != uuid || first.Offset != 0 || !strings.Contains(first.StartedAt, ".") {
		t.Errorf("location %q, state %+v", location, first)
	}
	for _, c := range []struct {
		from, to int
		answered string
	}{{0, 1239, "0-1238"}, {1239, 2479, "0-2478"}} {
		a := r.send("PATCH", location, content[c.from:c.to], "Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", c.from, c.to-1))
		r.want(a, http.StatusAccepted, "Range", c.answered, "Docker-Upload-Uuid", uuid, "X-Ms-Client-Request-Id", "", "Docker-Content-Digest", "")
		next := a.Header.Get("Location")
		if s := state(t, next); !form.MatchString(next) || next == location || s.Offset != int64(c.to) || strings.Contains(s.StartedAt, ".") {
			t.Errorf("location %q, state %+v", next, s)
		}
		location = next
	}
	r.want(r.send("GET", location, ""), http.StatusNoContent, "Range", "0-2478", "Docker-Upload-Uuid", uuid)
	r.want(r.complete(location, d, ""), http.StatusCreated, "Location", "/v2/a/b/blobs/"+d.String(), "Docker-Content-Digest", d.String(), "Content-Length", "0")
	r.refused(r.send("GET", location, ""), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", "{}")
	r.want(r.send("HEAD", "/v2/a/b/blobs/"+d.String(), ""), http.StatusOK, "Content-Length", "2479")
}

// A location is good until the next one was given; then it ends the session.
func TestStaleLocation(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			old, _ := r.start("r")
			next := r.chunk(old, "abc")
			r.refused(r.send(method, old+"&digest="+digest.FromString("abcdef").String(), "def"), http.StatusNotFound, "BLOB_UPLOAD_INVALID", invalidUpload, "")
			r.refused(r.send("GET", next, ""), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", "{}")
		})
	}
}

// A state that was tampered with is refused, and ends nothing.
func TestForgedState(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	location, uuid := r.start("r")
	other, _ := r.start("r")
	_, foreign, _ := strings.Cut(other, "?")
	for name, bad := range map[string]string{
		"none":      "/v2/r/blobs/uploads/" + uuid,
		"garbage":   "/v2/r/blobs/uploads/" + uuid + "?_state=xyz",
		"another's": "/v2/r/blobs/uploads/" + uuid + "?" + foreign,
		"changed":   location[:len(location)-12] + "AAAAAAAAAAAA",
	} {
		if a := r.send("PATCH", bad, "abc"); a.StatusCode != http.StatusNotFound || !strings.Contains(a.body, "BLOB_UPLOAD_INVALID") {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	r.refused(r.send("PATCH", strings.Replace(location, "/r/", "/other/", 1), "abc"), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", "{}")
	r.chunk(location, "abc")
}

// The forms of Content-Range.
func TestContentRange(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	location, uuid := r.start("r")
	location = r.chunk(location, "abc", "Content-Range", "0-2")
	for _, c := range []struct {
		header, body string
		status       int
		code         string
	}{
		{"bytes 3-5/*", "def", http.StatusBadRequest, `{"code":"RANGE_INVALID","message":"invalid content range","detail":{"Range":"bytes 3-5/*","Reason":"the Content-Range header format is invalid"}}`},
		{"bytes=3-5", "def", http.StatusBadRequest, "RANGE_INVALID"},
		{"5-3", "def", http.StatusBadRequest, "RANGE_INVALID"},
		{"3-", "def", http.StatusBadRequest, "RANGE_INVALID"},
		{"-3-5", "def", http.StatusBadRequest, "RANGE_INVALID"},
		{"3-99999999999999999999", "def", http.StatusBadRequest, "RANGE_INVALID"},
		{"3-9", "def", http.StatusBadRequest, "SIZE_INVALID"},
		{"0-2", "abc", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
		{"4-6", "efg", http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
	} {
		a := r.send("PATCH", location, c.body, "Content-Range", c.header)
		r.want(a, c.status)
		if !strings.Contains(a.body, c.code) {
			t.Errorf("%s: %s", c.header, a.body)
		}
		if c.status == http.StatusRequestedRangeNotSatisfiable {
			r.want(a, c.status, "Range", "0-2", "Docker-Upload-Uuid", uuid)
		}
	}
	location = r.chunk(location, "def", "Content-Range", "3-5")
	r.want(r.send("PUT", location+"&digest="+digest.FromString("abcdefghi").String(), "ghi", "Content-Range", "6-8"), http.StatusCreated)
}

// The ways to complete.
func TestComplete(t *testing.T) {
	t.Parallel()
	empty := digest.FromString("")
	t.Run("whole body in the PUT", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		r.want(r.complete(location, digest.FromString("abc"), "abc"), http.StatusCreated)
	})
	t.Run("empty blob", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		r.want(r.complete(location, empty, ""), http.StatusCreated)
		r.want(r.send("HEAD", "/v2/r/blobs/"+empty.String(), ""), http.StatusOK, "Content-Length", "0")
	})
	t.Run("empty chunk", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		location = r.chunk(r.chunk(location, ""), "a")
		r.want(r.complete(location, digest.FromString("a"), ""), http.StatusCreated)
	})
	t.Run("sha512", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		r.want(r.complete(location, digest.SHA512.FromString("abc"), "abc"), http.StatusCreated)
	})
	t.Run("ill-formed digest keeps the session", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		location = r.chunk(location, "abc")
		for _, bad := range []string{"", "error-digest", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
			r.refused(r.complete(location, digest.Digest(bad), ""), http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content", `"digest parsing failed"`)
		}
		r.want(r.complete(location, digest.FromString("abc"), ""), http.StatusCreated)
	})
	t.Run("another digest ends the session", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		location, _ := r.start("r")
		location = r.chunk(location, "abc")
		r.refused(r.complete(location, empty, ""), http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content", "")
		r.want(r.complete(location, digest.FromString("abc"), ""), http.StatusNotFound)
	})
	t.Run("single request", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t)
		d := r.pushBlob("r", "single")
		r.want(r.send("HEAD", "/v2/r/blobs/"+d.String(), ""), http.StatusOK)
		r.want(r.send("POST", "/v2/r/blobs/uploads/?digest="+empty.String(), "x"), http.StatusBadRequest)
		r.want(r.send("POST", "/v2/r/blobs/uploads/?digest=sha256:x", "x"), http.StatusBadRequest)
	})
}

func TestCancelAndExpiry(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithSessionLife(time.Hour))
	location, uuid := r.start("r")
	location = r.chunk(location, "abc")
	r.want(r.send("DELETE", location, ""), http.StatusNoContent, "Docker-Upload-Uuid", uuid)
	r.want(r.send("DELETE", location, ""), http.StatusNotFound)
	location, _ = r.start("r")
	r.s.Advance(61 * time.Minute)
	r.refused(r.send("PATCH", location, "abc"), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", "{}")
}

func TestMount(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := r.pushBlob("from/here", "abc")
	mount := func(query string) answer { return r.send("POST", "/v2/to/there/blobs/uploads/?"+query, "") }
	r.want(mount("mount="+d.String()+"&from=from%2Fhere"), http.StatusCreated, "Location", "/v2/to/there/blobs/"+d.String(), "Docker-Content-Digest", d.String())
	r.want(r.send("HEAD", "/v2/to/there/blobs/"+d.String(), ""), http.StatusOK)
	for _, query := range []string{"mount=" + digest.FromString("x").String() + "&from=from%2Fhere", "mount=" + d.String() + "&from=nowhere", "mount=" + d.String(), "mount=x&from=from%2Fhere"} {
		a := r.want(mount(query), http.StatusAccepted, "Range", "0-0")
		r.want(r.complete(a.Header.Get("Location"), d, "abc"), http.StatusCreated)
	}
}

func TestBodyOfUnknownLength(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithMaxBody(1000))
	location, _ := r.start("r")
	a := r.send("PATCH", location, strings.Repeat("x", 1001))
	r.want(a, http.StatusRequestEntityTooLarge, "Content-Type", "text/plain; charset=utf-8")
	location = r.chunk(location, strings.Repeat("x", 1000))
	// A body without a length is found out on the way; what arrived is in the session.
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", r.s.Endpoint()+location, io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(r.s.Admin())
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A session and its locations outlive the emulator, where it has a directory.
func TestUploadOverRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := acrtest.Start(acrtest.WithDirectory(dir))
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{t, first, first.HTTPClient()}
	location, _ := r.start("r")
	location = r.chunk(location, "abc")
	first.Close()
	r = newRegistry(t, acrtest.WithDirectory(dir))
	location = r.chunk(location, "def")
	r.want(r.complete(location, digest.FromString("abcdef"), ""), http.StatusCreated)
}
