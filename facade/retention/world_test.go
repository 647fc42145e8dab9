package retention_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// world is a registry that a test fills by plain HTTP requests, with none of the code under test.
type world struct {
	t      testing.TB
	srv    *acrtest.Server
	http   *http.Client
	made   map[digest.Digest]*manifest
	number int

	hidden  []string // tags and digests that lists do not show
	strange bool     // something was pushed that the document does not know
}

// manifest is what a test pushed.
type manifest struct {
	digest    digest.Digest
	mediaType string
	content   []byte
	children  []digest.Digest // of an index
	named     []digest.Digest // other manifests, as layers
	subject   digest.Digest
	artifact  string
}

// needs are the manifests that the content names.
func (m *manifest) needs() []digest.Digest {
	return append(append([]digest.Digest{}, m.children...), m.named...)
}

// newWorld starts a registry in which manifests may name what does not exist.
func newWorld(t testing.TB, opts ...acrtest.Option) *world {
	t.Helper()
	srv := acrtest.New(t, append([]acrtest.Option{acrtest.WithoutBlobCheck()}, opts...)...)
	return &world{t: t, srv: srv, http: srv.HTTPClient(), made: map[digest.Digest]*manifest{}}
}

// send sends a request as the admin user, and returns the status and the body.
func (w *world) send(method, path, contentType string, body []byte) (int, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.srv.Endpoint()+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(w.srv.Admin())
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// push puts a manifest under a tag, or under its digest if the tag is empty.
func (w *world) push(repository, tag string, m *manifest) digest.Digest {
	w.t.Helper()
	m.digest = digest.FromBytes(m.content)
	w.made[m.digest] = m
	reference := tag
	if reference == "" {
		reference = string(m.digest)
	}
	if status, answer := w.send("PUT", "/v2/"+repository+"/manifests/"+reference, m.mediaType, m.content); status != http.StatusCreated {
		w.t.Fatalf("push %s: %d %s", reference, status, answer)
	}
	return m.digest
}

func descriptorOf(d digest.Digest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 100}
}

// unique is a digest that nothing else has.
func (w *world) unique() digest.Digest {
	w.number++
	return digest.FromString(fmt.Sprintf("blob %d", w.number))
}

func (w *world) encode(v any) []byte {
	w.t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return content
}

// image makes an image that no other equals.
func (w *world) image(named ...digest.Digest) *manifest {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: descriptorOf(w.unique())}
	m.SchemaVersion = 2
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	m.Layers = []ocispec.Descriptor{descriptorOf(w.unique())}
	for _, d := range named {
		m.Layers = append(m.Layers, descriptorOf(d))
	}
	return &manifest{mediaType: m.MediaType, content: w.encode(m), named: named}
}

// index makes an index of manifests.
func (w *world) index(children ...digest.Digest) *manifest { return w.indexOn("", children...) }

// indexOn makes an index with a subject.
func (w *world) indexOn(subject digest.Digest, children ...digest.Digest) *manifest {
	i := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}, Annotations: map[string]string{"n": string(w.unique())}}
	i.SchemaVersion = 2
	for n, d := range children {
		c := descriptorOf(d)
		c.Platform = &ocispec.Platform{OS: "linux", Architecture: []string{"amd64", "arm64", "s390x", "riscv64"}[n%4]}
		i.Manifests = append(i.Manifests, c)
	}
	if subject != "" {
		s := descriptorOf(subject)
		i.Subject = &s
	}
	return &manifest{mediaType: i.MediaType, content: w.encode(i), children: children, subject: subject}
}

// referrer makes an artifact with a subject.
func (w *world) referrer(artifactType string, subject digest.Digest) *manifest {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON}
	m.SchemaVersion = 2
	m.Layers = []ocispec.Descriptor{descriptorOf(w.unique())}
	s := descriptorOf(subject)
	m.Subject = &s
	return &manifest{mediaType: m.MediaType, content: w.encode(m), subject: subject, artifact: artifactType}
}

// dockerManifest is the media type of Docker's images.
const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// docker makes an image or index one of Docker's formats.
func (w *world) docker(m *manifest) *manifest {
	w.t.Helper()
	for _, t := range [][2]string{
		{ocispec.MediaTypeImageManifest, dockerManifest}, {ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json"},
		{ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"},
	} {
		m.content = bytes.ReplaceAll(m.content, []byte(t[0]), []byte(t[1]))
		m.mediaType = strings.ReplaceAll(m.mediaType, t[0], t[1])
	}
	return m
}

// unknown makes a manifest of a kind that nobody knows, which names others.
func (w *world) unknown(named ...digest.Digest) *manifest {
	w.strange = true
	return &manifest{mediaType: "application/vnd.example.new.v1+json", named: named, content: w.encode(map[string]any{"n": w.unique(), "things": named})}
}

// cosign is the tag under which cosign keeps what belongs to a manifest.
func cosign(d digest.Digest, suffix string) string { return "sha256-" + d.Encoded() + suffix }

// tag puts a tag on a manifest that exists, by pushing it again.
func (w *world) tag(repository, tag string, d digest.Digest) { w.push(repository, tag, w.made[d]) }

// days lets days pass.
func (w *world) days(n int) { w.srv.Advance(time.Duration(n) * 24 * time.Hour) }

// patch changes attributes of a manifest or tag.
func (w *world) patch(repository, reference, attributes string) {
	w.t.Helper()
	if strings.Contains(attributes, "listEnabled") && !slices.Contains(w.hidden, reference) {
		w.hidden = append(w.hidden, reference)
	}
	if status, answer := w.send("PATCH", "/acr/v1/"+repository+attributesOf(reference), "application/json", []byte(attributes)); status != http.StatusOK {
		w.t.Fatalf("patch %s: %d %s", reference, status, answer)
	}
}

// attributesOf is the path of the attributes of a manifest or tag.
func attributesOf(reference string) string {
	if strings.Contains(reference, ":") {
		return "/_manifests/" + reference
	}
	return "/_tags/" + reference
}

const locked = `{"deleteEnabled":false}`

// shot is the state of a repository.
type shot struct {
	manifests map[digest.Digest]shotManifest
	tags      map[string]shotTag
}

type shotManifest struct {
	updated      time.Time
	locked, held bool
	attributes   shotAttributes
}

type shotTag struct {
	digest     digest.Digest
	created    time.Time
	updated    time.Time
	locked     bool
	attributes shotAttributes
}

type shotAttributes struct {
	Delete     bool   `json:"deleteEnabled"`
	Write      bool   `json:"writeEnabled"`
	List       bool   `json:"listEnabled"`
	Read       bool   `json:"readEnabled"`
	Quarantine string `json:"quarantineState"`
}

// shownManifest and shownTag are what the registry says of a manifest and of a tag.
type shownManifest struct {
	Digest     digest.Digest  `json:"digest"`
	Updated    time.Time      `json:"lastUpdateTime"`
	Attributes shotAttributes `json:"changeableAttributes"`
}

type shownTag struct {
	Name       string         `json:"name"`
	Digest     digest.Digest  `json:"digest"`
	Created    time.Time      `json:"createdTime"`
	Updated    time.Time      `json:"lastUpdateTime"`
	Attributes shotAttributes `json:"changeableAttributes"`
}

// shoot reads the state of a repository of at most a thousand manifests and tags.
func (w *world) shoot(repository string) shot {
	w.t.Helper()
	s := shot{map[digest.Digest]shotManifest{}, map[string]shotTag{}}
	var list struct {
		Manifests []shownManifest `json:"manifests"`
		Tags      []shownTag      `json:"tags"`
	}
	for _, path := range []string{"_manifests", "_tags"} {
		status, answer := w.send("GET", "/acr/v1/"+repository+"/"+path+"?n=1000", "", nil)
		if status == http.StatusNotFound {
			return s
		}
		if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK {
			w.t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	for _, reference := range w.hidden { // which the lists do not show
		var one struct {
			Manifest *shownManifest `json:"manifest"`
			Tag      *shownTag      `json:"tag"`
		}
		status, answer := w.send("GET", "/acr/v1/"+repository+attributesOf(reference), "", nil)
		if err := json.Unmarshal(answer, &one); err != nil || status != http.StatusOK && status != http.StatusNotFound {
			w.t.Fatalf("%d %s %v", status, answer, err)
		}
		if one.Manifest != nil {
			list.Manifests = append(list.Manifests, *one.Manifest)
		}
		if one.Tag != nil {
			list.Tags = append(list.Tags, *one.Tag)
		}
	}
	for _, m := range list.Manifests {
		a := m.Attributes
		s.manifests[m.Digest] = shotManifest{m.Updated, !a.Delete || !a.Write, a.Quarantine == "Quarantined", a}
	}
	for _, t := range list.Tags {
		a := t.Attributes
		s.tags[t.Name] = shotTag{t.Digest, t.Created, t.Updated, !a.Delete || !a.Write, a}
	}
	return s
}
