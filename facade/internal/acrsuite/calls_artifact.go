package acrsuite

import "context"

// artifactCalls are those of a tag, or of a manifest by its digest.
var artifactCalls = []Call{
	{Method: "Artifact.Tags", Kind: ListCall, Op: "ListTags", Also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error { return some(f.Artifact().Tags(ctx)) }},
	{Method: "Artifact.TagProperties", Kind: ReadCall, Op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().TagProperties(ctx)
		return err
	}},
	{Method: "Artifact.ManifestProperties", Kind: ReadCall, Op: "GetManifestProperties", Also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().ManifestProperties(ctx)
		return err
	}},
	{Method: "Artifact.Digest", Kind: ReadCall, Op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().Digest(ctx)
		return err
	}},
	{Method: "Artifact.UpdateTagAttributes", Kind: WriteCall, Op: "UpdateTagAttributes", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().UpdateTagAttributes(ctx, lock)
		return err
	}},
	{Method: "Artifact.UpdateManifestAttributes", Kind: WriteCall, Op: "UpdateManifestAttributes", Also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().UpdateManifestAttributes(ctx, lock)
		return err
	}},
	{Method: "Artifact.Get", Kind: ReadCall, Op: "GetManifest", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().Get(ctx)
		return err
	}},
	{Method: "Artifact.Head", Kind: ReadCall, Op: "HeadManifest", Also: []string{"GetManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().Head(ctx)
		return err
	}},
	{Method: "Artifact.Tag", Kind: WriteCall, Op: "PutManifest", Also: []string{"GetManifest", "HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().Tag(ctx, "again", nil)
		return err
	}},
	{Method: "Artifact.Delete", Kind: DeleteCall, Op: "DeleteManifest", Also: []string{"GetTagProperties", "ListReferrers"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error { return f.Artifact().Delete(ctx) }},
	{Method: "Artifact.DeleteTag", Kind: DeleteCall, Op: "DeleteTag", takes: "name tag", run: func(ctx context.Context, f *Fixture) error { return f.Artifact().DeleteTag(ctx) }},
	{Method: "Artifact.Untag", Kind: DeleteCall, Op: "DeleteTag", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Artifact().Untag(ctx)
		return err
	}},
}
