package acr_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// badTags and badDigests are for options; acrsuite/attack tries every call with bad names, tags and digests.
var (
	badTags    = []string{"", ".", "a/b", "é", "a\nb", strings.Repeat("a", 129)}
	badDigests = []digest.Digest{":", "sha256:", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", digest.FromString("x") + "0"}
)

// TestBadArguments: what cannot be right is refused by its kind, before anything is sent, in one line.
func TestBadArguments(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{}
	c := s.Client(t)
	ctx := t.Context()
	refused := func(t *testing.T, what string, err error, names ...string) {
		t.Helper()
		argument, ok := errors.AsType[*acr.ArgumentError](err)
		if !ok || !slices.Contains(names, argument.Argument) || !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%s: got %v, want one about %q", what, err, names)
			return
		}
		acrsuite.OneLine(t, argument)
	}
	r := c.Repository("library/hello")
	t.Run("tags", func(t *testing.T) {
		for _, tag := range badTags {
			_, err := r.Tag(ctx, "v1", tag, nil)
			refused(t, tag, err, "tag")
			if tag != "" { // which stands for none
				refused(t, tag, r.RestoreManifest(ctx, acrsuite.GoodDigest, &acr.RestoreManifestOptions{Tag: tag}), "tag")
			}
		}
	})
	t.Run("digests", func(t *testing.T) {
		for _, d := range badDigests {
			_, err := acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{Digest: d}))
			refused(t, string(d), err, "digest")
		}
	})
	t.Run("references", func(t *testing.T) {
		for _, reference := range []string{"shop/web:v1", ":v1", "v1:", "v1@" + string(acrsuite.GoodDigest), "sha256:ABC", string(acrsuite.GoodDigest)[:70], "shop/web"} {
			_, getErr := r.GetManifest(ctx, reference)
			_, headErr := r.HeadManifest(ctx, reference)
			_, putErr := r.PutManifest(ctx, reference, []byte(acrsuite.ImageManifest), nil)
			_, tagErr := r.Tag(ctx, reference, "v2", nil)
			_, digestErr := r.Artifact(reference).Digest(ctx)
			_, tagsErr := acr.Collect(r.Artifact(reference).Tags(ctx))
			_, doctorErr := c.Doctor(ctx, &acr.DoctorOptions{Repository: r.Name(), Reference: reference})
			for _, err := range []error{getErr, headErr, putErr, tagErr, digestErr, tagsErr, doctorErr, r.Artifact(reference).Delete(ctx)} {
				refused(t, reference, err, "reference")
			}
		}
	})
	t.Run("IDs of conversions", func(t *testing.T) {
		for _, id := range []string{"", ".", "..", "a/b", "a?b", "a:cancel", "%2e", "a b", "é", strings.Repeat("a", 129)} {
			_, pollErr := r.Conversion(id).Poll(ctx)
			_, cancelErr := r.Conversion(id).Cancel(ctx)
			_, waitErr := r.Conversion(id).Wait(ctx)
			for _, err := range []error{pollErr, cancelErr, waitErr} {
				refused(t, id, err, "id")
			}
		}
	})
	t.Run("queries", func(t *testing.T) {
		for _, query := range []string{"", " \n", strings.Repeat("a", 64<<10+1)} {
			_, all := acr.Collect(c.QueryMetadata(ctx, query))
			_, one := acr.Collect(r.QueryMetadata(ctx, query))
			refused(t, "registry", all, "query")
			refused(t, "repository", one, "query")
		}
	})
	t.Run("typed manifests", func(t *testing.T) {
		good := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: acrsuite.GoodDigest, Size: 1}
		bad := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: "sha256:x", Size: 1}
		_, configErr := r.PutImage(ctx, "v1", ocispec.Manifest{}, nil)
		_, layerErr := r.PutImage(ctx, "v1", ocispec.Manifest{Config: good, Layers: []ocispec.Descriptor{good, bad}}, nil)
		_, sizeErr := r.PutImage(ctx, "v1", ocispec.Manifest{Config: good, Layers: []ocispec.Descriptor{{Digest: good.Digest, Size: -1}}}, nil)
		_, manifestErr := r.PutIndex(ctx, "v1", ocispec.Index{Manifests: []ocispec.Descriptor{bad}}, nil)
		for _, err := range []error{configErr, layerErr, sizeErr, manifestErr} {
			refused(t, "typed manifest", err, "Config", "Layers[1]", "Layers[0].Size", "Manifests[0]")
		}
		if sent := s.Requests(); len(sent) > 0 {
			t.Errorf("sent %q", sent)
		}
		for what, err := range map[string]error{
			"an image as an index": func() error {
				_, err := r.PutImage(ctx, "v1", ocispec.Manifest{MediaType: ocispec.MediaTypeImageIndex, Config: good}, nil)
				return err
			}(),
			"another type": func() error {
				_, err := r.PutIndex(ctx, "v1", ocispec.Index{}, &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageManifest})
				return err
			}(),
		} {
			if !errors.Is(err, acr.ErrManifestMalformed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("quarantine", func(t *testing.T) {
		passed := acr.ChangeableAttributes{QuarantineState: new("Passed"), ReadEnabled: new(true)}
		_, repositoryErr := r.UpdateAttributes(ctx, passed)
		_, tagErr := r.Artifact("v1").UpdateTagAttributes(ctx, acr.ChangeableAttributes{QuarantineDetails: new("{}")})
		manifest := r.Artifact(string(acrsuite.GoodDigest))
		_, stateErr := manifest.UpdateManifestAttributes(ctx, acr.ChangeableAttributes{QuarantineState: new("Passed\r\n")})
		_, detailsErr := manifest.UpdateManifestAttributes(ctx, acr.ChangeableAttributes{QuarantineState: new("Passed"), QuarantineDetails: new("{")})
		for _, err := range []error{repositoryErr, tagErr, stateErr, detailsErr} {
			refused(t, "quarantine", err, "QuarantineState", "QuarantineDetails")
		}
	})
	t.Run("a tag's method on a digest", func(t *testing.T) {
		refused(t, "DeleteTag", r.Artifact(string(acrsuite.GoodDigest)).DeleteTag(ctx), "reference")
	})
	t.Run("options", func(t *testing.T) {
		_, size := acr.Collect(c.Repositories(ctx, &acr.ListOptions{PageSize: -1}))
		_, key := acr.Collect(c.RepositoryNames(ctx, &acr.ListOptions{After: "a\r\nb"}))
		_, order := acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{Order: "sideways"}))
		_, nothing := r.UpdateAttributes(ctx, acr.ChangeableAttributes{})
		_, neither := r.Artifact("v1").UpdateManifestAttributes(ctx, acr.ChangeableAttributes{})
		_, filter := acr.Collect(r.Referrers(ctx, acrsuite.GoodDigest, &acr.ReferrersOptions{ArtifactType: "a\nb"}))
		for _, row := range []struct {
			name string
			err  error
		}{{"PageSize", size}, {"After", key}, {"Order", order}, {"attributes", nothing}, {"attributes", neither}, {"ArtifactType", filter}} {
			refused(t, "an option", row.err, row.name)
		}
	})
	t.Run("ranges of options", func(t *testing.T) { outOfRange(t, r, refused) })
	if sent := s.Requests(); len(sent) > 0 {
		t.Errorf("sent all the same: %q", sent)
	}
}

// outOfRange gives options that nobody can mean, in both directions.
func outOfRange(t *testing.T, r *acr.Repository, refused func(*testing.T, string, error, ...string)) {
	t.Helper()
	ctx, dgst := t.Context(), acrsuite.GoodDigest
	path := filepath.Join(t.TempDir(), "blob")
	for _, o := range []acr.DownloadOptions{
		{PartSize: 1, Concurrency: 100_000}, {PartSize: 1}, {PartSize: 1023}, {PartSize: 1<<30 + 1}, {PartSize: math.MaxInt64}, {PartSize: -1}, {PartSize: math.MinInt64},
		{Concurrency: 101}, {Concurrency: math.MaxInt}, {Concurrency: -1}, {Size: -1}, {Size: math.MinInt64},
	} {
		_, err := r.DownloadBlob(ctx, dgst, nowhere{}, &o)
		refused(t, fmt.Sprintf("DownloadBlob %+v", o), err, "PartSize", "Concurrency", "Size")
		_, err = r.DownloadBlobFile(ctx, dgst, path, &acr.DownloadFileOptions{Size: o.Size, Concurrency: o.Concurrency, PartSize: o.PartSize})
		refused(t, fmt.Sprintf("DownloadBlobFile %+v", o), err, "PartSize", "Concurrency", "Size")
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) > 0 {
		t.Errorf("files of a refused download: %v, %v", files, err)
	}
	cp := acr.Checkpoint{Repository: r.Name(), Location: "/v2/" + r.Name() + "/blobs/uploads/1"}
	for _, size := range []int64{-1, math.MinInt64, 4<<30 + 1, math.MaxInt64} {
		_, err := r.UploadBlob(ctx, strings.NewReader("x"), &acr.UploadOptions{ChunkSize: size})
		refused(t, "UploadBlob", err, "ChunkSize")
		_, err = r.UploadBlob(ctx, acrsuite.Stream{Reader: strings.NewReader("x")}, &acr.UploadOptions{ChunkSize: size})
		refused(t, "UploadBlob of a stream", err, "ChunkSize")
		_, err = r.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: size})
		refused(t, "StartUpload", err, "ChunkSize")
		_, err = r.ResumeUpload(ctx, cp, &acr.ResumeUploadOptions{ChunkSize: size})
		refused(t, "ResumeUpload", err, "ChunkSize")
	}
	for _, n := range []int{-1, 101, math.MaxInt, math.MinInt} {
		_, tags := acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{Concurrency: n}))
		_, names := acr.Collect(r.TagNames(ctx, &acr.ListOptions{Concurrency: n}))
		_, manifests := acr.Collect(r.Manifests(ctx, &acr.ListManifestsOptions{Concurrency: n}))
		for _, err := range []error{tags, names, manifests} {
			refused(t, "a list", err, "Concurrency")
		}
	}
	for _, row := range [][2]int64{{-1, 1}, {math.MaxInt64, 1}, {1, math.MaxInt64}, {math.MinInt64, -1}} {
		_, err := r.GetBlobRange(ctx, dgst, row[0], row[1])
		refused(t, fmt.Sprintf("GetBlobRange %d", row), err, "offset", "n")
	}
}

// TestCheckpointOfAnotherRegistry: it is refused before anything is sent, and of its location only the host is shown.
func TestCheckpointOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{}
	r := s.Client(t).Repository("a/b")
	for _, origin := range []string{"https://other.azurecr.io", "http://other.azurecr.io", "https://other.azurecr.io:8443", "//other.azurecr.io"} {
		cp := acr.Checkpoint{
			Repository: "a/b", Location: origin + "/v2/a/b/blobs/uploads/hunter2?_state=hunter3", Offset: 1, Algorithm: digest.SHA256,
		}
		_, uploadErr := r.UploadBlob(t.Context(), strings.NewReader("content"), &acr.UploadOptions{Resume: &cp})
		_, resumeErr := r.ResumeUpload(t.Context(), cp, nil)
		for _, err := range []error{uploadErr, resumeErr} {
			e, ok := errors.AsType[*acr.ArgumentError](err)
			if !ok || e.Argument != "checkpoint" || !errors.Is(err, acr.ErrInvalidArgument) || !errors.Is(err, acr.ErrUntrusted) || !strings.Contains(e.Reason, "another registry") {
				t.Errorf("%s: %v", origin, err)
				continue
			}
			text := fmt.Sprint(err)
			if !strings.Contains(text, "other.azurecr.io") || !strings.Contains(text, "not to https://registry.azurecr.io") || strings.Contains(text, "hunter") || strings.Contains(text, "uploads") {
				t.Error(text)
			}
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestEndpoints: a credential is bound to an https host of ACR, or to one that was named.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"", "http://registry.azurecr.io", "https://", "https://registry.azurecr.io.attacker.com", "https://azurecr.io", "https://registry.azurecr.io.", "ftp://registry.azurecr.io",
		"https://registry.azurecr.io/path", "https://registry.azurecr.io?x", "https://registry.azurecr.io#x", "https://user:hunter2@registry.azurecr.io",
		"https://user:p@hunter2@registry.azurecr.io", "https://user:p?@hunter2@registry.azurecr.io", "https://a.blob.core.windows.net/c?sv=1&sig=hunter2", "https://127.0.0.1",
		"https://a.azurecr.io#t=hunter2", "https://a.azurecr.io?sig=x@hunter2", "https://a.azurecr.io#x@hunter2", "https://user:hunter2", "user:hunter2/path",
		"https://user:hunter2?", "a.azurecr.io/x?sig=hunter2", "https://user:p/hunter2@a.azurecr.io", ":hunter2",
		"https://evil.com", "https://xn--rgistry-bya.azurecr.io", "registry.azurecr.io:8443", "https://r\negistry.azurecr.io", "localhost:5000",
	} {
		_, entra := acr.NewClient(endpoint, nil, nil)
		_, password := acr.NewClientWithPassword(endpoint, "u", "hunter2", nil)
		_, token := acr.NewClientWithRefreshToken(endpoint, "hunter2", nil)
		for _, err := range []error{entra, password, token} {
			if !errors.Is(err, acr.ErrInvalidArgument) {
				t.Errorf("%q: %v", endpoint, err)
				continue
			}
			acrsuite.OneLine(t, err)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
		}
	}
	for endpoint, want := range map[string]string{
		"registry.azurecr.io": "https://registry.azurecr.io", "https://Registry.AzureCR.io/": "https://registry.azurecr.io",
		"https://r.azurecr.cn": "https://r.azurecr.cn", "r.azurecr.us": "https://r.azurecr.us", "r.westeurope.geo.azurecr.io": "https://r.westeurope.geo.azurecr.io",
		"localhost:5000": "https://localhost:5000", "registry.example.com": "https://registry.example.com",
	} {
		c, err := acr.NewClient(endpoint, nil, &acr.ClientOptions{AllowedHosts: []string{"localhost:5000", "registry.example.com"}})
		if err != nil {
			t.Errorf("%q: %v", endpoint, err)
		} else if c.Endpoint() != want {
			t.Errorf("%q: %s", endpoint, c.Endpoint())
		}
	}
	for what, construct := range map[string]func() (*acr.Client, error){
		"no user":     func() (*acr.Client, error) { return acr.NewClientWithPassword("r.azurecr.io", "", "p", nil) },
		"no password": func() (*acr.Client, error) { return acr.NewClientWithPassword("r.azurecr.io", "u", "", nil) },
		"no token":    func() (*acr.Client, error) { return acr.NewClientWithRefreshToken("r.azurecr.io", "", nil) },
		"odd user":    func() (*acr.Client, error) { return acr.NewClientWithPassword("r.azurecr.io", "u:v", "hunter2", nil) },
		"odd token":   func() (*acr.Client, error) { return acr.NewClientWithRefreshToken("r.azurecr.io", "hunter2\n", nil) },
		"odd source": func() (*acr.Client, error) {
			return acr.NewClient("r.azurecr.io", nil, &acr.ClientOptions{SourceClient: "a b"})
		},
	} {
		_, err := construct()
		if bad, ok := errors.AsType[*acr.ArgumentError](err); !ok || !errors.Is(err, acr.ErrInvalidArgument) || strings.Contains(bad.Value+bad.Reason, "hunter2") {
			t.Errorf("%s: %v", what, err)
		} else {
			acrsuite.OneLine(t, err)
		}
	}
}
