package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// everything is what a registry answers about all that it holds, by path; host names are taken out, for the port is another.
func everything(t *testing.T, s started, paths []string) map[string]string {
	t.Helper()
	c := clientOf(t, s)
	answers := make(map[string]string)
	for _, path := range paths {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(s.Username, s.Password)
		req.Header.Set("Accept", "*/*")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		h := resp.Header
		answers[path] = strings.ReplaceAll(fmt.Sprint(resp.StatusCode, h.Get("Content-Type"), h.Get("Docker-Content-Digest"), h.Get("Link"), h.Get("Range"), "\n", string(body)),
			s.LoginServer, "HOST")
	}
	return answers
}

// What a registry holds it holds after a restart, in every detail that a client sees; who was signed in can sign in again.
func TestRestarted(t *testing.T) {
	t.Parallel()
	args := []string{"-dir", filepath.Join(t.TempDir(), "data"), "-soft-delete", "7"}
	first, stop := launch(t, args...)
	for _, seed := range []string{
		`{"index": {"reference": "a/app:v1", "architectures": ["amd64", "arm64"]}}`, `{"image": {"reference": "a/app:v2"}}`, `{"image": {"reference": "a/app:gone"}}`,
		`{"tags": {"repository": "a/tags", "n": 250}}`, `{"manifests": {"repository": "a/manifests", "n": 120}}`,
		`{"blob": {"repository": "a/blobs", "content": "aGVsbG8="}}`,
	} {
		if status, reply := tell(t, first, "POST", "/seed", seed); status != http.StatusOK {
			t.Fatalf("%s: %d %s", seed, status, reply)
		}
	}
	w := api{t, clientOf(t, first), first.Endpoint, first.Username, first.Password}
	do := func(status int, method, path, body string) answer {
		t.Helper()
		a, err := w.send(method, path, []byte(body))
		if err != nil || !w.want(a, status, method, path) {
			t.FailNow()
		}
		return a
	}
	digestOf := func(tag string) string {
		return do(http.StatusOK, "HEAD", "/v2/a/app/manifests/"+tag, "").Header.Get("Docker-Content-Digest")
	}
	index := digestOf("v1")
	if status, reply := tell(t, first, "POST", "/seed", `{"referrer": {"repository": "a/app", "subject": "`+index+`", "artifact_type": "a/b"}}`); status != http.StatusOK {
		t.Fatal(reply)
	}
	do(http.StatusOK, "PATCH", "/acr/v1/a/app", `{"deleteEnabled": false}`)
	do(http.StatusOK, "PATCH", "/acr/v1/a/app/_tags/v2", `{"writeEnabled": false}`)
	do(http.StatusOK, "PATCH", "/acr/v1/a/app/_manifests/"+index, `{"listEnabled": false}`)
	do(http.StatusAccepted, "DELETE", "/v2/a/app/manifests/"+digestOf("gone"), "")
	location := do(http.StatusAccepted, "POST", "/v2/a/app/blobs/uploads/", "").Header.Get("Location")
	location = do(http.StatusAccepted, "PATCH", location, "half of").Header.Get("Location")
	hello := "/v2/a/blobs/blobs/" + digest.FromString("hello").String()

	paths := []string{
		"/acr/v1/_catalog", "/v2/_catalog", "/acr/v1/a/app", "/acr/v1/a/tags", "/acr/v1/a/app/_tags", "/acr/v1/a/app/_manifests", "/acr/v1/a/tags/_tags?orderby=timedesc",
		"/acr/v1/a/tags/_tags?n=200", "/acr/v1/a/manifests/_manifests?orderby=timeasc", "/acr/v1/a/manifests/_manifests", "/v2/a/tags/tags/list",
		"/acr/v1/a/app/_manifests/" + index, "/v2/a/app/manifests/v1", "/v2/a/app/manifests/v2", "/v2/a/app/referrers/" + index, hello,
		"/acr/v1/_deleted/_catalog", "/acr/v1/_deleted/a/app/_manifests", "/acr/v1/_deleted/a/app/_tags",
	}
	before := everything(t, first, paths)
	stop()

	second, stop := launch(t, args...)
	defer stop()
	after := everything(t, second, paths)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	for path, said := range after {
		if !strings.HasPrefix(said, "200") {
			t.Errorf("%s: %s", path, said)
		}
	}
	if first.Username != second.Username || first.Password != second.Password || first.ClientSecret != second.ClientSecret || first.Tenant != second.Tenant {
		t.Error("the registry has other passwords")
	}
	w.client, w.endpoint = clientOf(t, second), second.Endpoint
	if got := do(http.StatusNoContent, "GET", location, "").Header.Get("Range"); got != "0-6" {
		t.Errorf("the upload is at %q", got)
	}
	location = do(http.StatusAccepted, "PATCH", location, " a blob").Header.Get("Location")
	do(http.StatusCreated, "PUT", location+"&digest="+digest.FromString("half of a blob").String(), "")
	do(http.StatusMethodNotAllowed, "DELETE", "/acr/v1/a/app", "")
}
