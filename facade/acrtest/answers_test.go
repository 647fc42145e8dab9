package acrtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

const needsCredential = "authentication required, visit https://aka.ms/acr/authorization for more information."

// Clients of the service depend on an empty list being null.
func TestEmptyListsAreNull(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithSoftDelete(1))
	r.wantBody(r.send("GET", "/acr/v1/_catalog", ""), http.StatusOK, `{"repositories":null}`+"\n")
	r.wantBody(r.send("GET", "/v2/_catalog", ""), http.StatusOK, `{"repositories":null}`+"\n")
	r.wantBody(r.send("GET", "/acr/v1/_deleted/_catalog", ""), http.StatusOK, `{"repositories":null}`+"\n")
	d := r.s.SeedImage(t, "app:v1")
	own := fmt.Sprintf(`"registry":%q,"imageName":"app"`, r.s.Host())
	for path, body := range map[string]string{
		"/acr/v1/_catalog?last=app":                     `{"repositories":null}`,
		"/v2/_catalog?n=0":                              `{"repositories":null}`,
		"/v2/app/tags/list?n=0":                         `{"name":"app","tags":null}`,
		"/v2/app/tags/list?last=v1":                     `{"name":"app","tags":null}`,
		"/acr/v1/app/_tags?last=v1":                     "{" + own + `,"tags":null}`,
		"/acr/v1/app/_manifests?last=" + d.String():     "{" + own + `,"manifests":null}`,
		"/acr/v1/_deleted/app/_tags":                    "{" + own + `,"tags":null}`,
		"/acr/v1/_deleted/app/_manifests":               "{" + own + `,"manifests":null}`,
		"/acr/v1/app/_tags?digest=sha256:" + zeroDigest: "{" + own + `,"tags":null}`,
	} {
		r.wantBody(r.send("GET", path, ""), http.StatusOK, body+"\n")
	}
	// A list of referrers is an index, whose manifests the specification wants as an array.
	a := r.want(r.send("GET", "/v2/app/referrers/"+d.String(), ""), http.StatusOK)
	if !strings.Contains(a.body, `"manifests":[]`) {
		t.Errorf("no referrers: %s", a.body)
	}
}

var zeroDigest = strings.Repeat("0", 64)

// What is said to who has no credential, or a wrong one.
func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	anonymous := r.send("GET", "/v2/", "", "Authorization", "")
	r.wantBody(anonymous, http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":"`+needsCredential+`","detail":null}]}`+"\n")
	if len(anonymous.body) != 149 {
		t.Errorf("%d bytes, want 149", len(anonymous.body))
	}
	for _, path := range []string{"/v2/", "/v2/app/tags/list", "/acr/v1/_catalog"} {
		wrong := r.send("GET", path, "", "Authorization", "Basic bWU6d3Jvbmc=")
		r.want(wrong, http.StatusUnauthorized, "Www-Authenticate", `Basic realm="Azure Container Registry"`)
		bearer := r.send("GET", path, "", "Authorization", "Bearer wrong")
		if got := bearer.Header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Bearer realm=") {
			t.Errorf("%s: a wrong token is answered by %q", path, got)
		}
	}
}

// A password grant needs a scope.
func TestPasswordGrantWithoutScope(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	user, password := r.s.Admin()
	for _, who := range []string{"", "&username=" + user + "&password=" + password} {
		form := "grant_type=password&service=" + r.s.Host() + who
		a := r.send("POST", "/oauth2/token", form, "Content-Type", "application/x-www-form-urlencoded")
		r.wantBody(a, http.StatusBadRequest, "")
		a = r.send("POST", "/oauth2/token", form+"&scope=registry:catalog:*", "Content-Type", "application/x-www-form-urlencoded")
		r.want(a, http.StatusOK)
	}
}

// What the caller does not accept is named by its kind, without a detail.
func TestManifestThatIsNotAccepted(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	d := r.s.SeedImage(t, "app:v1")
	r.s.SeedIndex(t, "app:all", "amd64")
	for reference, message := range map[string]string{
		"v1":       "OCI manifest found, but accept header does not support OCI manifests",
		d.String(): "OCI manifest found, but accept header does not support OCI manifests",
		"all":      "OCI index found, but accept header does not support OCI indexes",
	} {
		a := r.send("GET", "/v2/app/manifests/"+reference, "", "Accept", dockerManifest)
		r.refused(a, http.StatusNotFound, "MANIFEST_UNKNOWN", message, "")
	}
}

// A manifest of Docker's type refers to nothing, whatever it says.
func TestDockerManifestWithSubject(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	subject := r.s.SeedImage(t, "app:v1")
	blob := r.pushBlob("app", "{}")
	// The image of OCI comes last: what it refers to stays referred to when its tag is gone.
	for _, mediaType := range []string{dockerManifest, ociManifest} {
		refers := mediaType == ociManifest
		m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],`+
			`"subject":{"mediaType":%q,"digest":%q,"size":1}}`, mediaType, blob, ociManifest, subject)
		want := ""
		if refers {
			want = subject.String()
		}
		r.want(r.push("app", "v2", mediaType, m), http.StatusCreated, "Oci-Subject", want)
		a := r.send("GET", "/v2/app/referrers/"+subject.String(), "")
		if got := strings.Contains(a.body, `"digest"`); got != refers {
			t.Errorf("%s is a referrer: %v, want %v", mediaType, got, refers)
		}
		r.want(r.send("DELETE", "/acr/v1/app/_tags/v2", ""), http.StatusAccepted)
	}
}

func TestThrottledSaysWhere(t *testing.T) {
	t.Parallel()
	const message = "Too many requests. Please visit https://aka.ms/acr/skus#sku-feature-matrix to view limits of all service tiers."
	r := newRegistry(t, acrtest.WithBudget(acrtest.ReadBudget, 1))
	r.send("GET", "/v2/_catalog", "")
	r.refused(r.send("GET", "/v2/_catalog", ""), http.StatusTooManyRequests, "TOOMANYREQUESTS", message, "")
	r.s.On("DeleteTag").Status(http.StatusTooManyRequests)
	r.refused(r.send("DELETE", "/acr/v1/app/_tags/v1", ""), http.StatusTooManyRequests, "TOOMANYREQUESTS", message, "")
}

// A repository without manifests stays, if the registry is one where it does, over a restart too, and goes when it is deleted.
func TestEmptyRepositories(t *testing.T) {
	t.Parallel()
	for _, keeps := range []bool{false, true} {
		opts := []acrtest.Option{acrtest.WithDirectory(t.TempDir())}
		missing := http.StatusNotFound
		if keeps {
			opts, missing = append(opts, acrtest.WithEmptyRepositories()), http.StatusOK
		}
		s, err := acrtest.Start(opts...)
		if err != nil {
			t.Fatal(err)
		}
		d := s.SeedImage(t, "app:v1")
		r := &registry{t, s, s.HTTPClient()}
		r.want(r.send("DELETE", "/v2/app/manifests/"+d.String(), ""), http.StatusAccepted)
		s.Close()
		r = newRegistry(t, opts...)
		for _, path := range []string{"/acr/v1/app", "/acr/v1/app/_tags", "/acr/v1/app/_manifests", "/v2/app/tags/list"} {
			r.want(r.send("GET", path, ""), missing)
		}
		if got := len(r.s.Repositories()) == 1; got != keeps {
			t.Errorf("in the catalog: %v, want %v", got, keeps)
		}
		if !keeps {
			continue
		}
		props := r.send("GET", "/acr/v1/app", "").body
		if !strings.Contains(props, `"manifestCount":0,"tagCount":0`) {
			t.Errorf("%s", props)
		}
		r.want(r.send("DELETE", "/acr/v1/app", ""), http.StatusAccepted)
		r.want(r.send("GET", "/acr/v1/app", ""), http.StatusNotFound)
	}
}
