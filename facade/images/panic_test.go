package images_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// panicAt panics before requests with a text in their path.
type panicAt string

// Do implements policy.Policy.
func (p panicAt) Do(req *policy.Request) (*http.Response, error) {
	if strings.Contains(req.Raw().Method+" "+req.Raw().URL.Path, string(p)) {
		panic("a policy's panic")
	}
	return req.Next()
}

// What a policy of the caller's client panics with is raised in the caller, in whatever goroutine the request is.
func TestPoliciesPanic(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"GET /v2/app/manifests/", "GET /v2/app/blobs/", "POST /v2/copy/blobs/", "PUT /v2/copy/manifests/"} {
		srv := acrtest.New(t)
		srv.SeedIndex(t, "app:v1", "amd64", "arm64")
		srv.SeedImage(t, "app:v2", []byte("a layer"))
		o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
		o.PerRetryPolicies = append(o.PerRetryPolicies, panicAt(at))
		c, err := acr.NewClient(srv.Endpoint(), srv.Credential(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		app := c.Repository("app")
		for name, call := range map[string]func(tag string) error{
			"Copy": func(tag string) error {
				_, err := images.Copy(t.Context(), images.Of(app), tag, images.Of(c.Repository("copy")), tag, nil)
				return err
			},
			"Pull": func(tag string) error {
				_, err := images.Pull(t.Context(), app, tag, filepath.Join(t.TempDir(), "layout"), nil)
				return err
			},
		} {
			if name == "Pull" && !strings.HasPrefix(at, "GET") || name == "Copy" && strings.Contains(at, "GET /v2/app/blobs/") {
				continue // a copy within a registry mounts blobs
			}
			for _, tag := range []string{"v1", "v2"} {
				func() {
					defer func() {
						if v := recover(); v != "a policy's panic" {
							t.Errorf("%s of %s, %s: recovered %v", name, tag, at, v)
						}
					}()
					err := call(tag)
					t.Errorf("%s of %s, %s: no panic, but %v", name, tag, at, err)
				}()
			}
		}
	}
}
