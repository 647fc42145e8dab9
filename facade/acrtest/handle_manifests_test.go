package acrtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	content := imageOf(r.pushBlob("a/b", "{}"), "one")
	d := digest.FromString(content)
	for _, reference := range []string{"latest", d.String(), strings.Replace(d.String(), ":", "%3A", 1)} {
		r.want(r.push("a%2Fb", reference, ociManifest, content), http.StatusCreated,
			"Docker-Content-Digest", d.String(), "Location", "/v2/a/b/manifests/"+d.String(), "Content-Length", "0", "OCI-Subject", "")
	}
	for _, reference := range []string{"latest", d.String()} {
		for _, method := range []string{"GET", "HEAD"} {
			a := r.want(r.send(method, "/v2/a/b/manifests/"+reference, "", "Accept", ociManifest), http.StatusOK, "Content-Type", ociManifest,
				"Docker-Content-Digest", d.String(), "ETag", `"`+d.String()+`"`, "Content-Length", strconv.Itoa(len(content)))
			if want := map[string]string{"GET": content}[method]; a.body != want {
				t.Errorf("%s: body %q", method, a.body)
			}
		}
		r.want(r.send("GET", "/v2/a/b/manifests/"+reference, "", "If-None-Match", `"`+d.String()+`"`), http.StatusNotModified, "ETag", `"`+d.String()+`"`)
	}

	missing := digest.FromString("missing")
	r.refused(r.send("GET", "/v2/a/b/manifests/wrong-tag", ""), http.StatusNotFound, "MANIFEST_UNKNOWN", `manifest tagged by "wrong-tag" is not found`, `{"Tag":"wrong-tag"}`)
	r.refused(r.send("GET", "/v2/a/b/manifests/"+missing.String(), ""), http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest "+missing.String()+" is not found",
		`{"Name":"a/b","Revision":"`+missing.String()+`"}`)
	r.refused(r.send("DELETE", "/v2/a/b/manifests/latest", ""), http.StatusMethodNotAllowed, "UNSUPPORTED", "A manifest can only be deleted by digest.", "")
	for _, name := range []string{"a/b", "nowhere"} {
		r.refused(r.send("DELETE", "/v2/"+name+"/manifests/"+missing.String(), ""), http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest "+missing.String()+" is not found", "")
	}
	r.want(r.send("DELETE", "/v2/a/b/manifests/"+d.String(), ""), http.StatusAccepted, "Content-Length", "0")
	r.want(r.send("GET", "/v2/a/b/manifests/latest", ""), http.StatusNotFound)
	r.refused(r.send("GET", "/acr/v1/a/b", ""), http.StatusNotFound, "NAME_UNKNOWN", `repository "a/b" is not found`, "")
}

func TestRefusedManifest(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	blob := r.pushBlob("r", "{}")
	good := imageOf(blob, "")
	missing := digest.FromString("missing")
	for name, c := range map[string]struct {
		reference, mediaType, content string
		want                          string
	}{
		"other type":   {"t", dockerManifest, good, `{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{"Reason":{}}}`},
		"no type":      {"t", "", good, `"MANIFEST_INVALID"`},
		"not JSON":     {"t", ociManifest, "{", `"MANIFEST_INVALID"`},
		"too large":    {"t", ociManifest, `{"x":"` + strings.Repeat("x", 4<<20) + `"}`, `"MANIFEST_INVALID"`},
		"other digest": {missing.String(), ociManifest, good, `"DIGEST_INVALID"`},
		"bad digest":   {"md5:d41d8cd98f00b204e9800998ecf8427e", ociManifest, good, `"DIGEST_INVALID"`},
		"missing blob": {"t", ociManifest, imageOf(missing, ""), `{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":"` + missing.String() + `"}`},
		"missing entry": {"t", ociIndex, `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[{"mediaType":"` + ociManifest + `","size":2,"digest":"` + missing.String() + `"}]}`,
			`"MANIFEST_BLOB_UNKNOWN"`},
	} {
		if a := r.want(r.push("r", c.reference, c.mediaType, c.content), http.StatusBadRequest); !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %s, want %s", name, a.body, c.want)
		}
	}
	r.wantBody(r.send("GET", "/acr/v1/_catalog", ""), http.StatusOK, `{"repositories":null}`+"\n")

	lax := newRegistry(t, acrtest.WithoutBlobCheck())
	lax.want(lax.push("r", "t", ociManifest, imageOf(missing, "")), http.StatusCreated)
}

// Which Accept gets which manifest.
func TestAccept(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	blob := r.pushBlob("r", "{}")
	oci := imageOf(blob, "")
	docker := strings.ReplaceAll(oci, ociManifest, dockerManifest)
	r.want(r.push("r", "oci", ociManifest, oci), http.StatusCreated)
	r.want(r.push("r", "docker", dockerManifest, docker), http.StatusCreated)
	r.want(r.push("r", "own", "application/vnd.example+json", "{}"), http.StatusCreated)
	for _, c := range []struct {
		reference, accept string
		status            int
	}{
		{"oci", ociManifest, http.StatusOK},
		{"oci", "application/json, " + ociManifest + ";q=0.5", http.StatusOK},
		{"oci", "*/*", http.StatusOK},
		{"oci", "application/json", http.StatusNotFound},
		{"oci", "", http.StatusNotFound},
		{digest.FromString(oci).String(), "application/json", http.StatusNotFound},
		{"docker", dockerManifest, http.StatusOK},
		{"docker", ociManifest, http.StatusNotFound},
		{digest.FromString(docker).String(), "application/json", http.StatusOK},
		{"own", "application/json", http.StatusOK},
	} {
		r.want(r.send("GET", "/v2/r/manifests/"+c.reference, "", "Accept", c.accept), c.status)
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	blob := r.pushBlob("r", "{}")
	subject := digest.FromString(imageOf(blob, ""))
	r.want(r.push("r", "t", ociManifest, imageOf(blob, "")), http.StatusCreated)
	for i := range 3 {
		content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/%d","config":{"mediaType":"c/c","digest":%q,"size":2},"layers":[],"subject":{"mediaType":%[1]q,"digest":%[4]q,"size":1},"annotations":{"k":"v"}}`,
			ociManifest, i%2, blob, subject)
		content = strings.Replace(content, `"k":"v"`, fmt.Sprintf(`"k":"%d"`, i), 1)
		r.want(r.push("r", digest.FromString(content).String(), ociManifest, content), http.StatusCreated, "OCI-Subject", subject.String())
	}
	path := "/v2/r/referrers/" + subject.String()
	a := r.want(r.send("GET", path, ""), http.StatusOK, "Content-Type", ociIndex, "OCI-Filters-Applied", "", "Link", "")
	index := decode[ocispec.Index](t, a.body)
	if len(index.Manifests) != 3 || index.MediaType != ociIndex || index.SchemaVersion != 2 {
		t.Errorf("%s", a.body)
	}
	for _, m := range index.Manifests {
		if m.MediaType != ociManifest || m.Size == 0 || !strings.HasPrefix(m.ArtifactType, "a/") || m.Annotations["k"] == "" {
			t.Errorf("descriptor %+v", m)
		}
	}
	a = r.want(r.send("GET", path+"?artifactType=a%2F0&n=1", ""), http.StatusOK, "OCI-Filters-Applied", "artifactType")
	page := decode[ocispec.Index](t, a.body)
	if len(page.Manifests) != 1 {
		t.Fatalf("a page of one: %s", a.body)
	}
	last := page.Manifests[0].Digest
	r.want(a, http.StatusOK, "Link", "<"+path+"?last="+url.QueryEscape(last.String())+"&n=1&artifactType=a%2F0>; rel=\"next\"")
	next := decode[ocispec.Index](t, r.send("GET", path+"?artifactType=a%2F0&n=1&last="+last.String(), "").body)
	if len(next.Manifests) != 1 || next.Manifests[0].Digest == last {
		t.Errorf("the next page: %+v", next.Manifests)
	}
	none := r.send("GET", "/v2/nowhere/referrers/"+subject.String(), "")
	r.wantBody(none, http.StatusOK, `{"schemaVersion":2,"mediaType":"`+ociIndex+`","manifests":[]}`+"\n")

	r.want(r.send("DELETE", "/v2/r/manifests/"+subject.String(), ""), http.StatusAccepted)
	r.want(r.send("GET", "/acr/v1/r", ""), http.StatusNotFound)
}
