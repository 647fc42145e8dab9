package acr_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// referrer is a manifest with a subject.
func referrer(artifactType string, subject digest.Digest, note string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":%q,"manifests":[],"subject":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":%q,"size":1},"annotations":{"note":%q}}`,
		artifactType, subject, note)
}

func digestsOf(t *testing.T, all []ocispec.Descriptor, err error) []digest.Digest {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	var out []digest.Digest
	for _, d := range all {
		out = append(out, d.Digest)
	}
	slices.Sort(out)
	return out
}

// TestReferrers: by the API, in pages and filtered, and by the referrers tag where there is no API.
func TestReferrers(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*acrtest.Server){
		"API":          func(*acrtest.Server) {},
		"no header":    func(s *acrtest.Server) { s.On("PutManifest").Always().WithoutHeader("OCI-Subject") },
		"filter apart": func(s *acrtest.Server) { s.On("ListReferrers").Always().WithoutHeader("OCI-Filters-Applied") },
		"no API": func(s *acrtest.Server) {
			s.On("PutManifest").Always().WithoutHeader("OCI-Subject")
			s.On("ListReferrers").Always().Status(http.StatusNotFound).Body("text/plain", "404 page not found\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := acrsuite.NewServer(t)
			script(srv)
			ctx := t.Context()
			r := acrsuite.NewClient(t, srv).Repository("library/hello")
			subject := putIndex(t, r, "v1", "x").Digest
			if all, err := acr.Collect(r.Referrers(ctx, subject, nil)); err != nil || len(all) != 0 {
				t.Errorf("%v %v", all, err)
			}
			var sboms, all []digest.Digest
			for i := range 5 {
				artifactType := []string{"application/vnd.example.sbom", "application/vnd.example.signature"}[i%2]
				d, err := r.PutManifest(ctx, "", referrer(artifactType, subject, fmt.Sprint(i)), nil)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, d.Digest)
				if i%2 == 0 {
					sboms = append(sboms, d.Digest)
				}
			}
			slices.Sort(all)
			slices.Sort(sboms)
			got, err := acr.Collect(r.Referrers(ctx, subject, nil))
			if got := digestsOf(t, got, err); !slices.Equal(got, all) {
				t.Errorf("all: %v", got)
			}
			got, err = acr.Collect(r.Referrers(ctx, subject, &acr.ReferrersOptions{PageSize: 2}))
			if got := digestsOf(t, got, err); !slices.Equal(got, all) {
				t.Errorf("in pages: %v", got)
			}
			got, err = acr.Collect(r.Referrers(ctx, subject, &acr.ReferrersOptions{ArtifactType: "application/vnd.example.sbom", PageSize: 1}))
			if got := digestsOf(t, got, err); !slices.Equal(got, sboms) {
				t.Errorf("filtered: %v", got)
			}
			for _, d := range got {
				if d.ArtifactType != "application/vnd.example.sbom" || d.Annotations["note"] == "" {
					t.Errorf("%+v", d)
				}
			}
			tagged, err := r.HeadManifest(ctx, strings.Replace(string(subject), ":", "-", 1))
			if byTag := err == nil; byTag != (name == "no API") {
				t.Errorf("referrers tag: %v %v", tagged, err)
			}
		})
	}
}

// TestReferrersOfNoRepository: a repository that is not there is not taken for one without an API.
func TestReferrersOfNoRepository(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Refusal(404, "NAME_UNKNOWN", "no") }}
	if _, err := acr.Collect(s.Client(t).Repository("a").Referrers(t.Context(), acrsuite.GoodDigest, nil)); !errors.Is(err, acr.ErrNameUnknown) || len(s.Requests()) != 1 {
		t.Errorf("%v after %q", err, s.Requests())
	}
	for _, bad := range []string{`{"schemaVersion":2,"manifests":[{"digest":"md5:x"}]}`, `{}`, `{"errors":[{"code":"DENIED"}]}`} {
		s = &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, bad) }}
		if _, err := acr.Collect(s.Client(t).Repository("a").Referrers(t.Context(), acrsuite.GoodDigest, nil)); !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("%s: %v", bad, err)
		} else {
			acrsuite.OneLine(t, err)
		}
	}
}

// TestReferrersAtOnce: where there is no referrers API, referrers put in the same moment are all noted, and one that another client's update
// took out is noted again. Where there is one, it is asked for once.
func TestReferrersAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("no API", func(t *testing.T) {
		t.Parallel()
		srv := withoutReferrersAPI(t)
		r := acrsuite.NewClient(t, srv).Repository("library/hello")
		subject := putIndex(t, r, "v1", "x").Digest
		const n = 8
		failures := make(chan error, n)
		for i := range n {
			go func() {
				_, err := r.PutManifest(t.Context(), "", referrer("application/vnd.example.sbom", subject, fmt.Sprint(i)), nil)
				failures <- err
			}()
		}
		for range n {
			if err := <-failures; err != nil {
				t.Error(err)
			}
		}
		if all, err := acr.Collect(r.Referrers(t.Context(), subject, nil)); err != nil || len(all) != n {
			t.Errorf("%d referrers: %v", len(all), err)
		}
	})
	t.Run("another client in the way", func(t *testing.T) {
		t.Parallel()
		content := referrer("application/vnd.example.sbom", acrsuite.GoodDigest, "x")
		tagged, lost := "", false
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			path := r.URL.Path
			switch {
			case strings.Contains(path, "/referrers/"):
				return acrsuite.Answer(404, "404 page not found\n", "Content-Type", "text/plain")
			case r.Method == http.MethodPut && strings.Contains(path, "/sha256-"):
				if body, _ := io.ReadAll(r.Body); lost {
					tagged = string(body)
				}
				lost = true
				return acrsuite.Answer(201, "")
			case r.Method == http.MethodPut:
				return acrsuite.Answer(201, "")
			case tagged == "":
				return acrsuite.Refusal(404, "MANIFEST_UNKNOWN", "no")
			default:
				return acrsuite.Answer(200, tagged, "Content-Type", ocispec.MediaTypeImageIndex)
			}
		}}
		if _, err := s.Client(t).Repository("a").PutManifest(t.Context(), "", content, nil); err != nil || !strings.Contains(tagged, digest.FromBytes(content).String()) {
			t.Errorf("%v\n%s", err, strings.Join(s.Requests(), "\n"))
		}
	})
	t.Run("API", func(t *testing.T) {
		t.Parallel()
		srv := acrsuite.NewServer(t)
		srv.On("PutManifest").Always().WithoutHeader("OCI-Subject")
		r := acrsuite.NewClient(t, srv).Repository("library/hello")
		subject := putIndex(t, r, "v1", "x").Digest
		for i := range 3 {
			if _, err := r.PutManifest(t.Context(), "", referrer("application/vnd.example.sbom", subject, fmt.Sprint(i)), nil); err != nil {
				t.Fatal(err)
			}
		}
		srv.Ledger().AtMost(t, 1, "ListReferrers")
	})
	t.Run("not noted", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut {
				return acrsuite.Answer(201, "")
			}
			return acrsuite.Refusal(403, "DENIED", "no")
		}}
		_, err := s.Client(t).Repository("a").PutManifest(t.Context(), "", referrer("a/b", acrsuite.GoodDigest, "x"), nil)
		if !errors.Is(err, acr.ErrDenied) || !strings.Contains(err.Error(), "is stored, but") {
			t.Error(err)
		}
		acrsuite.OneLine(t, err)
	})
}

// TestReferrersTagOfNoIndex: what is under a referrers tag and is no index is named.
func TestReferrersTagOfNoIndex(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
		if strings.Contains(r.URL.Path, "/referrers/") {
			return acrsuite.Answer(404, "404 page not found\n", "Content-Type", "text/plain")
		}
		return acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest)
	}}
	_, err := acr.Collect(s.Client(t).Repository("a").Referrers(t.Context(), acrsuite.GoodDigest, nil))
	if !errors.Is(err, acr.ErrManifestMalformed) || !strings.HasPrefix(err.Error(), "acr: ListReferrers: the tag sha256-") {
		t.Error(err)
	}
}

// TestReferrersNotedLater: a manifest that is there already, left by a put that ended before its subject's referrers were noted, is noted.
func TestReferrersNotedLater(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	srv.On("PutManifest").Always().WithoutHeader("OCI-Subject")
	srv.On("ListReferrers").Always().Status(http.StatusNotFound).Body("text/plain", "404 page not found\n")
	r := acrsuite.NewClient(t, srv).Repository("library/hello")
	subject := putIndex(t, r, "v1", "x").Digest
	content := referrer("application/vnd.example.sbom", subject, "x")
	if _, err := r.PutManifest(t.Context(), "sbom", content, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Artifact(strings.Replace(string(subject), ":", "-", 1)).DeleteTag(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutManifest(t.Context(), "sbom", content, &acr.PutManifestOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if all, err := acr.Collect(r.Referrers(t.Context(), subject, nil)); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
}

// TestReferrersWithoutType: a referrer whose descriptor leaves its type out, because only the config of its manifest has one, is found by
// the type all the same; one that is gone by then is not, and what else keeps its type from being known is told.
func TestReferrersWithoutType(t *testing.T) {
	t.Parallel()
	const signature = "application/vnd.cncf.notary.signature"
	manifest := func(config string) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],"annotations":{"note":%q}}`,
			ocispec.MediaTypeImageManifest, config, acrsuite.GoodDigest, config)
	}
	wanted, other, gone := manifest(signature), manifest("application/vnd.example.sbom"), manifest("application/vnd.example.gone")
	var entries []string
	for _, m := range [][]byte{wanted, other, gone} {
		entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ocispec.MediaTypeImageManifest, digest.FromBytes(m), len(m)))
	}
	index := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + strings.Join(entries, ",") + `]}`
	for name, api := range map[string]bool{"API": true, "no API": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			denied := false
			s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
				path := r.URL.Path
				switch {
				case strings.Contains(path, "/referrers/") && !api:
					return acrsuite.Answer(404, "404 page not found\n", "Content-Type", "text/plain")
				case strings.Contains(path, "/referrers/"), strings.Contains(path, "/manifests/sha256-"):
					return acrsuite.Answer(200, index, "Content-Type", ocispec.MediaTypeImageIndex)
				case strings.HasSuffix(path, digest.FromBytes(gone).String()):
					return acrsuite.Refusal(404, "MANIFEST_UNKNOWN", "no")
				case denied:
					return acrsuite.Refusal(403, "DENIED", "no")
				case strings.HasSuffix(path, digest.FromBytes(other).String()):
					return acrsuite.Answer(200, string(other), "Content-Type", ocispec.MediaTypeImageManifest)
				default:
					return acrsuite.Answer(200, string(wanted), "Content-Type", ocispec.MediaTypeImageManifest)
				}
			}}
			r := s.Client(t).Repository("a")
			opts := &acr.ReferrersOptions{ArtifactType: signature}
			all, err := acr.Collect(r.Referrers(t.Context(), acrsuite.GoodDigest, opts))
			if err != nil || len(all) != 1 || all[0].Digest != digest.FromBytes(wanted) || all[0].ArtifactType != signature || all[0].Annotations["note"] != signature {
				t.Errorf("%+v %v", all, err)
			}
			if all, err := acr.Collect(r.Referrers(t.Context(), acrsuite.GoodDigest, nil)); err != nil || len(all) != 3 {
				t.Errorf("without a filter: %d %v", len(all), err)
			}
			denied = true
			if all, err := acr.Collect(r.Referrers(t.Context(), acrsuite.GoodDigest, opts)); !errors.Is(err, acr.ErrDenied) || len(all) != 0 {
				t.Errorf("%+v %v", all, err)
			}
		})
	}
}
