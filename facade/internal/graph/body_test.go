package graph_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

func dgst(s string) digest.Digest { return digest.FromString(s) }

func descriptor(s string) string {
	return fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":1}`, dgst(s))
}

// named is what a manifest names, as "role:letter".
func named(b *graph.Body) []string {
	letters := map[digest.Digest]string{}
	for _, l := range "abcdefgh" {
		letters[dgst(string(l))] = string(l)
	}
	var names []string
	for role, d := range b.Descriptors() {
		names = append(names, string(role)+":"+letters[d.Digest])
	}
	return names
}

func TestRead(t *testing.T) {
	t.Parallel()
	a, b, c, d := descriptor("a"), descriptor("b"), descriptor("c"), descriptor("d")
	for _, row := range []struct {
		name, mediaType, content string
		kind                     graph.Kind
		artifactType             string
		want                     []string
	}{
		{"image", ocispec.MediaTypeImageManifest, `{"config":` + a + `,"layers":[` + b + `,` + c + `],"subject":` + d + `}`,
			graph.KindImage, "application/octet-stream", []string{"config:a", "layer:b", "layer:c", "subject:d"}},
		{"artifact type of its own", ocispec.MediaTypeImageManifest, `{"artifactType":"x/sig","config":` + a + `,"layers":[]}`, graph.KindImage, "x/sig", []string{"config:a"}},
		{"empty config", ocispec.MediaTypeImageManifest, `{"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + string(dgst("a")) + `","size":2}}`,
			graph.KindImage, "", []string{"config:a"}},
		{"index", ocispec.MediaTypeImageIndex, `{"manifests":[` + a + `,` + b + `],"subject":` + c + `}`, graph.KindIndex, "", []string{"child:a", "child:b", "subject:c"}},
		{"docker list", graph.MediaTypeDockerManifestList, `{"manifests":[` + a + `]}`, graph.KindIndex, "", []string{"child:a"}},
		{"artifact manifest", graph.MediaTypeORASManifest, `{"artifactType":"x/sig","blobs":[` + a + `],"subject":` + b + `}`, graph.KindArtifact, "x/sig", []string{"layer:a", "subject:b"}},
		{"media type from the content", "", `{"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + a + `]}`, graph.KindIndex, "", []string{"child:a"}},
		{"null members", ocispec.MediaTypeImageIndex, `{"manifests":null,"subject":null,"config":null}`, graph.KindIndex, "", nil},
		{"a member twice counts in full", ocispec.MediaTypeImageIndex, `{"manifests":[` + a + `],"manifests":[` + b + `]}`, graph.KindIndex, "", []string{"child:a", "child:b"}},
		{"both kinds of members count", ocispec.MediaTypeImageManifest, `{"manifests":[` + a + `],"layers":[` + b + `]}`, graph.KindImage, "", []string{"child:a", "layer:b"}},
		{"other letters are other members", ocispec.MediaTypeImageIndex, `{"Manifests":[` + a + `]}`, graph.KindIndex, "", nil},
		{"unknown kind", "application/x-new+json", `{"things":[{"ref":"` + string(dgst("a")) + `"},"x/y@` + string(dgst("b")) + `"],"subject":` + c + `}`,
			graph.KindUnknown, "", []string{"subject:c", "named:a", "named:b", "named:c"}},
		{"unknown kind, escaped", "application/x-new+json", `{"a":"` + strings.Replace(string(dgst("a")), ":", `\u003a`, 1) + `"}`, graph.KindUnknown, "", []string{"named:a"}},
		{"unknown kind, no JSON", "application/x-new", `a: ` + string(dgst("a")) + "\n" + string(dgst("a")), graph.KindUnknown, "", []string{"named:a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			body, err := graph.Read(row.mediaType, []byte(row.content))
			if err != nil {
				t.Fatal(err)
			}
			if body.Kind != row.kind || body.ArtifactType != row.artifactType {
				t.Errorf("kind %q, artifact type %q", body.Kind, body.ArtifactType)
			}
			if diff := cmp.Diff(row.want, named(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, content string
		want          error
	}{
		{"no JSON", `hello`, graph.ErrMalformed},
		{"no object", `[]`, graph.ErrMalformed},
		{"cut short", `{"manifests":[`, graph.ErrMalformed},
		{"something behind", `{} {}`, graph.ErrMalformed},
		{"bad digest", `{"manifests":[{"digest":"sha256:zz","size":1}]}`, graph.ErrMalformed},
		{"no digest", `{"manifests":[{"size":1}]}`, graph.ErrMalformed},
		{"path as digest", `{"manifests":[{"digest":"../../x","size":1}]}`, graph.ErrMalformed},
		{"negative size", `{"manifests":[{"digest":"` + string(dgst("a")) + `","size":-1}]}`, graph.ErrMalformed},
		{"two subjects", `{"subject":` + descriptor("a") + `,"subject":` + descriptor("b") + `}`, graph.ErrMalformed},
		{"nested for ever", `{"x":` + strings.Repeat("[", 20_000), graph.ErrMalformed},
		{"too large", `{"x":"` + strings.Repeat("y", graph.MaxSize) + `"}`, graph.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if b, err := graph.Read(ocispec.MediaTypeImageIndex, []byte(row.content)); !errors.Is(err, row.want) {
				t.Errorf("%v, %v", b, err)
			}
		})
	}
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	b, err := graph.Read(ocispec.MediaTypeImageManifest, []byte(`{"config":`+descriptor("a")+`,"layers":[`+descriptor("b")+`],"subject":`+descriptor("c")+`}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []digest.Digest
	for d := range b.Blobs() {
		got = append(got, d.Digest)
	}
	if want := []digest.Digest{dgst("a"), dgst("b")}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAttachedTag(t *testing.T) {
	t.Parallel()
	hex := dgst("a").Encoded()
	long := digest.SHA512.FromString("a")
	for _, row := range []struct {
		tag    string
		of     digest.Digest
		suffix string
	}{
		{"sha256-" + hex, dgst("a"), ""},
		{"sha256-" + hex + ".sig", dgst("a"), ".sig"},
		{"sha256-" + hex + ".0123.x", dgst("a"), ".0123.x"},
		{"sha512-" + long.Encoded() + ".att", long, ".att"},
		{"sha512-" + long.Encoded()[:64], long, ""},
		{"sha256-" + hex + "-x", "", ""},
		{"sha256-" + hex + "0", "", ""},
		{"sha256-" + hex[1:], "", ""},
		{"sha256-" + strings.ToUpper(hex), "", ""},
		{"sha256", "", ""},
		{"v1.2", "", ""},
		{"", "", ""},
	} {
		key, suffix, ok := graph.AttachedTag(row.tag)
		if ok != (row.of != "") || suffix != row.suffix || ok && key != graph.TagKey(row.of) {
			t.Errorf("%s: %q %q %v", row.tag, key, suffix, ok)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	if graph.NamesManifests(graph.MediaTypeDockerManifest) || !graph.NamesManifests(ocispec.MediaTypeImageManifest) || !graph.NamesManifests("x/y") {
		t.Error("only Docker's image manifest names no manifests")
	}
	if !graph.IsForeign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") || graph.IsForeign(ocispec.MediaTypeImageLayerGzip) {
		t.Error("foreign layers")
	}
	if got := graph.Platform(&ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}); got != "linux/arm/v7" {
		t.Error(got)
	}
	if got := graph.Platform(nil); got != "" {
		t.Error(got)
	}
}

// What is read names what stands in the content, whatever the content is, and reading never panics.
func FuzzRead(f *testing.F) {
	f.Add(ocispec.MediaTypeImageIndex, `{"manifests":[`+descriptor("a")+`]}`)
	f.Add(ocispec.MediaTypeImageManifest, `{"config":`+descriptor("a")+`,"layers":[`+descriptor("b")+`],"subject":`+descriptor("c")+`}`)
	f.Add("application/x-new", "x "+string(dgst("a")))
	f.Add("", `{"mediaType":"`+graph.MediaTypeORASManifest+`","blobs":[`+descriptor("a")+`]}`)
	f.Fuzz(func(t *testing.T, mediaType, content string) {
		b, err := graph.Read(mediaType, []byte(content))
		if err != nil {
			if !errors.Is(err, graph.ErrMalformed) && !errors.Is(err, graph.ErrTooLarge) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		for role, d := range b.Descriptors() {
			if err := d.Digest.Validate(); err != nil {
				t.Errorf("%s: %v", role, err)
			}
		}
	})
}
