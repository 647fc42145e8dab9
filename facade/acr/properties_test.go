package acr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestPropertiesOfAnother: a reply about something else than what was asked for, or about nothing, is no answer. What is taken for deletable
// rests on it.
func TestPropertiesOfAnother(t *testing.T) {
	t.Parallel()
	lock := acr.ChangeableAttributes{WriteEnabled: new(false)}
	calls := map[string]func(context.Context, *acr.Repository) (any, error){
		"repository": func(ctx context.Context, r *acr.Repository) (any, error) { return r.Properties(ctx) },
		"repository, changed": func(ctx context.Context, r *acr.Repository) (any, error) {
			return r.UpdateAttributes(ctx, lock)
		},
		"manifest": func(ctx context.Context, r *acr.Repository) (any, error) {
			return r.Artifact(string(acrsuite.GoodDigest)).ManifestProperties(ctx)
		},
		"manifest, changed": func(ctx context.Context, r *acr.Repository) (any, error) {
			return r.Artifact(string(acrsuite.GoodDigest)).UpdateManifestAttributes(ctx, lock)
		},
		"tag": func(ctx context.Context, r *acr.Repository) (any, error) { return r.Artifact("v1").TagProperties(ctx) },
		"tag, changed": func(ctx context.Context, r *acr.Repository) (any, error) {
			return r.Artifact("v1").UpdateTagAttributes(ctx, lock)
		},
	}
	about := func(name, dgst, tag string) string {
		return fmt.Sprintf(`{"imageName":%q,"manifest":{"digest":%q,"imageSize":1},"tag":{"name":%q,"signed":true}}`, name, dgst, tag)
	}
	for body, want := range map[string]error{
		about("a/b", string(acrsuite.GoodDigest), "v1"):    nil,
		about("a/c", string(digest.FromString("y")), "v2"): acr.ErrMalformedReply,
		`{}`:                           acr.ErrMalformedReply,
		`{"manifest":null,"tag":null}`: acr.ErrMalformedReply,
		`{"manifest":{},"tag":{}}`:     acr.ErrMalformedReply,
	} {
		for what, call := range calls {
			s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body) }}
			got, err := call(t.Context(), s.Client(t).Repository("a/b"))
			if !errors.Is(err, want) || (err == nil) != (want == nil) || (err == nil) == reflect.ValueOf(got).IsZero() {
				t.Errorf("%s: %s: %+v %v", what, body, got, err)
			}
			if err != nil {
				acrsuite.OneLine(t, err)
			}
		}
	}
}

// TestPropertiesOfManyTags: a manifest may have more tags than fit into a page of a list.
func TestPropertiesOfManyTags(t *testing.T) {
	t.Parallel()
	const n = 50_000
	var body strings.Builder
	fmt.Fprintf(&body, `{"manifest":{"digest":%q,"tags":["v"`, acrsuite.GoodDigest)
	for i := range n - 1 {
		fmt.Fprintf(&body, `,"build-2026-11-23-4f2f3b2a1c00-%06d"`, i)
	}
	body.WriteString("]}}")
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body.String()) }}
	m, err := s.Client(t).Repository("a").Artifact(string(acrsuite.GoodDigest)).ManifestProperties(t.Context())
	if err != nil || len(m.Tags) != n {
		t.Errorf("%d tags, %v", len(m.Tags), err)
	}
}

// A list of another repository, as a cache in between may send, is not handed on, nor are the tags of another manifest by a
// registry that ignores the filter: who asks for them may be about to delete them.
func TestListOfAnother(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A71 list of another repository", testListOfAnother)
}

func testListOfAnother(t *testing.T) {
	dgst, other := acrsuite.GoodDigest, digest.FromString("y")
	entries := `"tags":[{"name":"v1","tag":"v1","digest":"` + string(dgst) + `"},{"name":"v2","tag":"v2","digest":"` + string(other) + `"}],"manifests":[{"digest":"` + string(dgst) + `"}]`
	for heading, fine := range map[string]bool{
		`"imageName":"a/b",`: true, ``: true, `"imageName":"a/c",`: false, `"name":"a",`: false, `"imageName":"A/B",`: false, `"imageName":"a/b/",`: false,
	} {
		for _, late := range []bool{false, true} {
			body := "{" + heading + entries + "}"
			if late && heading != "" {
				body = "{" + entries + "," + strings.TrimSuffix(heading, ",") + "}"
			}
			if strings.Contains(heading, `"name"`) {
				body = strings.Replace(body, `{"name":"v1","tag":"v1","digest":"`+string(dgst)+`"},{"name":"v2","tag":"v2","digest":"`+string(other)+`"}`, `"v1"`, 1)
			}
			c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body) }}).Client(t)
			r, ctx := c.Repository("a/b"), t.Context()
			errs := map[string]error{}
			if strings.Contains(heading, `"name"`) {
				_, errs["TagNames"] = acr.Collect(r.TagNames(ctx, nil))
			} else {
				_, errs["Tags"] = acr.Collect(r.Tags(ctx, nil))
				_, errs["Manifests"] = acr.Collect(r.Manifests(ctx, nil))
				_, errs["Manifests at once"] = acr.Collect(r.Manifests(ctx, &acr.ListManifestsOptions{Concurrency: 4}))
				_, errs["DeletedManifests"] = acr.Collect(r.DeletedManifests(ctx, nil))
				_, errs["DeletedTags"] = acr.Collect(r.DeletedTags(ctx, nil))
			}
			for name, err := range errs {
				if fine && err != nil || !fine && !errors.Is(err, acr.ErrMalformedReply) {
					t.Errorf("%s of %s: %v", name, body, err)
				}
			}
			if !fine {
				continue
			}
			for _, tags := range []func() ([]acr.TagProperties, error){
				func() ([]acr.TagProperties, error) {
					return acr.Collect(r.Tags(ctx, &acr.ListTagsOptions{Digest: dgst}))
				},
				func() ([]acr.TagProperties, error) { return acr.Collect(r.Artifact(string(dgst)).Tags(ctx)) },
			} {
				if got, err := tags(); err != nil || len(got) != 1 || got[0].Name != "v1" {
					t.Errorf("tags of a manifest: %+v, %v", got, err)
				}
			}
		}
	}
}
