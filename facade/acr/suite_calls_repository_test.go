package acr_test

import (
	"context"

	"github.com/acrkit/acrkit/facade/acr"
)

var lock = acr.ChangeableAttributes{DeleteEnabled: new(true)}

// repositoryCalls are those of a repository and its manifests; blobs have tables of their own.
var repositoryCalls = []call{
	{method: "Repository.Tags", kind: listCall, op: "ListTags", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().Tags(ctx, nil)) }},
	{method: "Repository.TagNames", kind: listCall, op: "ListTagNames", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().TagNames(ctx, nil)) }},
	{method: "Repository.Manifests", kind: listCall, op: "ListManifests", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().Manifests(ctx, nil)) }},
	{method: "Repository.Referrers", kind: listCall, op: "ListReferrers", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().Referrers(ctx, f.image, nil))
	}},
	{method: "Repository.DeletedManifests", kind: listCall, op: "ListDeletedManifests", takes: "name", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().DeletedManifests(ctx, nil))
	}},
	{method: "Repository.DeletedTags", kind: listCall, op: "ListDeletedTags", takes: "name", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().DeletedTags(ctx, nil))
	}},
	{method: "Repository.Properties", kind: readCall, op: "GetRepositoryProperties", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Properties(ctx)
		return err
	}},
	{method: "Repository.HeadManifest", kind: readCall, op: "HeadManifest", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().HeadManifest(ctx, f.tag)
		return err
	}},
	{method: "Repository.GetManifest", kind: readCall, op: "GetManifest", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().GetManifest(ctx, f.tag)
		return err
	}},
	{method: "Repository.StatBlob", kind: readCall, op: "HeadBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().StatBlob(ctx, f.blob)
		return err
	}},
	{method: "Repository.UpdateAttributes", kind: writeCall, op: "UpdateRepositoryAttributes", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UpdateAttributes(ctx, lock)
		return err
	}},
	{method: "Repository.PutManifest", kind: writeCall, op: "PutManifest", also: []string{"HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().PutManifest(ctx, f.tag, f.manifest, nil)
		return err
	}},
	{method: "Repository.Tag", kind: writeCall, op: "PutManifest", also: []string{"GetManifest", "HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Tag(ctx, f.tag, "again", nil)
		return err
	}},
	{method: "Repository.RestoreManifest", kind: writeCall, op: "RestoreManifest", takes: "name digest", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return f.repository().RestoreManifest(ctx, f.deleted, nil)
	}},
	{method: "Repository.Delete", kind: deleteCall, op: "DeleteRepository", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Delete(ctx)
		return err
	}},
	{method: "Repository.DeleteManifest", kind: deleteCall, op: "DeleteManifest", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return f.repository().DeleteManifest(ctx, f.image)
	}},
	{method: "Repository.DeleteBlob", kind: deleteCall, op: "DeleteBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return f.repository().DeleteBlob(ctx, f.loose)
	}},
}
