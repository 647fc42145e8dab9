package acr_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestPutManifestRefuses: a manifest that could be misread is not put.
func TestPutManifestRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, reference, content string
		opts                     *acr.PutManifestOptions
		want                     error
	}{
		{name: "another digest", reference: string(acrsuite.GoodDigest), content: acrsuite.ImageManifest, want: acr.ErrDigestMismatch},
		{name: "another media type", content: acrsuite.ImageManifest, opts: &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageIndex}, want: acr.ErrManifestMalformed},
		{name: "no media type", content: `{"schemaVersion":2}`, want: acr.ErrManifestMalformed},
		{name: "a member twice", content: `{"mediaType":"application/vnd.oci.image.manifest.v1+json","mediaType":"application/vnd.oci.image.manifest.v1+json"}`, want: acr.ErrManifestMalformed},
		{name: "layers and manifests", content: `{"layers":[],"manifests":[]}`, opts: &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageIndex}, want: acr.ErrManifestMalformed},
		{name: "layers and Manifests", content: `{"layers":[],"Manifests":[]}`, opts: &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageManifest}, want: acr.ErrManifestMalformed},
		{name: "a member in another case", content: `{"Layers":[]}`, opts: &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageManifest}, want: acr.ErrManifestMalformed},
		{name: "a member in a letter that folds", content: `{"manife\u017fts":[]}`, opts: &acr.PutManifestOptions{MediaType: ocispec.MediaTypeImageIndex}, want: acr.ErrManifestMalformed},
		{name: "no JSON", content: `x`, want: acr.ErrManifestMalformed},
		{name: "nothing", content: ``, want: acr.ErrManifestMalformed},
		{name: "schema 1", content: `{}`, opts: &acr.PutManifestOptions{MediaType: "application/vnd.docker.distribution.manifest.v1+prettyjws"}, want: acr.ErrInvalidArgument},
		{name: "A44 a header in the media type", content: `x`, opts: &acr.PutManifestOptions{MediaType: "a/b\r\nX-Evil: 1"}, want: acr.ErrInvalidArgument},
		{name: "a bad subject", content: `{"mediaType":"application/vnd.oci.image.manifest.v1+json","subject":{"digest":"md5:x"}}`, want: acr.ErrManifestMalformed},
		{name: "too large", content: acrsuite.ImageManifest + strings.Repeat(" ", 4<<20), want: acr.ErrInvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &acrsuite.Scripted{}
			_, err := s.Client(t).Repository("a/b").PutManifest(t.Context(), test.reference, []byte(test.content), test.opts)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			t.Log(err)
			acrsuite.OneLine(t, err)
			if sent := s.Requests(); len(sent) > 0 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// stored is the answer to a put.
func stored(headers ...string) *http.Response {
	return acrsuite.Answer(201, "", append([]string{"Docker-Content-Digest", digest.FromString(acrsuite.ImageManifest).String()}, headers...)...)
}

// TestPutManifestFaults: lost answers, blobs that are on their way, a registry that stores something else.
func TestPutManifestFaults(t *testing.T) {
	t.Parallel()
	put := func(t *testing.T, s *acrsuite.Scripted, opts *acr.PutManifestOptions) (ocispec.Descriptor, error) {
		return s.Client(t).Repository("a/b").PutManifest(t.Context(), "v1", []byte(acrsuite.ImageManifest), opts)
	}
	t.Run("put", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			if got := r.Header.Get("Content-Type"); got != ocispec.MediaTypeImageManifest {
				t.Errorf("Content-Type %q", got)
			}
			return stored()
		}}
		d, err := put(t, s, nil)
		if err != nil || d.Digest != digest.FromString(acrsuite.ImageManifest) || d.MediaType != ocispec.MediaTypeImageManifest || d.Size != int64(len(acrsuite.ImageManifest)) {
			t.Errorf("%+v %v", d, err)
		}
	})
	t.Run("something else stored", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
			return acrsuite.Answer(201, "", "Docker-Content-Digest", string(acrsuite.GoodDigest))
		}}
		if _, err := put(t, s, nil); !errors.Is(err, acr.ErrDigestMismatch) {
			t.Errorf("%v", err)
		}
	})
	t.Run("F45 applied, answers lost", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut {
				return nil
			}
			return acrsuite.Answer(200, acrsuite.ImageManifest, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString(acrsuite.ImageManifest).String())
		}}
		if _, err := put(t, s, nil); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("answers lost, not applied", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut {
				return nil
			}
			return acrsuite.Answer(404, "")
		}}
		if _, err := put(t, s, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an answer lost, and a blob missing of what was there before", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{}
		s.Answer = func(r *http.Request) *http.Response {
			switch {
			case r.Method != http.MethodPut:
				return stored("Content-Type", ocispec.MediaTypeImageManifest)
			case len(s.Sent) == 1:
				return nil
			default:
				return acrsuite.Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
			}
		}
		if _, err := put(t, s, nil); !errors.Is(err, acr.ErrManifestBlobUnknown) {
			t.Errorf("%v", err)
		}
	})
	t.Run("F44 a blob on its way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &acrsuite.Scripted{}
			s.Answer = func(*http.Request) *http.Response {
				if len(s.Sent) < 4 {
					return acrsuite.Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
				}
				return stored()
			}
			start := time.Now()
			if _, err := put(t, s, &acr.PutManifestOptions{BlobWait: 10 * time.Second}); err != nil {
				t.Errorf("%v", err)
			}
			if waited := time.Since(start); waited != 1750*time.Millisecond {
				t.Errorf("waited %s", waited)
			}
		})
	})
	t.Run("F44 a blob that never comes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
				return acrsuite.Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
			}}
			start := time.Now()
			_, err := put(t, s, &acr.PutManifestOptions{BlobWait: time.Hour})
			if !errors.Is(err, acr.ErrManifestBlobUnknown) || !strings.Contains(err.Error(), "another replica") {
				t.Errorf("%v", err)
			}
			if waited := time.Since(start); waited > time.Minute || waited < 30*time.Second {
				t.Errorf("waited %s", waited)
			}
		})
	})
}

// TestPutManifestIfAbsent: a tag is not moved unless it may be.
func TestPutManifestIfAbsent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there string // content under the tag
		want  error
		puts  int
	}{
		"free": {puts: 1}, "taken by the same": {there: acrsuite.ImageManifest}, "taken by another": {there: indexManifest, want: acr.ErrTagExists},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			puts := 0
			s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
				switch {
				case r.Method == http.MethodPut:
					puts++
					return stored()
				case test.there == "":
					return acrsuite.Answer(404, "")
				default:
					return acrsuite.Answer(200, test.there, "Content-Type", ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString(test.there).String())
				}
			}}
			_, err := s.Client(t).Repository("a/b").PutManifest(t.Context(), "v1", []byte(acrsuite.ImageManifest), &acr.PutManifestOptions{IfAbsent: true})
			if !errors.Is(err, test.want) || (test.want == nil) != (err == nil) || puts != test.puts {
				t.Errorf("%d puts, %v", puts, err)
			}
		})
	}
}

// TestPutManifestIfAbsentQuarantine: a tag is there though the registry does not find its manifest by it, as of one in quarantine.
func TestPutManifestIfAbsentQuarantine(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t, acrtest.WithRepositoryToken("pusher", "sesame", "team/* content/read,content/write"))
	admin, ctx := acrsuite.NewClient(t, srv).Repository("team/app"), t.Context()
	was := srv.SeedImage(t, "team/app:v1")
	held, err := admin.GetManifest(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	quarantined := acr.ChangeableAttributes{QuarantineState: new("Quarantined")}
	if _, err := admin.Artifact(string(was)).UpdateManifestAttributes(ctx, quarantined); err != nil {
		t.Fatal(err)
	}
	opts := &acr.PutManifestOptions{IfAbsent: true}
	srv.SeedImage(t, "team/app:v2")
	srv.Ledger().Reset()
	if _, err := admin.PutManifest(ctx, "v1", []byte(indexManifest), opts); !errors.Is(err, acr.ErrTagExists) {
		t.Errorf("another manifest: %v", err)
	}
	if _, err := admin.Tag(ctx, "v2", "v1", &acr.TagOptions{IfAbsent: true}); !errors.Is(err, acr.ErrTagExists) {
		t.Errorf("another tag: %v", err)
	}
	if _, err := admin.PutManifest(ctx, "v1", held.Content, opts); err != nil {
		t.Errorf("the same manifest: %v", err)
	}
	if n := srv.Ledger().Count("PutManifest"); n != 0 {
		t.Errorf("%d manifests were put", n)
	}
	if tag, err := admin.Artifact("v1").TagProperties(ctx); err != nil || tag.Digest != was {
		t.Errorf("%+v, %v", tag, err)
	}
	// What it costs: nothing more for a tag that is found, and one request for one that is not.
	for tag, want := range map[string]int{"v2": 0, "free": 1} {
		srv.Ledger().Reset()
		_, err := admin.PutManifest(ctx, tag, []byte(indexManifest), opts)
		if n := srv.Ledger().Count("GetTagProperties"); n != want || (err == nil) != (tag == "free") {
			t.Errorf("%s: %d requests, %v", tag, n, err)
		}
	}
	// An identity that may not read metadata knows no more than what it finds.
	pusher, err := acr.NewClientWithPassword(srv.Endpoint(), "pusher", "sesame", &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pusher.CloseIdleConnections)
	if _, err := pusher.Repository("team/app").PutManifest(ctx, "new", []byte(indexManifest), opts); err != nil {
		t.Errorf("without metadata/read: %v", err)
	}
}

// TestPutManifestIfAbsentElsewhere: a registry that is not one of Azure has no properties of tags, and says so in many ways. Only a
// registry that fails to answer leaves it open whether the tag is there.
func TestPutManifestIfAbsentElsewhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func() *http.Response
		puts   bool
	}{
		"no such path":      {func() *http.Response { return acrsuite.Answer(404, "404 page not found", "Content-Type", "text/plain") }, true},
		"not allowed":       {func() *http.Response { return acrsuite.Answer(405, "") }, true},
		"forbidden":         {func() *http.Response { return acrsuite.Refusal(403, "DENIED", "no") }, true},
		"a web page":        {func() *http.Response { return acrsuite.Answer(200, "<html>", "Content-Type", "text/html") }, true},
		"another document":  {func() *http.Response { return acrsuite.Answer(200, "{}", "Content-Type", "application/json") }, true},
		"a sign-in page":    {func() *http.Response { return acrsuite.Answer(302, "", "Location", "https://login.example.com/") }, true},
		"throttled":         {func() *http.Response { return acrsuite.Answer(429, "", "Retry-After", "3600") }, false},
		"out of order":      {func() *http.Response { return acrsuite.Answer(503, "", "Retry-After", "3600") }, false},
		"connection broken": {func() *http.Response { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				puts := 0
				s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
					switch {
					case r.Method == http.MethodPut:
						puts++
						return stored()
					case strings.HasPrefix(r.URL.Path, "/acr/v1/"):
						return test.answer()
					default:
						return acrsuite.Answer(404, "")
					}
				}}
				_, err := s.Client(t).Repository("a/b").PutManifest(t.Context(), "v1", []byte(acrsuite.ImageManifest), &acr.PutManifestOptions{IfAbsent: true})
				if (err == nil) != test.puts || (puts == 1) != test.puts {
					t.Errorf("%d puts, %v", puts, err)
				}
			})
		})
	}
}

// TestDeleteLostAnswer: F68 and F69, what is gone when a deletion is sent again was deleted by it; what was never there is not found.
func TestDeleteLostAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first func() *http.Response
		then  func() *http.Response // nil: gone
		want  error
	}{
		"F69 answer lost":               {first: func() *http.Response { return nil }},
		"F69 gateway gave up":           {first: func() *http.Response { return acrsuite.Answer(504, "") }},
		"F68 throttled, then not there": {first: func() *http.Response { return acrsuite.Answer(429, "", "Retry-After", "0") }, want: acr.ErrNotFound},
		"F68 not there":                 {first: func() *http.Response { return acrsuite.Refusal(404, "MANIFEST_UNKNOWN", "not here") }, want: acr.ErrNotFound},
		"F70 locked":                    {first: func() *http.Response { return acrsuite.Refusal(405, "REGISTRY_DISALLOWED_OPERATION", "no") }, want: acr.ErrLocked},
		"a gateway gave up, and says 404": {first: func() *http.Response { return acrsuite.Answer(502, "") }, want: acr.ErrNotFound, then: func() *http.Response {
			return acrsuite.Answer(404, "<html>nothing here</html>", "Content-Type", "text/html")
		}},
		"service unavailable, not begun": {first: func() *http.Response { return acrsuite.Answer(503, "") }, want: acr.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, call := range map[string]func(*acr.Repository) error{
				"manifest":   func(r *acr.Repository) error { return r.DeleteManifest(t.Context(), acrsuite.GoodDigest) },
				"tag":        func(r *acr.Repository) error { return r.Artifact("v1").DeleteTag(t.Context()) },
				"repository": func(r *acr.Repository) error { _, err := r.Delete(t.Context()); return err },
				"blob":       func(r *acr.Repository) error { return r.DeleteBlob(t.Context(), acrsuite.GoodDigest) },
				"restore":    func(r *acr.Repository) error { return r.RestoreManifest(t.Context(), acrsuite.GoodDigest, nil) },
			} {
				s := &acrsuite.Scripted{}
				begun := false
				s.Answer = func(r *http.Request) *http.Response {
					switch {
					case strings.Contains(r.URL.Path, "/referrers/"): // asked by the first deletion of a client
						return acrsuite.Answer(200, `{"manifests":[]}`)
					case !begun:
						begun = true
						return test.first()
					case test.then != nil:
						return test.then()
					default:
						return acrsuite.Refusal(404, "NAME_UNKNOWN", "gone")
					}
				}
				if err := call(s.Client(t).Repository("a/b")); !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
					t.Errorf("%s: got %v, want %v", what, err, test.want)
				}
			}
		})
	}
}
