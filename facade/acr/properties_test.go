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
