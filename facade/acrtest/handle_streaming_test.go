package acrtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// TestStreaming walks through artifact streaming with the requests of the Azure command line, whose answers are recorded.
func TestStreaming(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	image := r.s.SeedImage(t, "team/app:v1").String()
	const of, format = "/acr/v1/team/app/_streaming", `"conversionFormat":"overlaybd","conversionVersion":"v1"`
	says := func(a answer, status int, want string) {
		t.Helper()
		if r.want(a, status); !strings.HasPrefix(a.body, want) {
			t.Errorf("%s %s: %s, want %s", a.Request.Method, a.Request.URL.Path, a.body, want)
		}
	}
	says(r.send("GET", of, ""), http.StatusOK, `{"convertPushedImages":false}`+"\n")
	changed := r.send("POST", of, `{"convertPushedImages":true,`+format+`}`)
	says(changed, http.StatusAccepted, `{"convertPushedImages":true,`+format+`,"status":"Succeeded","id":"`)
	if location := changed.Header.Get("Operation-Location"); location != "https://"+r.s.Host()+"/acr/v1/team/app/_operations/"+changed.Header.Get("Operation-Id") {
		t.Error(location)
	}
	says(r.send("GET", of, ""), http.StatusOK, `{"convertPushedImages":true,`+format+"}\n")

	r.want(r.send("GET", of+"/"+image, ""), http.StatusNotFound)
	start := func() (operation string) {
		t.Helper()
		a := r.send("POST", of+"/"+image, `{`+format+`}`)
		says(a, http.StatusAccepted, `{"id":"`+a.Header.Get("Operation-Id")+`","status":"NotStarted"}`)
		return "/acr/v1/team/app/_operations/" + a.Header.Get("Operation-Id")
	}
	const name = `"name":"ArtifactStreamingConversion","resource":"team/app@`
	operation := start()
	says(r.send("POST", operation+":cancel", ""), http.StatusOK, `{"name":"Cancel: ArtifactStreamingConversion","resource":"team/app@`+image+`","status":"Canceled","startTime":"`)
	says(r.send("GET", operation, ""), http.StatusOK, `{`+name+image+`","status":"Canceled"`)
	operation = start()
	says(r.send("GET", operation, ""), http.StatusOK, `{`+name+image+`","status":"Running"`)
	says(r.send("GET", operation, ""), http.StatusOK, `{`+name+image+`","status":"Succeeded"`)
	says(r.send("POST", operation+":cancel", ""), http.StatusOK, `{"name":"Cancel: ArtifactStreamingConversion","resource":"team/app@`+image+`","status":"Succeeded"`)
	if a := r.send("GET", "/v2/team/app/referrers/"+image, ""); strings.Count(a.body, "application/vnd.azure.artifact.streaming.v1") != 1 {
		t.Error(a.body)
	}

	for path, status := range map[string]int{
		"/acr/v1/gone/_streaming": http.StatusNotFound, "/acr/v1/team/app/_operations/gone": http.StatusNotFound,
		"/acr/v1/team/app/_operations/gone:begin": http.StatusNotFound, "/acr/v1/team/app/_operations/a/b": http.StatusNotFound,
	} {
		r.want(r.send("GET", path, ""), status)
	}
	r.want(r.send("POST", "/acr/v1/team/app/_operations/gone:cancel", ""), http.StatusNotFound)
	r.want(r.send("POST", of, `{"convertPushedImages":true,"conversionFormat":"zip","conversionVersion":"v1"}`), http.StatusBadRequest)
	r.want(r.send("POST", of+"/"+image, `{}`), http.StatusBadRequest)
	r.want(r.send("POST", of+"/"+digest.FromString("gone").String(), `{`+format+`}`), http.StatusNotFound)
}

// TestStreamingTier: a Basic registry offers none of it.
func TestStreamingTier(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, acrtest.WithSKU(acrtest.Basic))
	image := r.s.SeedImage(t, "team/app:v1").String()
	const body = `{"convertPushedImages":true,"conversionFormat":"overlaybd","conversionVersion":"v1"}`
	for _, request := range [][3]string{
		{"GET", "_streaming", ""}, {"POST", "_streaming", body}, {"GET", "_streaming/" + image, ""}, {"POST", "_streaming/" + image, body},
		{"GET", "_operations/1", ""}, {"POST", "_operations/1:cancel", ""},
	} {
		a := r.send(request[0], "/acr/v1/team/app/"+request[1], request[2])
		if r.want(a, http.StatusMethodNotAllowed); !strings.Contains(a.body, `"UNSUPPORTED"`) {
			t.Errorf("%v: %s", request, a.body)
		}
	}
}

// TestQuery answers queries page by page, and refuses what it does not understand.
func TestQuery(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.s.SeedManifests(t, "a", 120)
	r.s.SeedImage(t, "b/c:v1")
	type page struct {
		Count int              `json:"count"`
		Skip  string           `json:"$skipToken"`
		Data  []map[string]any `json:"data"`
	}
	ask := func(path, body string) (p page) {
		t.Helper()
		a := r.send("POST", path, body)
		if r.want(a, http.StatusOK); json.Unmarshal([]byte(a.body), &p) != nil || p.Count != len(p.Data) {
			t.Error(a.body)
		}
		return p
	}
	const all, query = "/acr/v1/_metadata/_query", `{"query":"Manifests | project repository, digest"`
	first := ask(all, query+`}`)
	second := ask(all, query+`,"options":{"$skipToken":"`+first.Skip+`"}}`)
	if first.Count != 100 || second.Count != 21 || second.Skip != "" {
		t.Errorf("%d and %d rows, then %q", first.Count, second.Count, second.Skip)
	}
	one := ask("/acr/v1/b/c/_metadata/_query", `{"query":"Manifests | limit 5"}`)
	if one.Count != 1 || one.Data[0]["repository"] != "b/c" || one.Data[0]["os"] != "linux" {
		t.Errorf("%+v", one)
	}
	for _, body := range []string{`{}`, `{"query":"Tags"}`, `{"query":"Manifests | summarize count()"}`, query + `,"options":{"$skipToken":"!"}}`, query + `,"options":{"$skipToken":"OTk5"}}`} {
		r.want(r.send("POST", all, body), http.StatusBadRequest)
	}
	r.want(r.send("POST", "/acr/v1/gone/_metadata/_query", query+`}`), http.StatusNotFound)
}
