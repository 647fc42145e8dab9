package acrtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// recordingDir holds recorded traffic of real registries. It is not part of the project: without it the test is skipped.
const recordingDir = "../../../shared/recordings"

type recording struct {
	Exchanges []recordedExchange `json:"exchanges"`
}

type recordedExchange struct {
	Request struct {
		Method, URL string
		Headers     map[string]any
		Body        any
	}
	Response struct {
		Status  int
		Headers map[string]any
		Body    any
	}
}

// lines gives the lines of a recorded header; some recorders joined them by a comma.
func lines(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, fmt.Sprint(one))
		}
		return out
	}
	return nil
}

func recordedHeader(raw map[string]any) http.Header {
	h := make(http.Header)
	for k, v := range raw {
		for _, line := range lines(v) {
			h.Add(k, line)
		}
	}
	if all := h["Strict-Transport-Security"]; len(all) == 1 {
		h["Strict-Transport-Security"] = strings.Split(all[0], ", ")
	}
	return h
}

func recordedBody(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		var texts []string
		if json.Unmarshal([]byte(v), &texts) == nil { // text that is not JSON stands in a list, itself in a string
			return strings.Join(texts, "")
		}
		return v
	case []any: // text that is not JSON stands in a list
		var b strings.Builder
		for _, one := range v {
			fmt.Fprint(&b, one)
		}
		return b.String()
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// leftDifferences are the places where the emulator says other than what was recorded, with the reason.
var leftDifferences = map[string]string{
	"header +X-Ms-Ratelimit-Remaining-Calls-Per-Second": "some recorders left the rate-limit headers out, or the registry of the time had none; those of others have them on the same operations",
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(recordingDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no recordings in %s: recorded traffic is not part of the project", recordingDir)
	}
	held, differing := 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		if err := json.Unmarshal(raw, &rec); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) { //nolint:tparallel // they add up what they find
			p := newPlayback(t, rec)
			for i, e := range rec.Exchanges {
				if strings.Contains(e.Request.URL, "login.microsoftonline.com") {
					continue // the authority's replies are not the registry's
				}
				held++
				for _, d := range p.play(e) {
					aspect, _, _ := strings.Cut(d, ":")
					if _, ok := leftDifferences[aspect]; ok {
						differing++
						continue
					}
					t.Errorf("#%d %s %s: %s", i, e.Request.Method, e.Request.URL[:min(len(e.Request.URL), 120)], d)
				}
			}
		})
	}
	fmt.Fprintf(os.Stdout, "contract: %d recorded exchanges held against the emulator, %d differences with a reason (%d reason)\n", held, differing, len(leftDifferences))
}

// playback sends the requests of a recording to an emulator that is in the same state.
type playback struct {
	*client

	refresh, access string
	same            map[string]string // what the recording calls it -> what the emulator does
}

func newPlayback(t *testing.T, rec recording) *playback {
	t.Helper()
	u, err := url.Parse(rec.Exchanges[len(rec.Exchanges)-1].Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, acrtest.WithLoginServer(u.Host), acrtest.WithoutBlobCheck())
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := &playback{client: c, same: make(map[string]string)}
	p.seed(t, rec)
	return p
}

// seed puts in what the recorded registry held: what its successful reads show.
func (p *playback) seed(t *testing.T, rec recording) {
	t.Helper()
	seeded := make(map[string]bool) // by name and reference
	held := make(map[string]bool)   // by name and recorded digest, however it was tagged
	image := func(name, reference, recorded string) {
		key, whole := name+":"+reference, name+"@"+recorded
		if !seeded[key] && (!held[whole] || !strings.Contains(reference, ":")) {
			seeded[key], held[whole] = true, true
			d := p.pushDocker(name, reference, recorded)
			if recorded != "" {
				p.same[recorded] = d
			}
		}
	}
	for _, e := range rec.Exchanges {
		u, err := url.Parse(e.Request.URL)
		if err != nil {
			t.Fatal(err)
		}
		status, body := e.Response.Status, recordedBody(e.Response.Body)
		var props struct {
			ImageName    string
			Tag          struct{ Name, Digest string }
			Tags         []struct{ Name, Digest string }
			Manifest     recordedManifest
			Manifests    []recordedManifest
			Repositories []string
		}
		switch {
		case status == http.StatusOK && strings.HasPrefix(u.Path, "/acr/v1/"):
			if err := json.Unmarshal([]byte(body), &props); err != nil {
				t.Fatal(err)
			}
			for _, name := range props.Repositories {
				image(name, "latest", "")
			}
			for _, tag := range append(props.Tags, props.Tag) {
				if tag.Name != "" {
					image(props.ImageName, tag.Name, tag.Digest)
				}
			}
			for _, m := range append(props.Manifests, props.Manifest) {
				for _, tag := range m.Tags {
					image(props.ImageName, tag, m.Digest)
				}
				if m.Digest != "" && len(m.Tags) == 0 {
					image(props.ImageName, m.Digest, m.Digest)
				}
			}
		case status == http.StatusOK && strings.Contains(u.Path, "/manifests/"):
			name, reference := ofPath(u.Path)
			image(name, reference, recordedHeader(e.Response.Headers).Get("Docker-Content-Digest"))
		case status == http.StatusOK && strings.Contains(u.Path, "/blobs/"):
			raw, err := base64.StdEncoding.DecodeString(body)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := ofPath(u.Path)
			p.s.SeedBlob(t, name, raw)
		case status == http.StatusAccepted && e.Request.Method == http.MethodDelete && strings.Contains(u.Path, "/manifests/"):
			name, reference := ofPath(u.Path)
			image(name, reference, reference)
		}
	}
	if len(seeded) > 0 && recordedPage(rec) {
		// The recordings that list by pages stop before the end; more must follow.
		for name := range seeded {
			repository, _, _ := strings.Cut(name, ":")
			if !strings.Contains(repository, "busybox") && strings.Contains(rec.Exchanges[0].Request.URL, "_tags") {
				image(repository, "zzz", "")
			}
		}
	}
	p.s.Ledger().Reset()
}

type recordedManifest struct {
	Digest string
	Tags   []string
}

// ofPath gives the repository, whose name may have slashes, and the reference of a path of /v2.
func ofPath(path string) (name, reference string) {
	path = strings.TrimPrefix(path, "/v2/")
	for _, kind := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/"} {
		if i := strings.LastIndex(path, kind); i >= 0 {
			return path[:i], path[i+len(kind):]
		}
	}
	return path, ""
}

func recordedPage(rec recording) bool {
	return slices.ContainsFunc(rec.Exchanges, func(e recordedExchange) bool { return recordedHeader(e.Response.Headers).Get("Link") != "" })
}

const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// pushDocker pushes an image like the recorded ones, by a tag, or for a reference that is a digest without one, and gives its digest.
// Images that were recorded under other digests are other images.
func (p *playback) pushDocker(name, reference, recorded string) string {
	p.t.Helper()
	config := p.s.SeedBlob(p.t, name, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	layer := p.s.SeedBlob(p.t, name, []byte("layer"))
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":77,"digest":%q},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":5,"digest":%q}],"annotations":{"recorded":%q}}`, dockerManifest, config, layer, recorded)
	tag := reference
	if strings.Contains(reference, ":") {
		tag = digest.FromString(m).String()
	}
	req := p.request(http.MethodPut, "/v2/"+name+"/manifests/"+tag, "", strings.NewReader(m))
	req.Header.Set("Content-Type", dockerManifest)
	req.SetBasicAuth(p.s.Admin())
	if a := p.do(req); a.StatusCode != http.StatusCreated {
		p.t.Fatalf("seeding %s:%s: %d %s", name, reference, a.StatusCode, a.body)
	}
	return digest.FromString(m).String()
}

// play sends one recorded request and says where the reply differs.
func (p *playback) play(e recordedExchange) []string {
	p.t.Helper()
	a := p.do(p.rebuild(e))
	want := recordedHeader(e.Response.Headers)
	if a.StatusCode == http.StatusTemporaryRedirect && e.Response.Status == http.StatusOK {
		// The recording client followed the link to storage; the recording shows only where that led.
		req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, a.Header.Get("Location"), nil)
		if err != nil {
			p.t.Fatal(err)
		}
		a = p.do(req)
	}
	p.learn(want, a)
	if len(a.TransferEncoding) > 0 {
		a.Header["Transfer-Encoding"] = a.TransferEncoding // net/http keeps it apart
	}
	diffs := p.compareHeaders(want, a.Header)
	if w, g := want.Get("Content-Length"), a.Header.Get("Content-Length"); a.StatusCode >= 400 && w != g {
		diffs = append(diffs, fmt.Sprintf("length: got %s, recorded %s", g, w))
	}
	if a.StatusCode != e.Response.Status {
		diffs = append(diffs, fmt.Sprintf("status: got %d, recorded %d: %s", a.StatusCode, e.Response.Status, a.body))
	}
	if e.Request.Method == http.MethodHead {
		return diffs // whatever a recorder made of a body that there is not
	}
	return append(diffs, p.compareBody(recordedBody(e.Response.Body), a)...)
}

// rebuild makes the request anew, with this emulator's tokens, digests and locations in the places of the recorded ones.
func (p *playback) rebuild(e recordedExchange) *http.Request {
	p.t.Helper()
	target := strings.TrimPrefix(e.Request.URL, "https://")
	_, target, _ = strings.Cut(target, "/")
	target = "/" + target
	for _, old := range slices.SortedFunc(maps.Keys(p.same), func(a, b string) int { return len(b) - len(a) }) {
		target = strings.ReplaceAll(target, old, p.same[old])
		target = strings.ReplaceAll(target, url.QueryEscape(old), url.QueryEscape(p.same[old]))
	}
	if strings.HasSuffix(target, "/_tags") && strings.Contains(e.Request.URL, "library%2F") {
		// The query was lost in the recording; the Link of the reply shows what it was.
		link := recordedHeader(e.Response.Headers).Get("Link")
		target += "?n=1"
		if strings.Contains(link, "last=test") {
			target += "&last=latest"
		}
	}
	body := recordedBody(e.Request.Body)
	header := recordedHeader(e.Request.Headers)
	switch {
	case strings.Contains(target, "/oauth2/"):
		form, err := url.ParseQuery(body)
		if err != nil {
			p.t.Fatal(err)
		}
		form.Set("service", p.s.Host())
		if form.Has("access_token") {
			form.Set("access_token", p.s.EntraToken())
		}
		if form.Get("refresh_token") != "" {
			form.Set("refresh_token", p.refresh)
		}
		body = form.Encode()
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	case e.Request.Method == http.MethodPut && strings.Contains(target, "/manifests/sha256"):
		// The recorder wrote the JSON anew, so that its digest is another.
		target = target[:strings.Index(target, "/manifests/")] + "/manifests/" + digest.FromString(body).String()
	case e.Request.Method == http.MethodPatch && strings.Contains(target, "/uploads/"):
		raw, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			p.t.Fatal(err)
		}
		body = string(raw)
	}
	req := p.request(e.Request.Method, target, "", strings.NewReader(body))
	for k, values := range header {
		if k != "Authorization" && k != "Content-Length" && k != "Accept-Encoding" {
			req.Header[k] = values
		}
	}
	if header.Get("Authorization") != "" || (strings.Contains(target, "/acr/v1/") && e.Response.Status == http.StatusOK) {
		req.Header.Set("Authorization", "Bearer "+p.access)
	}
	if strings.HasSuffix(p.t.Name(), "throw_error_setting_properties") && p.access != "" {
		req.Header.Set("Authorization", "Bearer "+p.access) // taken out by the recorder
	}
	return req
}

// learn keeps what later requests of the recording refer to.
func (p *playback) learn(want http.Header, a answer) {
	var tokens map[string]string
	if json.Unmarshal([]byte(a.body), &tokens) == nil {
		if t := tokens["refresh_token"]; t != "" {
			p.refresh = t
		}
		if t := tokens["access_token"]; t != "" {
			p.access = t
		}
	}
	if old, now := want.Get("Location"), a.Header.Get("Location"); strings.Contains(old, "_state=") && now != "" {
		p.same[old] = now
	}
	if old, now := want.Get("Docker-Content-Digest"), a.Header.Get("Docker-Content-Digest"); old != "" && now != "" && old != now {
		p.same[old] = now
	}
}

// What is recorded of any registry can be played: names with slashes, manifests without tags, replies to HEAD.
func TestRecordingsOfAnyKind(t *testing.T) {
	t.Parallel()
	const host = "https://myregistry.azurecr.io"
	first, second := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	var rec recording
	add := func(method, path string, status int, body string, header map[string]any) {
		var e recordedExchange
		e.Request.Method, e.Request.URL = method, host+path
		e.Response.Status, e.Response.Body, e.Response.Headers = status, body, header
		rec.Exchanges = append(rec.Exchanges, e)
	}
	list := `{"registry":"myregistry.azurecr.io","imageName":"team/a/app","manifests":[{"digest":"` + first + `"},{"digest":"` + second + `","tags":["v1","v2"]}]}`
	add(http.MethodGet, "/acr/v1/team%2Fa%2Fapp/_manifests", http.StatusOK, list, nil)
	add(http.MethodHead, "/v2/team/a/app/manifests/"+first, http.StatusUnauthorized, "", nil)
	add(http.MethodDelete, "/v2/team/a/app/manifests/"+first, http.StatusAccepted, "", nil)
	p := newPlayback(t, rec)
	if got := p.s.Tags("team/a/app"); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("tags %q", got)
	}
	if got := p.s.Manifests("team/a/app"); len(got) != 2 || p.same[first] == p.same[second] || p.same[first] == "" {
		t.Errorf("manifests %q for %v", got, p.same)
	}
	for _, d := range p.play(rec.Exchanges[1]) {
		if strings.HasPrefix(d, "status") || strings.HasPrefix(d, "body") {
			t.Error(d)
		}
	}
}
