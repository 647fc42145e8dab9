package acrtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestSeedImage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	d := c.s.SeedImage(t, "samples/app:v1")
	a := c.call(http.MethodGet, "/v2/samples/app/manifests/v1", c.anonymous("repository:samples/app:pull"))
	if a.StatusCode != http.StatusOK || a.Header.Get("Docker-Content-Digest") != d.String() || digest.FromString(a.body) != d {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatal(err)
	}
	a = c.call(http.MethodGet, "/v2/samples/app/blobs/"+m.Layers[0].Digest.String(), c.anonymous("repository:samples/app:pull"))
	if a.StatusCode != http.StatusOK || digest.FromString(a.body) != m.Layers[0].Digest {
		t.Errorf("layer: %d", a.StatusCode)
	}
	if got := c.s.Ledger().Count("GetBlobContent"); got != 1 {
		t.Errorf("%d requests to storage", got)
	}
	if again := c.s.SeedImage(t, "samples/other:v1"); again == d {
		t.Error("two references share an image")
	}
}

func TestSeedManyAndList(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.s.SeedTags(t, "a/many", 250)
	c.s.SeedManifests(t, "a/many", 150)
	index := c.s.SeedIndex(t, "b:multi", "amd64", "arm64")
	c.s.SeedReferrer(t, "b", index, "application/vnd.example.sbom")
	token := c.token("repository:a/many:metadata_read")
	if n := c.count("/acr/v1/a%2Fmany/_tags?n=100", token, "tags"); n != 250 {
		t.Errorf("%d tags", n)
	}
	if n := c.count("/acr/v1/a%2Fmany/_manifests", token, "manifests"); n != 151 {
		t.Errorf("%d manifests", n)
	}
	a := c.call(http.MethodGet, "/v2/b/referrers/"+index.String(), c.token("repository:b:pull"))
	if a.StatusCode != 200 || !strings.Contains(a.body, "application/vnd.example.sbom") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// count follows Link to the end.
func (c *client) count(path, token, key string) (n int) {
	c.t.Helper()
	for path != "" {
		a := c.call(http.MethodGet, path, token)
		var page map[string]json.RawMessage
		var entries []json.RawMessage
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || json.Unmarshal(page[key], &entries) != nil {
			c.t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		n += len(entries)
		link, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
		path = link
	}
	return n
}

func TestSeedLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(raw []byte) ocispec.Descriptor {
		d := digest.FromBytes(raw)
		name := filepath.Join(dir, "blobs", "sha256", d.Encoded())
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(raw))}
	}
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put([]byte("{}")), Layers: []ocispec.Descriptor{put([]byte("layer"))},
	}
	d := put(encode(m))
	d.MediaType = m.MediaType
	d.Annotations = map[string]string{ocispec.AnnotationRefName: "v7"}
	index := encode(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{d}})
	if err := os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t)
	c.s.SeedLayout(t, "from/layout", dir)
	a := c.call(http.MethodGet, "/v2/from/layout/manifests/v7", c.token("repository:from/layout:pull"))
	if a.StatusCode != 200 || a.Header.Get("Docker-Content-Digest") != d.Digest.String() {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestRepositoryToken(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithoutAnonymousPull(),
		acrtest.WithRepositoryToken("ci", "secret", "samples/* content/read,metadata/read", "one content/write,content/read"))
	c.s.SeedImage(t, "samples/app:v1")
	basic := func(method, path, user, password string) answer {
		req := c.request(method, path, "", nil)
		req.SetBasicAuth(user, password)
		return c.do(req)
	}
	a := basic(http.MethodGet, "/oauth2/token?service="+c.s.Host()+"&scope=repository:samples/app:pull,push", "ci", "secret")
	token := c.field(a, "access_token")
	if got := fmt.Sprint(claims(t, token)["access"]); got != "[map[Actions:[pull] Name:samples/app Type:repository]]" {
		t.Errorf("granted %s", got)
	}
	for _, test := range []struct {
		method, path, user, password string
		status                       int
	}{
		{"GET", "/v2/samples/app/manifests/v1", "ci", "secret", 200},
		{"GET", "/acr/v1/samples/app/_tags", "ci", "secret", 200},
		{"GET", "/v2/samples/app/manifests/v1", "ci", "wrong", 401},
		{"DELETE", "/acr/v1/samples/app", "ci", "secret", 401},
		{"POST", "/v2/one/blobs/uploads/", "ci", "secret", 202},
		{"POST", "/v2/two/blobs/uploads/", "ci", "secret", 401},
		{"GET", "/acr/v1/_catalog", "ci", "secret", 401},
		{"GET", "/oauth2/token?service=" + c.s.Host(), "ci", "wrong", 401},
		{"GET", "/v2/samples/app/manifests/v1", "00000000-0000-0000-0000-000000000000", c.refreshToken(), 200},
	} {
		if a := basic(test.method, test.path, test.user, test.password); a.StatusCode != test.status {
			t.Errorf("%s %s as %s: %d, want %d: %s", test.method, test.path, test.user, a.StatusCode, test.status, a.body)
		}
	}
	if a := c.form("/oauth2/token", "grant_type", "password", "service", c.s.Host(), "scope", "repository:samples/app:pull"); a.StatusCode != 401 {
		t.Errorf("anonymous: %d", a.StatusCode)
	}
}

func TestABAC(t *testing.T) {
	t.Parallel()
	c := newClient(t, acrtest.WithABAC())
	token := c.token("repository:*:pull repository:a:pull")
	if got := fmt.Sprint(claims(t, token)["access"]); got != "[map[Actions:[pull] Name:a Type:repository]]" {
		t.Errorf("granted %s", got)
	}
	if claims(t, c.refreshToken())["aad_identity"] == nil {
		t.Error("the refresh token has no aad_identity")
	}
	plain := newClient(t)
	plain.s.SeedImage(t, "a:v1")
	if a := plain.call(http.MethodGet, "/v2/a/manifests/v1", plain.token("repository:*:*")); a.StatusCode != 200 {
		t.Errorf("a wildcard without ABAC: %d", a.StatusCode)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]acrtest.Option{
		"scope map":       acrtest.WithRepositoryToken("a", "b", "content/read"),
		"action":          acrtest.WithRepositoryToken("a", "b", "* content/burn"),
		"two names alike": acrtest.WithRepositoryToken("acrtest", "b", "* content/read"),
		"A63 remote":      acrtest.WithListen("0.0.0.0:0"),
		"address":         acrtest.WithListen("nonsense"),
		"no password":     acrtest.WithRepositoryToken("a", "", "* content/read"),
		"no admin":        acrtest.WithAdmin("", "x"),
	} {
		if s, err := acrtest.Start(opt); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
