package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

const (
	formType   = "Content-Type: application/x-www-form-urlencoded"
	octetType  = "Content-Type: application/octet-stream"
	imageType  = "Content-Type: application/vnd.oci.image.manifest.v1+json"
	acceptOCI  = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
	pulledBlob = "a layer, or so"
)

// caller sends calls to an emulated registry and holds them against the document.
type caller struct {
	t      *testing.T
	server *acrtest.Server
	client *http.Client
}

func newCaller(t *testing.T, opts ...acrtest.Option) (*caller, *contract.Checker) {
	t.Helper()
	server := acrtest.New(t, opts...)
	client := server.HTTPClient()
	checker := contract.New(t, client.Transport)
	client.Transport = checker
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &caller{t, server, client}, checker
}

// call sends a request and demands a status. It goes to the registry as the admin user, unless the
// target is a whole URL or a header has it otherwise.
func (c *caller) call(want int, method, target, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	login := strings.HasPrefix(target, "/")
	if login {
		target = c.server.Endpoint() + target
	}
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req := request(c.t, method, target, reader, headers...)
	if login && req.Header.Get("Authorization") == "" && !strings.Contains(target, "/oauth2/") {
		req.SetBasicAuth(c.server.Admin())
	}
	if req.Header.Get("Authorization") == "none" {
		req.Header.Del("Authorization")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, req.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, req.URL.Path, err)
	}
	if resp.StatusCode != want {
		c.t.Errorf("%s %s: status %d, want %d: %s", method, req.URL.Path, resp.StatusCode, want, data)
	}
	return resp, string(data)
}

// TestEmulator holds successes and errors of the emulated registry against the document.
func TestEmulator(t *testing.T) {
	t.Parallel()
	c, checker := newCaller(t, acrtest.WithSoftDelete(7))
	subject := c.server.SeedImage(t, "team/app:v1")
	c.server.SeedTags(t, "team/app", 3)
	c.server.SeedIndex(t, "team/index:v1", "amd64", "arm64")
	c.server.SeedReferrer(t, "team/app", subject, "application/vnd.example.sbom")

	c.signIn()
	c.lists(subject.String())
	c.attributes(subject.String())
	config := c.upload()
	c.manifests(config)
	c.refusals()
	c.deletes(subject.String())

	if len(checker.Seen()[contract.StorageOperation]) == 0 {
		t.Errorf("%s was not exercised", contract.StorageOperation)
	}
}

// TestOperationsAreEmulated calls every operation of the document without a token. The emulator has
// to know the path, and to answer with a challenge that names the scope of the document.
func TestOperationsAreEmulated(t *testing.T) {
	t.Parallel()
	c, _ := newCaller(t)
	ids, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("{name}", "team/app", "{reference}", "v1", "{tag}", "v1", "{uuid}", "u", "{id}", "u",
		"{digest}", digest.FromString(pulledBlob).String())
	const table = "add a row to operationTable in facade/acrtest/operations.go, and the method that serves it"
	for _, id := range ids {
		declared, err := contract.Declared(id)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(acrtest.Operations(), id) {
			t.Errorf("the emulator does not know %s: %s", id, table)
			continue
		}
		if declared.Scopes == nil { // a token operation: it needs no token
			continue
		}
		path := values.Replace(declared.Path)
		if strings.Contains(path, "{") {
			t.Errorf("%s has a parameter that this test has no value for: add one to values", declared.Path)
			continue
		}
		req := request(t, declared.Method, c.server.Endpoint()+path, http.NoBody)
		resp, err := c.server.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		challenge := resp.Header.Get("WWW-Authenticate")
		_, scope, _ := strings.Cut(challenge, `scope="`)
		scope, _, _ = strings.Cut(scope, `"`)
		if want := values.Replace(strings.Join(declared.Scopes, " ")); resp.StatusCode != 401 || scope != want {
			t.Errorf("the emulator answers %s (%s %s) with %s and scope %q, want 401 and %q: correct its row of operationTable in facade/acrtest/operations.go",
				id, declared.Method, req.URL.Path, resp.Status, scope, want)
		}
	}
}

func (c *caller) signIn() {
	c.t.Helper()
	service := c.server.Host()
	form := url.Values{"grant_type": {"access_token"}, "service": {service}, "access_token": {c.server.EntraToken()}}
	_, body := c.call(200, "POST", "/oauth2/exchange?api-version=2021-07-01", form.Encode(), formType)
	var refresh struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &refresh); err != nil {
		c.t.Fatal(err)
	}
	form = url.Values{"grant_type": {"refresh_token"}, "service": {service}, "scope": {"repository:team/app:metadata_read"}, "refresh_token": {refresh.RefreshToken}}
	_, body = c.call(200, "POST", "/oauth2/token?api-version=2021-07-01", form.Encode(), formType)
	var access struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &access); err != nil {
		c.t.Fatal(err)
	}
	c.call(200, "GET", "/acr/v1/team/app", "", "Authorization: Bearer "+access.AccessToken)
	c.call(401, "DELETE", "/acr/v1/team/app", "", "Authorization: Bearer "+access.AccessToken)
	c.call(401, "GET", "/acr/v1/team/app", "", "Authorization: Bearer nonsense")
	c.call(401, "GET", "/v2/", "", "Authorization: none")
	c.call(401, "HEAD", "/v2/team/app/manifests/v1", "", "Authorization: none")
	c.call(401, "POST", "/v2/team/app/blobs/uploads/", "", "Authorization: none")
	c.call(401, "GET", "/acr/v1/_catalog", "", "Authorization: none")
	c.call(401, "POST", "/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {service}, "access_token": {"nonsense"}}.Encode(), formType)
	user, password := c.server.Admin()
	req := request(c.t, "GET", c.server.Endpoint(), nil)
	req.SetBasicAuth(user, password)
	c.call(200, "GET", "/oauth2/token?service="+service+"&scope="+url.QueryEscape("repository:team/app:pull"), "", "Authorization: "+req.Header.Get("Authorization"))
}

func (c *caller) lists(subject string) {
	c.t.Helper()
	c.call(200, "GET", "/v2/", "")
	for _, first := range []string{
		"/v2/_catalog?n=1", "/v2/team/app/tags/list?n=2", "/acr/v1/_catalog?n=1&api-version=2021-07-01",
		"/acr/v1/team/app/_tags?n=2", "/acr/v1/team%2Fapp/_tags?n=2&orderby=timedesc", "/acr/v1/team/app/_tags?n=1&digest=" + url.QueryEscape(subject),
		"/acr/v1/team/app/_manifests?n=1", "/acr/v1/team/index/_manifests?n=1&orderby=timeasc",
		"/v2/team/app/referrers/" + subject + "?n=1", "/v2/team/app/referrers/" + subject + "?artifactType=application%2Fvnd.example.sbom",
	} {
		for next, pages := first, 0; next != "" && pages < 10; pages++ {
			resp, _ := c.call(200, "GET", next, "")
			next, _, _ = strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		}
	}
}

func (c *caller) attributes(subject string) {
	c.t.Helper()
	for _, of := range []string{"/acr/v1/team/app", "/acr/v1/team/app/_tags/v1", "/acr/v1/team/app/_manifests/" + subject} {
		c.call(200, "GET", of+"?api-version=2021-07-01", "")
		c.call(200, "PATCH", of, `{"writeEnabled":false,"deleteEnabled":false}`, jsonType)
		c.call(200, "PATCH", of, `{"writeEnabled":true}`, jsonType)
	}
	c.call(405, "DELETE", "/acr/v1/team/app/_tags/v1", "")
	c.call(405, "DELETE", "/v2/team/app/manifests/"+subject, "")
	for _, of := range []string{"/acr/v1/team/app", "/acr/v1/team/app/_tags/v1", "/acr/v1/team/app/_manifests/" + subject} {
		c.call(200, "PATCH", of, `{"deleteEnabled":true}`, jsonType)
	}
}

// upload sends a blob in chunks, mounts it, sends another in one request, and returns the digest of
// the first.
func (c *caller) upload() string {
	c.t.Helper()
	blob := digest.FromString(pulledBlob).String()
	at := func(resp *http.Response) string { return resp.Header.Get("Location") }

	resp, _ := c.call(202, "POST", "/v2/team/new/blobs/uploads/", "")
	resp, _ = c.call(202, "PATCH", at(resp), pulledBlob[:5], octetType, "Content-Range: 0-4")
	c.call(204, "GET", at(resp), "")
	resp, _ = c.call(202, "PATCH", at(resp), pulledBlob[5:], octetType)
	c.call(201, "PUT", at(resp)+"&digest="+url.QueryEscape(blob), "")

	resp, _ = c.call(202, "POST", "/v2/team/new/blobs/uploads/", "")
	c.call(204, "DELETE", at(resp), "")
	c.call(404, "GET", at(resp), "")
	resp, _ = c.call(202, "POST", "/v2/team/new/blobs/uploads/", "")
	c.call(400, "PUT", at(resp)+"&digest="+url.QueryEscape(digest.FromString("other").String()), pulledBlob, octetType)

	c.call(201, "POST", "/v2/team/other/blobs/uploads/?from=team%2Fnew&mount="+url.QueryEscape(blob), "")
	c.call(202, "POST", "/v2/team/other/blobs/uploads/?from=team%2Fnew&mount="+url.QueryEscape(digest.FromString("none").String()), "")
	c.call(201, "POST", "/v2/team/other/blobs/uploads/?digest="+url.QueryEscape(digest.FromString("whole").String()), "whole", octetType)

	c.call(200, "HEAD", "/v2/team/new/blobs/"+blob, "")
	resp, _ = c.call(307, "GET", "/v2/team/new/blobs/"+blob, "")
	c.call(200, "GET", at(resp), "")
	c.call(206, "GET", at(resp), "", "Range: bytes=2-4")
	c.call(416, "GET", at(resp), "", "Range: bytes=900-")
	return blob
}

func (c *caller) manifests(config string) {
	c.t.Helper()
	descriptor := `{"mediaType":"application/octet-stream","digest":"` + config + `","size":14}`
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + descriptor + `,"layers":[]}`
	c.call(201, "PUT", "/v2/team/new/manifests/v1", manifest, imageType)
	resp, _ := c.call(200, "GET", "/v2/team/new/manifests/v1", "", acceptOCI)
	c.call(200, "HEAD", "/v2/team/new/manifests/v1", "", acceptOCI)
	c.call(304, "GET", "/v2/team/new/manifests/v1", "", acceptOCI, "If-None-Match: "+resp.Header.Get("ETag"))
	subject := digest.FromString(manifest)
	referrer := strings.Replace(manifest, `,"layers"`, `,"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+subject.String()+`","size":1},"layers"`, 1)
	c.call(201, "PUT", "/v2/team/new/manifests/"+digest.FromString(referrer).String(), referrer, imageType)
	c.call(200, "GET", "/v2/team/new/referrers/"+subject.String(), "")
}

func (c *caller) refusals() {
	c.t.Helper()
	none := digest.FromString("none").String()
	for _, target := range []string{
		"/v2/team/app/manifests/none", "/v2/team/app/manifests/" + none, "/v2/team/app/blobs/" + none, "/v2/none/tags/list",
		"/acr/v1/none", "/acr/v1/none/_tags", "/acr/v1/none/_manifests", "/acr/v1/team/app/_tags/none", "/acr/v1/team/app/_manifests/" + none,
	} {
		c.call(404, "GET", target, "", acceptOCI)
	}
	c.call(404, "HEAD", "/v2/team/app/manifests/none", "", acceptOCI)
	c.call(404, "HEAD", "/v2/team/app/blobs/"+none, "")
	c.call(400, "PUT", "/v2/team/app/manifests/bad", `{"schemaVersion":2}`, "Content-Type: application/vnd.docker.distribution.manifest.v2+json")
	c.call(405, "DELETE", "/v2/team/app/manifests/v1", "")
	c.call(404, "DELETE", "/v2/team/app/manifests/"+none, "")
	c.call(404, "DELETE", "/v2/team/app/blobs/"+none, "")
	c.call(404, "DELETE", "/acr/v1/team/app/_tags/none", "")
	c.call(404, "DELETE", "/acr/v1/none", "")
}

func (c *caller) deletes(subject string) {
	c.t.Helper()
	c.call(202, "DELETE", "/acr/v1/team/app/_tags/v1", "")
	c.call(202, "DELETE", "/v2/team/app/manifests/"+subject, "")
	c.call(202, "DELETE", "/v2/team/other/blobs/"+digest.FromString("whole").String(), "")
	for _, first := range []string{"/acr/v1/_deleted/_catalog?n=5", "/acr/v1/_deleted/team/app/_manifests", "/acr/v1/_deleted/team/app/_tags"} {
		c.call(200, "GET", first, "")
	}
	c.call(202, "POST", "/acr/v1/_deleted/team/app/_manifests/"+subject+"?force=true", `{"tag":"v1"}`, jsonType)
	c.call(202, "DELETE", "/acr/v1/team/index", "")
}

// TestEmulatorVariants holds the answers that only a registry of another kind gives.
func TestEmulatorVariants(t *testing.T) {
	t.Parallel()
	blob := digest.FromString(pulledBlob)
	t.Run("inline blobs", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t, acrtest.WithInlineBlobs())
		c.server.SeedBlob(t, "a", []byte(pulledBlob))
		c.call(200, "GET", "/v2/a/blobs/"+blob.String(), "")
		c.call(200, "GET", "/v2/a/blobs/"+blob.String(), "", "Range: bytes=2-4") // it does not look at ranges
		c.call(200, "HEAD", "/v2/a/blobs/"+blob.String(), "")
	})
	t.Run("throttled", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t, acrtest.WithBudget(acrtest.ReadBudget, 1))
		c.call(200, "GET", "/v2/", "")
		c.call(429, "GET", "/v2/", "")
		c.call(429, "HEAD", "/v2/a/blobs/"+blob.String(), "")
	})
	t.Run("small front door", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t, acrtest.WithMaxBody(4))
		resp, _ := c.call(202, "POST", "/v2/a/blobs/uploads/", "")
		c.call(413, "PATCH", resp.Header.Get("Location"), pulledBlob, octetType)
	})
	t.Run("trailing empty page", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t, acrtest.WithTrailingEmptyPage())
		c.server.SeedImage(t, "a:v1")
		resp, _ := c.call(200, "GET", "/acr/v1/a/_tags?n=1", "")
		next, _, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		c.call(200, "GET", next, "")
	})
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t)
		for _, list := range []string{"/v2/_catalog", "/acr/v1/_catalog", "/acr/v1/_deleted/_catalog"} {
			c.call(200, "GET", list, "")
		}
	})
	t.Run("anonymous", func(t *testing.T) {
		t.Parallel()
		c, _ := newCaller(t)
		c.server.SeedImage(t, "a:v1")
		form := url.Values{"grant_type": {"password"}, "service": {c.server.Host()}, "scope": {"repository:a:pull"}, "refresh_token": {""}}
		_, body := c.call(200, "POST", "/oauth2/token", form.Encode(), formType)
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &token); err != nil {
			t.Fatal(err)
		}
		c.call(200, "GET", "/v2/a/manifests/v1", "", acceptOCI, "Authorization: Bearer "+token.AccessToken)
		c.call(401, "GET", "/acr/v1/a/_tags", "", "Authorization: Bearer "+token.AccessToken)
	})
}
