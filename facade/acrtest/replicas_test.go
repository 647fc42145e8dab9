package acrtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

const replicaLag = time.Minute

// geo is a registry of two regions, whose callers may name one of them.
type geo struct {
	*registry

	east, west string
}

// onBothNetworks runs a test of replicas over memory and over sockets.
func onBothNetworks(t *testing.T, test func(t *testing.T, g geo), opts ...acrtest.Option) {
	t.Helper()
	for name, network := range map[string][]acrtest.Option{
		"memory":   {acrtest.WithMemoryNetwork()},
		"loopback": nil,
		"named":    {acrtest.WithLoginServer("myregistry.azurecr.io")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, slices.Concat(network, opts, []acrtest.Option{
				acrtest.WithReplicas("eastus", "westeurope"), acrtest.WithReplicaLag(replicaLag), acrtest.WithLimits(),
			})...)
			test(t, geo{r, r.s.RegionalEndpoint("eastus"), r.s.RegionalEndpoint("westeurope")})
		})
	}
}

// at sends a request to one region.
func (g geo) at(region, method, path, body string, header ...string) answer {
	g.t.Helper()
	user, password := g.s.Admin()
	req, err := http.NewRequestWithContext(g.t.Context(), method, region, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	return g.send(method, region+path, body, append(header, "Authorization", req.Header.Get("Authorization"))...)
}

// uploadAt puts a blob into a region in one request.
func (g geo) uploadAt(region, content string) string {
	g.t.Helper()
	d := "sha256:" + digest.FromString(content).Encoded()
	g.want(g.at(region, "POST", "/v2/app/blobs/uploads/?digest="+url.QueryEscape(d), content), http.StatusCreated)
	return d
}

func TestReplicasSeeEachOtherAfterTheLag(t *testing.T) {
	t.Parallel()
	onBothNetworks(t, func(t *testing.T, g geo) {
		blob := g.uploadAt(g.east, "{}")
		image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`, ociManifest, blob)
		a := g.at(g.west, "PUT", "/v2/app/manifests/v1", image, "Content-Type", ociManifest)
		if g.want(a, http.StatusBadRequest); !strings.Contains(a.body, "MANIFEST_BLOB_UNKNOWN") {
			t.Errorf("a manifest whose blob is at the other replica: %s", a.body)
		}
		g.want(g.at(g.east, "PUT", "/v2/app/manifests/v1", image, "Content-Type", ociManifest), http.StatusCreated)
		for _, path := range []string{"/v2/app/manifests/v1", "/v2/app/blobs/" + blob, "/acr/v1/app/_tags/v1"} {
			if a := g.at(g.east, "GET", path, ""); a.StatusCode >= 400 {
				t.Errorf("%s where it was pushed: %d", path, a.StatusCode)
			}
			g.want(g.at(g.west, "GET", path, ""), http.StatusNotFound)
		}
		for _, write := range [][3]string{
			{"DELETE", "/acr/v1/app/_tags/v1", ""}, {"PATCH", "/acr/v1/app/_tags/v1", "{}"}, {"DELETE", "/acr/v1/app", ""}, {"PATCH", "/acr/v1/app", "{}"},
			{"DELETE", "/v2/app/blobs/" + blob, ""}, {"DELETE", "/v2/app/manifests/sha256:" + digest.FromString(image).Encoded(), ""},
		} {
			g.want(g.at(g.west, write[0], write[1], write[2]), http.StatusNotFound)
		}
		g.s.Advance(replicaLag)
		for _, path := range []string{"/v2/app/manifests/v1", "/v2/app/blobs/" + blob, "/acr/v1/app/_tags/v1"} {
			if a := g.at(g.west, "GET", path, ""); a.StatusCode >= 400 {
				t.Errorf("%s after the lag: %d", path, a.StatusCode)
			}
		}
	})
}

func TestUploadSessionsBelongToAReplica(t *testing.T) {
	t.Parallel()
	onBothNetworks(t, func(t *testing.T, g geo) {
		location := g.want(g.at(g.east, "POST", "/v2/app/blobs/uploads/", ""), http.StatusAccepted).Header.Get("Location")
		a := g.at(g.west, "PATCH", location, "hello")
		if g.want(a, http.StatusNotFound); !strings.Contains(a.body, "BLOB_UPLOAD_UNKNOWN") {
			t.Errorf("%s", a.body)
		}
		g.want(g.at(g.east, "PATCH", location, "hello"), http.StatusAccepted)
	})
}

// Changes of both replicas meet, in whatever order they arrive, and the replicas agree in the end.
func TestReplicasAgreeInTheEnd(t *testing.T) {
	t.Parallel()
	onBothNetworks(t, func(t *testing.T, g geo) {
		first := g.s.SeedImage(t, "app:v1").String()
		second := g.s.SeedImage(t, "app:v2").String()
		g.s.SeedBlob(t, "app", []byte("kept"))
		g.s.Advance(replicaLag)
		raw := func(region, reference string) string {
			return g.want(g.at(region, "GET", "/v2/app/manifests/"+reference, ""), http.StatusOK).body
		}
		one, two := raw(g.east, first), raw(g.west, second)
		g.want(g.at(g.east, "DELETE", "/acr/v1/app/_tags/v1", ""), http.StatusAccepted)
		g.want(g.at(g.east, "PUT", "/v2/app/manifests/new", one, "Content-Type", ociManifest), http.StatusCreated)
		g.want(g.at(g.west, "PUT", "/v2/app/manifests/v1", two, "Content-Type", ociManifest), http.StatusCreated)
		g.want(g.at(g.west, "PATCH", "/acr/v1/app/_tags/v1", `{"deleteEnabled":false}`), http.StatusOK)
		g.want(g.at(g.west, "PATCH", "/acr/v1/app/_tags/new", "{}"), http.StatusNotFound)
		g.want(g.at(g.east, "PATCH", "/acr/v1/app/_tags/new", `{"writeEnabled":false}`), http.StatusOK)
		g.want(g.at(g.west, "DELETE", "/v2/app/manifests/"+first, ""), http.StatusMethodNotAllowed) // its new tag is locked
		g.want(g.at(g.west, "DELETE", "/acr/v1/app/_tags/v2", ""), http.StatusAccepted)
		g.s.Advance(replicaLag)
		var lists []string
		for _, region := range []string{g.east, g.west} {
			for _, path := range []string{"/acr/v1/app/_tags", "/acr/v1/app/_manifests"} {
				lists = append(lists, g.want(g.at(region, "GET", path, ""), http.StatusOK).body)
			}
		}
		if lists[0] != lists[2] || lists[1] != lists[3] {
			t.Errorf("the replicas differ:\n%s", strings.Join(lists, "\n"))
		}
		if got := g.s.Tags("app"); !slices.Equal(got, []string{"new", "v1"}) {
			t.Errorf("tags %q", got)
		}
	})
}

// The name of the registry leads to each replica in turn, and a connection stays where it is.
func TestNameOfTheRegistryLeadsToEachReplica(t *testing.T) {
	t.Parallel()
	onBothNetworks(t, func(t *testing.T, g geo) {
		var seen []string
		for range 4 {
			g.want(g.send("GET", "/v2/", ""), http.StatusOK)
			g.http.CloseIdleConnections()
		}
		for _, r := range g.s.Ledger().Requests("CheckSupport") {
			seen = append(seen, r.Replica)
		}
		if !slices.Equal(seen, []string{"eastus", "westeurope", "eastus", "westeurope"}) {
			t.Errorf("served by %q", seen)
		}
		conn, err := g.s.DialContext(t.Context(), "tcp", g.s.Host())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		again, err := g.s.DialContext(t.Context(), "tcp", conn.RemoteAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if again.RemoteAddr().String() != conn.RemoteAddr().String() || conn.RemoteAddr().Network() != "tcp" {
			t.Errorf("%v and %v", conn.RemoteAddr(), again.RemoteAddr())
		}
	})
}

// A regional endpoint signs in by itself, its tokens are good at the others, and its budgets are its own.
func TestRegionalEndpointSignsInAndCounts(t *testing.T) {
	t.Parallel()
	onBothNetworks(t, func(t *testing.T, g geo) {
		a := g.send("GET", g.west+"/v2/", "")
		host := strings.TrimPrefix(g.west, "https://")
		challenge := `Bearer realm="https://` + host + `/oauth2/token",service="` + host + `"`
		g.want(a, http.StatusUnauthorized, "Www-Authenticate", challenge)
		user, password := g.s.Admin()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.west+"/oauth2/token?scope=registry:catalog:*&service="+host, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, password)
		token := decode[map[string]string](t, g.send("GET", req.URL.String(), "", "Authorization", req.Header.Get("Authorization")).body)["access_token"]
		for _, region := range []string{g.east, g.west, g.s.Endpoint()} {
			g.want(g.send("GET", region+"/v2/_catalog", "", "Authorization", "Bearer "+token), http.StatusOK)
		}
		for range 3 {
			g.at(g.east, "GET", "/v2/_catalog", "")
		}
		g.want(g.at(g.east, "GET", "/v2/_catalog", ""), http.StatusTooManyRequests)
		g.want(g.at(g.west, "GET", "/v2/_catalog", ""), http.StatusOK)
	}, acrtest.WithBudget(acrtest.ReadBudget, 3))
}

func TestUnknownRegionIsTold(t *testing.T) {
	t.Parallel()
	for _, regions := range [][]string{{"East US"}, {"eastus", "eastus"}, {""}} {
		if s, err := acrtest.Start(acrtest.WithReplicas(regions...)); err == nil {
			s.Close()
			t.Errorf("%q: no error", regions)
		}
	}
}
