package acrsuite

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

var lock = acr.ChangeableAttributes{DeleteEnabled: new(true)}

// repositoryCalls are those of a repository and its manifests; blobs have tables of their own.
var repositoryCalls = []Call{
	{Method: "Repository.Tags", Kind: ListCall, Op: "ListTags", takes: "name", run: func(ctx context.Context, f *Fixture) error { return some(f.Repository().Tags(ctx, nil)) }},
	{Method: "Repository.TagNames", Kind: ListCall, Op: "ListTagNames", takes: "name", run: func(ctx context.Context, f *Fixture) error { return some(f.Repository().TagNames(ctx, nil)) }},
	{Method: "Repository.Manifests", Kind: ListCall, Op: "ListManifests", takes: "name", run: func(ctx context.Context, f *Fixture) error { return some(f.Repository().Manifests(ctx, nil)) }},
	{Method: "Repository.Referrers", Kind: ListCall, Op: "ListReferrers", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		return some(f.Repository().Referrers(ctx, f.Image, nil))
	}},
	{Method: "Repository.DeletedManifests", Kind: ListCall, Op: "ListDeletedManifests", takes: "name", Prepare: throwAway, run: func(ctx context.Context, f *Fixture) error {
		return some(f.Repository().DeletedManifests(ctx, nil))
	}},
	{Method: "Repository.DeletedTags", Kind: ListCall, Op: "ListDeletedTags", takes: "name", Prepare: throwAway, run: func(ctx context.Context, f *Fixture) error {
		return some(f.Repository().DeletedTags(ctx, nil))
	}},
	{Method: "Repository.Properties", Kind: ReadCall, Op: "GetRepositoryProperties", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Properties(ctx)
		return err
	}},
	{Method: "Repository.HeadManifest", Kind: ReadCall, Op: "HeadManifest", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().HeadManifest(ctx, f.Tag)
		return err
	}},
	{Method: "Repository.GetManifest", Kind: ReadCall, Op: "GetManifest", takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().GetManifest(ctx, f.Tag)
		return err
	}},
	{Method: "Repository.HeadBlob", Kind: ReadCall, Op: "HeadBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().HeadBlob(ctx, f.Blob)
		return err
	}},
	{Method: "Repository.UpdateAttributes", Kind: WriteCall, Op: "UpdateRepositoryAttributes", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().UpdateAttributes(ctx, lock)
		return err
	}},
	{Method: "Repository.PutManifest", Kind: WriteCall, Op: "PutManifest", Also: []string{"HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().PutManifest(ctx, f.Tag, f.Manifest, nil)
		return err
	}},
	{Method: "Repository.PutImage", Kind: WriteCall, Op: "PutManifest", Also: []string{"HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().PutImage(ctx, f.Tag, ocispec.Manifest{Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: f.Blob, Size: int64(len(f.Content))}}, nil)
		return err
	}},
	{Method: "Repository.PutIndex", Kind: WriteCall, Op: "PutManifest", Also: []string{"HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().PutIndex(ctx, f.Tag, ocispec.Index{Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: f.Image, Size: 1}}}, nil)
		return err
	}},
	{Method: "Repository.Tag", Kind: WriteCall, Op: "PutManifest", Also: []string{"GetManifest", "HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Tag(ctx, f.Tag, "again", nil)
		return err
	}},
	{Method: "Repository.RestoreManifest", Kind: WriteCall, Op: "RestoreManifest", takes: "name digest", Prepare: throwAway, run: func(ctx context.Context, f *Fixture) error {
		return f.Repository().RestoreManifest(ctx, f.Deleted, nil)
	}},
	{Method: "Repository.QueryMetadata", Kind: WriteCall, Op: "QueryRepositoryMetadata", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		return some(f.Repository().QueryMetadata(ctx, "Manifests | project digest"))
	}},
	{Method: "Repository.Streaming", Kind: ReadCall, Op: "GetStreaming", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Streaming(ctx)
		return err
	}},
	{Method: "Repository.UpdateStreaming", Kind: WriteCall, Op: "UpdateStreaming", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().UpdateStreaming(ctx, true)
		return err
	}},
	{Method: "Repository.StartConversion", Kind: WriteCall, Op: "StartConversion", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().StartConversion(ctx, f.Image)
		return err
	}},
	{Method: "Repository.LastConversion", Kind: ReadCall, Op: "GetConversion", takes: "name digest", Prepare: convert, run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().LastConversion(ctx, f.Image)
		return err
	}},
	{Method: "Conversion.Poll", Kind: ReadCall, Op: "GetOperation", takes: "name", Prepare: convert, run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Conversion(f.Conversion).Poll(ctx)
		return err
	}},
	{Method: "Conversion.Cancel", Kind: WriteCall, Op: "CancelOperation", takes: "name", Prepare: convert, run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Conversion(f.Conversion).Cancel(ctx)
		return err
	}},
	{Method: "Repository.Delete", Kind: DeleteCall, Op: "DeleteRepository", takes: "name", run: func(ctx context.Context, f *Fixture) error {
		_, err := f.Repository().Delete(ctx)
		return err
	}},
	{Method: "Repository.DeleteManifest", Kind: DeleteCall, Op: "DeleteManifest", Also: []string{"ListReferrers"}, takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		return f.Repository().DeleteManifest(ctx, f.Image)
	}},
	{Method: "Repository.DeleteBlob", Kind: DeleteCall, Op: "DeleteBlob", takes: "name digest", run: func(ctx context.Context, f *Fixture) error {
		return f.Repository().DeleteBlob(ctx, f.Loose)
	}},
}

// convert starts a conversion of the image.
func convert(f *Fixture) error {
	c, err := f.Repository().StartConversion(f.Ctx, f.Image)
	f.Conversion = c.ID()
	return err
}
