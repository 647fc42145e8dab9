package acrtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

const allEnabled = `"changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}`

var timestamp = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?Z"`)

// shape takes what differs from run to run out of a body.
func (r *registry) shape(body string) string {
	return timestamp.ReplaceAllString(strings.ReplaceAll(body, r.s.Host(), "HOST"), `"TIME"`)
}

func TestProperties(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	config := r.pushBlob("a/b", `{"architecture":"amd64","os":"linux"}`)
	layer := r.pushBlob("a/b", "layer")
	image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":37,"digest":%q},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":5,"digest":%q}]}`, dockerManifest, config, layer)
	d := digest.FromString(image)
	r.want(r.push("a/b", "v1", dockerManifest, image), http.StatusCreated)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q,"platform":{"architecture":"amd64","os":"linux"}}]}`,
		ociIndex, dockerManifest, len(image), d)
	i := digest.FromString(index)
	r.want(r.push("a/b", i.String(), ociIndex, index), http.StatusCreated)

	manifest := fmt.Sprintf(`{"digest":%q,"imageSize":5,"createdTime":"TIME","lastUpdateTime":"TIME","architecture":"amd64","os":"linux","mediaType":%q,`+
		`"configMediaType":"application/vnd.docker.container.image.v1+json","tags":["v1"],`, d, dockerManifest) + allEnabled + `}`
	indexed := fmt.Sprintf(`{"digest":%q,"imageSize":%d,"createdTime":"TIME","lastUpdateTime":"TIME","mediaType":%q,"references":[{"digest":%q,"architecture":"amd64","os":"linux"}],`,
		i, len(image), ociIndex, d) + allEnabled + `}`
	tag := fmt.Sprintf(`{"name":"v1","digest":%q,"createdTime":"TIME","lastUpdateTime":"TIME","signed":false,`, d) + allEnabled + `}`
	head := `{"registry":"HOST","imageName":"a/b",`
	both := []string{manifest, indexed}
	if i < d {
		both = []string{indexed, manifest}
	}
	for path, want := range map[string]string{
		"/acr/v1/a/b": head + `"createdTime":"TIME","lastUpdateTime":"TIME","manifestCount":2,"tagCount":1,` + allEnabled + `}`,
		"/acr/v1/a%2Fb/_tags/v1?api-version=2021-07-01":           head + `"tag":` + tag + `}`,
		"/acr/v1/a/b/_tags":                                       head + `"tags":[` + tag + `]}`,
		"/acr/v1/a/b/_tags?digest=" + url.QueryEscape(d.String()): head + `"tags":[` + tag + `]}`,
		"/acr/v1/a/b/_tags?digest=" + url.QueryEscape(i.String()): head + `"tags":null}`,
		"/acr/v1/a/b/_manifests/" + d.String():                    head + `"manifest":` + manifest + `}`,
		"/acr/v1/a%2Fb/_manifests/" + url.QueryEscape(i.String()): head + `"manifest":` + indexed + `}`,
		"/acr/v1/a/b/_manifests":                                  head + `"manifests":[` + strings.Join(both, ",") + `]}`,
		"/v2/a/b/tags/list":                                       `{"name":"a/b","tags":["v1"]}`,
		"/v2/_catalog":                                            `{"repositories":["a/b"]}`,
	} {
		a := r.want(r.send("GET", path, ""), http.StatusOK, "Content-Type", "application/json; charset=utf-8")
		if got := r.shape(a.body); got != want+"\n" {
			t.Errorf("%s:\ngot  %swant %s", path, got, want)
		}
	}
	for path, code := range map[string]string{
		"/acr/v1/nowhere": "NAME_UNKNOWN", "/acr/v1/nowhere/_tags": "NAME_UNKNOWN", "/acr/v1/nowhere/_manifests": "NAME_UNKNOWN", "/v2/nowhere/tags/list": "NAME_UNKNOWN",
		"/acr/v1/a/b/_tags/x": "TAG_UNKNOWN", "/acr/v1/nowhere/_tags/x": "TAG_UNKNOWN",
		"/acr/v1/a/b/_manifests/" + digest.FromString("x").String(): "MANIFEST_UNKNOWN",
	} {
		if a := r.want(r.send("GET", path, ""), http.StatusNotFound); !strings.Contains(a.body, code) {
			t.Errorf("%s: %s", path, a.body)
		}
	}

	r.want(r.send("DELETE", "/acr/v1/a/b/_tags/v1", ""), http.StatusAccepted, "X-Ms-Int-Docker-Content-Digest", d.String(), "Content-Length", "0")
	r.refused(r.send("DELETE", "/acr/v1/nowhere/_tags/v1", ""), http.StatusNotFound, "TAG_UNKNOWN", "the specified tag does not exist", "")
	r.want(r.push("a/b", "v2", dockerManifest, image), http.StatusCreated)
	r.wantBody(r.send("DELETE", "/acr/v1/a%2Fb", ""), http.StatusAccepted,
		fmt.Sprintf(`{"manifestsDeleted":[%q,%q],"tagsDeleted":["v2"]}`+"\n", min(d, i), max(d, i)))
	r.want(r.send("DELETE", "/acr/v1/a%2Fb", ""), http.StatusNotFound)
}

// The links of lists, letter by letter.
func TestLinks(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.s.SeedTags(t, "library/busybox", 3)
	r.s.SeedManifests(t, "library/hello-world", 3)
	for path, want := range map[string]string{
		"/acr/v1/_catalog?n=1&api-version=2021-07-01":            "</acr/v1/_catalog?last=library%2Fbusybox&n=1&orderby=>; rel=\"next\"",
		"/acr/v1/_catalog?n=2":                                   "", // a full last page
		"/acr/v1/_catalog?last=library%2Fbusybox&n=1&orderby=":   "",
		"/v2/_catalog?n=1":                                       "</v2/_catalog?last=library%2Fbusybox&n=1&orderby=>; rel=\"next\"",
		"/acr/v1/library%2Fbusybox/_tags?n=1":                    "</acr/v1/library%2Fbusybox/_tags?last=t000000&n=1&orderby=>; rel=\"next\"",
		"/acr/v1/library/busybox/_tags?n=2&orderby=timedesc":     "</acr/v1/library/busybox/_tags?last=t000001&n=2&orderby=timedesc>; rel=\"next\"",
		"/acr/v1/library%2fbusybox/_tags?n=1&last=t000001":       "", // one more, and it is the last
		"/v2/library/busybox/tags/list?n=2":                      "</v2/library/busybox/tags/list?last=t000001&n=2&orderby=>; rel=\"next\"",
		"/v2/library/busybox/tags/list?n=0":                      "",
		"/acr/v1/library/busybox/_tags?last=zzz":                 "",
		"/acr/v1/library/busybox/_tags?n=-1":                     "",
		"/acr/v1/library/busybox/_tags?n=many":                   "",
		"/acr/v1/library/hello-world/_tags?n=1&digest=sha256:xx": "",
	} {
		r.want(r.send("GET", path, ""), http.StatusOK, "Link", want)
	}
	a := r.send("GET", "/acr/v1/library/hello-world/_manifests?n=1", "")
	last := decode[struct{ Manifests []struct{ Digest string } }](t, a.body).Manifests[0].Digest
	r.want(a, http.StatusOK, "Link", "</acr/v1/library/hello-world/_manifests?last="+url.QueryEscape(last)+"&n=1&orderby=>; rel=\"next\"")
	if got := decode[struct{ Tags []string }](t, r.send("GET", "/v2/library/busybox/tags/list?n=0", "").body).Tags; len(got) != 0 {
		t.Errorf("n=0: %v", got)
	}

	trailing := newRegistry(t, acrtest.WithTrailingEmptyPage())
	trailing.s.SeedTags(t, "r", 2)
	a = trailing.want(trailing.send("GET", "/acr/v1/r/_tags?n=2", ""), http.StatusOK, "Link", "</acr/v1/r/_tags?last=t000001&n=2&orderby=>; rel=\"next\"")
	empty := trailing.want(trailing.send("GET", "/acr/v1/r/_tags?last=t000001&n=2&orderby=", ""), http.StatusOK, "Link", "")
	if !strings.Contains(empty.body, `"tags":null`) {
		t.Errorf("%s after %s", empty.body, a.Header.Get("Link"))
	}
}

// Pages are of a hundred, and of a thousand at most.
func TestPageSizes(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.s.SeedTags(t, "r", 1500)
	for query, want := range map[string]int{"": 100, "?n=7": 7, "?n=1000": 1000, "?n=5000": 1000, "?n=99999999999999999999": 1000, "?n=-1": 100} {
		a := r.want(r.send("GET", "/acr/v1/r/_tags"+query, ""), http.StatusOK)
		if got := len(decode[struct{ Tags []struct{} }](t, a.body).Tags); got != want {
			t.Errorf("%q: %d tags, want %d", query, got, want)
		}
		if !strings.Contains(a.Header.Get("Link"), fmt.Sprintf("&n=%d&", want)) {
			t.Errorf("%q: Link %q", query, a.Header.Get("Link"))
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := r.s.SeedImage(t, "r:v1")
	const locked = `"changeableAttributes":{"deleteEnabled":true,"writeEnabled":false,"readEnabled":true,"listEnabled":true`
	for _, path := range []string{"/acr/v1/r", "/acr/v1/r/_tags/v1", "/acr/v1/r/_manifests/" + d.String()} {
		before := r.send("GET", path, "").body
		a := r.want(r.send("PATCH", path, `{"writeEnabled":false}`, "Content-Type", "application/json"), http.StatusOK)
		if got := strings.Replace(before, strings.TrimSuffix(allEnabled, "}"), locked, 1); a.body != got {
			t.Errorf("%s:\ngot  %swant %s", path, a.body, got) // the times stay too
		}
		r.want(r.send("PATCH", path, ""), http.StatusOK)
		r.want(r.send("PATCH", path, `{"unknown":1}`), http.StatusOK)
		r.want(r.send("PATCH", path, `{"writeEnabled":"yes"}`), http.StatusBadRequest)
		r.want(r.send("PATCH", path, `[`), http.StatusBadRequest)
	}
	const message = "The operation is disallowed on this registry, repository or image."
	for _, a := range []answer{
		r.send("DELETE", "/acr/v1/r", ""),
		r.send("DELETE", "/acr/v1/r/_tags/v1", ""),
		r.send("DELETE", "/v2/r/manifests/"+d.String(), ""),
		r.send("POST", "/v2/r/blobs/uploads/", ""),
		r.push("r", "v1", "x/y", "{}"),
	} {
		r.want(a, http.StatusMethodNotAllowed)
		if !strings.HasPrefix(a.body, `{"errors":[{"code":"REGISTRY_DISALLOWED_OPERATION","message":"`+message) || !strings.HasSuffix(a.body, `"detail":{}}]}`+"\n") {
			t.Errorf("%s %s: %s", a.Request.Method, a.Request.URL.Path, a.body)
		}
	}
	a := r.send("PATCH", "/acr/v1/r/_manifests/"+d.String(), `{"quarantineState":"Passed","quarantineDetails":"{}"}`)
	if !strings.Contains(a.body, `"quarantineState":"Passed","quarantineDetails":"{}"}`) {
		t.Error(a.body)
	}
	r.want(r.send("PATCH", "/acr/v1/r", `{"readEnabled":false}`), http.StatusOK)
	r.want(r.send("GET", "/v2/r/manifests/v1", ""), http.StatusMethodNotAllowed)
	r.want(r.send("HEAD", "/v2/r/manifests/v1", ""), http.StatusMethodNotAllowed)
}

func TestImmutableTags(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithImmutableTags())
	r.want(r.push("r", "v1", "x/y", "{}"), http.StatusCreated)
	r.want(r.push("r", "v1", "x/y", "{}"), http.StatusCreated)
	r.want(r.push("r", "v1", "x/y", "[]"), http.StatusMethodNotAllowed)
}

func TestDeleted(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithSoftDelete(7))
	d := r.s.SeedImage(t, "a/b:v1")
	r.want(r.send("DELETE", "/acr/v1/a/b", ""), http.StatusAccepted)
	r.want(r.send("GET", "/acr/v1/a/b", ""), http.StatusNotFound)
	r.wantBody(r.send("GET", "/acr/v1/_deleted/_catalog", ""), http.StatusOK, `{"repositories":["a/b"]}`+"\n")
	tags := fmt.Sprintf(`{"registry":"HOST","imageName":"a/b","tags":[{"tag":"v1","digest":%q,"deletedAt":"TIME"}]}`+"\n", d)
	if got := r.shape(r.send("GET", "/acr/v1/_deleted/a%2Fb/_tags?n=1", "").body); got != tags {
		t.Errorf("got %s, want %s", got, tags)
	}
	manifests := r.shape(r.send("GET", "/acr/v1/_deleted/a/b/_manifests", "").body)
	if !strings.HasPrefix(manifests, fmt.Sprintf(`{"registry":"HOST","imageName":"a/b","manifests":[{"digest":%q,"deletedAt":"TIME",`, d)) || !strings.Contains(manifests, `"tags":["v1"]`) {
		t.Error(manifests)
	}
	restore := "/acr/v1/_deleted/a/b/_manifests/" + d.String()
	r.want(r.send("POST", restore, `{"tag":"not a tag"}`), http.StatusBadRequest)
	r.want(r.send("POST", restore+"?force=false", `{"tag":"v1"}`), http.StatusAccepted)
	r.want(r.send("GET", "/v2/a/b/manifests/v1", ""), http.StatusOK, "Docker-Content-Digest", d.String())
	r.want(r.send("POST", restore, `{"tag":""}`), http.StatusNotFound)

	other := r.s.SeedImage(t, "a/b:v2", []byte("other"))
	r.want(r.send("DELETE", "/v2/a/b/manifests/"+other.String(), ""), http.StatusAccepted)
	r.want(r.send("POST", "/acr/v1/_deleted/a/b/_manifests/"+other.String(), `{"tag":"v1"}`), http.StatusConflict)
	r.want(r.send("POST", "/acr/v1/_deleted/a/b/_manifests/"+other.String()+"?force=true", `{"tag":"v1"}`), http.StatusAccepted)
	r.want(r.send("GET", "/v2/a/b/manifests/v1", ""), http.StatusOK, "Docker-Content-Digest", other.String())

	r.want(r.send("DELETE", "/acr/v1/a/b", ""), http.StatusAccepted)
	r.s.Advance(7*24*time.Hour + time.Minute)
	r.wantBody(r.send("GET", "/acr/v1/_deleted/_catalog", ""), http.StatusOK, `{"repositories":null}`+"\n")
	r.want(r.send("POST", restore, `{}`), http.StatusNotFound)
}

// Reads see a write, and a deletion, when the lag is over.
func TestReplicaLag(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithReplicaLag(time.Minute))
	r.want(r.push("r", "v1", "x/y", "{}"), http.StatusCreated)
	r.want(r.send("GET", "/v2/r/manifests/v1", ""), http.StatusNotFound)
	r.s.Advance(time.Minute + time.Second)
	r.want(r.send("GET", "/v2/r/manifests/v1", ""), http.StatusOK)
	r.want(r.send("DELETE", "/acr/v1/r/_tags/v1", ""), http.StatusAccepted)
	r.want(r.send("GET", "/acr/v1/r/_tags/v1", ""), http.StatusOK)
	r.s.Advance(time.Minute + time.Second)
	r.want(r.send("GET", "/acr/v1/r/_tags/v1", ""), http.StatusNotFound)
}

func TestSupport(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.wantBody(r.send("GET", "/v2/", ""), http.StatusOK, "{}")
}
