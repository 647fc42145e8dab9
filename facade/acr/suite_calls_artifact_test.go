package acr_test

import "context"

// artifactCalls are those of a tag, or of a manifest by its digest.
var artifactCalls = []call{
	{method: "Artifact.Tags", kind: listCall, op: "ListTags", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error { return some(f.artifact().Tags(ctx)) }},
	{method: "Artifact.TagProperties", kind: readCall, op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().TagProperties(ctx)
		return err
	}},
	{method: "Artifact.ManifestProperties", kind: readCall, op: "GetManifestProperties", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().ManifestProperties(ctx)
		return err
	}},
	{method: "Artifact.Digest", kind: readCall, op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().Digest(ctx)
		return err
	}},
	{method: "Artifact.UpdateTagAttributes", kind: writeCall, op: "UpdateTagAttributes", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().UpdateTagAttributes(ctx, lock)
		return err
	}},
	{method: "Artifact.UpdateManifestAttributes", kind: writeCall, op: "UpdateManifestAttributes", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().UpdateManifestAttributes(ctx, lock)
		return err
	}},
	{method: "Artifact.Delete", kind: deleteCall, op: "DeleteManifest", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error { return f.artifact().Delete(ctx) }},
	{method: "Artifact.DeleteTag", kind: deleteCall, op: "DeleteTag", takes: "name tag", run: func(ctx context.Context, f *fixture) error { return f.artifact().DeleteTag(ctx) }},
}
