package azure_test

import (
	"bytes"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

// The whole road, as a user of the SDK travels it: upload in two chunks, put a manifest, list, read and update properties,
// download with the digest check, delete.
func TestTheWholeRoad(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	const repository = "samples/hello"
	layer := noise(3 << 20)
	c.pushImage(ctx, t, repository, "other", noise(100)) // a repository without manifests is none
	digest, manifest := c.pushImage(ctx, t, repository, "v1", layer)

	var names []string
	for pager := c.registry.NewListRepositoriesPager(nil); pager.More(); {
		for _, n := range must(pager.NextPage(ctx))(t).Names {
			names = append(names, *n)
		}
	}
	if len(names) != 1 || names[0] != repository {
		t.Errorf("repositories %q", names)
	}

	properties := must(c.registry.GetRepositoryProperties(ctx, repository, nil))(t)
	if *properties.TagCount != 2 || *properties.ManifestCount != 2 {
		t.Errorf("%d tags and %d manifests, want two of each", *properties.TagCount, *properties.ManifestCount)
	}
	tag := must(c.registry.GetTagProperties(ctx, repository, "v1", nil))(t)
	if *tag.Tag.Digest != digest || *tag.RepositoryName != repository || *tag.RegistryLoginServer != c.server.Host() {
		t.Errorf("tag %s of %s/%s", *tag.Tag.Digest, *tag.RegistryLoginServer, *tag.RepositoryName)
	}
	locked := must(c.registry.UpdateTagProperties(ctx, repository, "v1", &azcontainerregistry.ClientUpdateTagPropertiesOptions{
		Value: &azcontainerregistry.TagWriteableProperties{CanDelete: new(false)},
	}))(t)
	if a := locked.Tag.ChangeableAttributes; *a.CanDelete || !*a.CanWrite || !*a.CanList || !*a.CanRead {
		t.Errorf("attributes after the update: %v %v %v %v", *a.CanDelete, *a.CanWrite, *a.CanList, *a.CanRead)
	}

	got := verified(t, digest, must(c.registry.GetManifest(ctx, repository, "v1", &azcontainerregistry.ClientGetManifestOptions{Accept: new(ociManifest)}))(t).ManifestData)
	if !bytes.Equal(got, manifest) {
		t.Errorf("manifest came back as %s", got)
	}
	if !bytes.Equal(verified(t, sha(layer), must(c.blobs.GetBlob(ctx, repository, sha(layer), nil))(t).BlobData), layer) {
		t.Error("the layer came back changed")
	}

	_, err := c.registry.DeleteTag(ctx, repository, "v1", nil)
	refused(t, err, 405, "REGISTRY_DISALLOWED_OPERATION")
	must(c.registry.UpdateTagProperties(ctx, repository, "v1", &azcontainerregistry.ClientUpdateTagPropertiesOptions{
		Value: &azcontainerregistry.TagWriteableProperties{CanDelete: new(true)},
	}))(t)
	_, err = c.registry.DeleteManifest(ctx, repository, digest, nil)
	ok(t, nil, err)
	_, err = c.registry.GetManifestProperties(ctx, repository, digest, nil)
	refused(t, err, notFound, "MANIFEST_UNKNOWN")
}
