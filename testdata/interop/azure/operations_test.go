package azure_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

func TestLists(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	const repository = "lists/a"
	digests := map[string]string{}
	for i := range 5 {
		tag := fmt.Sprintf("v%d", i)
		digests[tag], _ = c.pushImage(ctx, t, repository, tag, noise(100+i))
	}
	for _, name := range []string{"lists/b", "lists/c", "other"} {
		c.pushImage(ctx, t, name, "latest", noise(10))
	}

	t.Run("repositories by pages", func(t *testing.T) {
		t.Parallel()
		var pages [][]string
		for pager := c.registry.NewListRepositoriesPager(&azcontainerregistry.ClientListRepositoriesOptions{MaxNum: new(int32(3))}); pager.More(); {
			var page []string
			for _, n := range must(pager.NextPage(ctx))(t).Names {
				page = append(page, *n)
			}
			pages = append(pages, page)
		}
		if got := fmt.Sprint(pages); got != "[[lists/a lists/b lists/c] [other]]" {
			t.Error(got)
		}
	})
	t.Run("repositories after a name", func(t *testing.T) {
		t.Parallel()
		page := must(c.registry.NewListRepositoriesPager(&azcontainerregistry.ClientListRepositoriesOptions{Last: new("lists/b")}).NextPage(ctx))(t)
		if len(page.Names) != 2 || *page.Names[0] != "lists/c" {
			t.Errorf("%d names", len(page.Names))
		}
	})
	for order, want := range map[azcontainerregistry.ArtifactTagOrderBy]string{
		azcontainerregistry.ArtifactTagOrderByNone:                    "v0 v1 v2 v3 v4",
		azcontainerregistry.ArtifactTagOrderByLastUpdatedOnAscending:  "v0 v1 v2 v3 v4",
		azcontainerregistry.ArtifactTagOrderByLastUpdatedOnDescending: "v4 v3 v2 v1 v0",
	} {
		t.Run("tags by pages, order "+string(order), func(t *testing.T) {
			t.Parallel()
			var got []string
			for pager := c.registry.NewListTagsPager(repository, &azcontainerregistry.ClientListTagsOptions{MaxNum: new(int32(2)), OrderBy: &order}); pager.More(); {
				for _, tag := range must(pager.NextPage(ctx))(t).Tags {
					got = append(got, *tag.Name)
					if *tag.Digest != digests[*tag.Name] {
						t.Errorf("%s points to %s, want %s", *tag.Name, *tag.Digest, digests[*tag.Name])
					}
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q, want %s", got, want)
			}
		})
	}
	t.Run("tags of a digest", func(t *testing.T) {
		t.Parallel()
		page := must(c.registry.NewListTagsPager(repository, &azcontainerregistry.ClientListTagsOptions{Digest: new(digests["v3"])}).NextPage(ctx))(t)
		if len(page.Tags) != 1 || *page.Tags[0].Name != "v3" {
			t.Errorf("%d tags", len(page.Tags))
		}
	})
	t.Run("manifests by pages, newest first", func(t *testing.T) {
		t.Parallel()
		var got []string
		for pager := c.registry.NewListManifestsPager(repository, &azcontainerregistry.ClientListManifestsOptions{
			MaxNum: new(int32(2)), OrderBy: new(azcontainerregistry.ArtifactManifestOrderByLastUpdatedOnDescending),
		}); pager.More(); {
			for _, m := range must(pager.NextPage(ctx))(t).Attributes {
				got = append(got, *m.Tags[0])
				if *m.MediaType != ociManifest || *m.Architecture != "amd64" || *m.OperatingSystem != "linux" || *m.Size == 0 {
					t.Errorf("manifest of %s: %s %s/%s, %d bytes", *m.Tags[0], *m.MediaType, *m.OperatingSystem, *m.Architecture, *m.Size)
				}
			}
		}
		if strings.Join(got, " ") != "v4 v3 v2 v1 v0" {
			t.Error(got)
		}
	})
	t.Run("of a repository that is not there", func(t *testing.T) {
		t.Parallel()
		_, err := c.registry.NewListTagsPager("nowhere", nil).NextPage(ctx)
		refused(t, err, notFound, "NAME_UNKNOWN")
	})
}

func TestProperties(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	const repository = "properties"
	digest, _ := c.pushImage(ctx, t, repository, "v1", noise(10))

	m := must(c.registry.GetManifestProperties(ctx, repository, digest, nil))(t)
	if *m.Manifest.Digest != digest || len(m.Manifest.Tags) != 1 || m.Manifest.CreatedOn.IsZero() || m.Manifest.LastUpdatedOn.IsZero() {
		t.Errorf("manifest %s with %d tags", *m.Manifest.Digest, len(m.Manifest.Tags))
	}
	updated := must(c.registry.UpdateManifestProperties(ctx, repository, digest, &azcontainerregistry.ClientUpdateManifestPropertiesOptions{
		Value: &azcontainerregistry.ManifestWriteableProperties{CanWrite: new(false), CanList: new(false)},
	}))(t)
	if a := updated.Manifest.ChangeableAttributes; *a.CanWrite || *a.CanList || !*a.CanDelete || !*a.CanRead {
		t.Error("the manifest's attributes are not what was set")
	}
	_, err := c.registry.DeleteManifest(ctx, repository, digest, nil)
	refused(t, err, 405, "REGISTRY_DISALLOWED_OPERATION")

	r := must(c.registry.UpdateRepositoryProperties(ctx, repository, &azcontainerregistry.ClientUpdateRepositoryPropertiesOptions{
		Value: &azcontainerregistry.RepositoryWriteableProperties{CanDelete: new(false)},
	}))(t)
	if *r.ChangeableAttributes.CanDelete || *r.Name != repository || r.CreatedOn.IsZero() {
		t.Error("the repository's attributes are not what was set")
	}
	_, err = c.registry.DeleteRepository(ctx, repository, nil)
	refused(t, err, 405, "REGISTRY_DISALLOWED_OPERATION")
	must(c.registry.UpdateRepositoryProperties(ctx, repository, &azcontainerregistry.ClientUpdateRepositoryPropertiesOptions{
		Value: &azcontainerregistry.RepositoryWriteableProperties{CanDelete: new(true)},
	}))(t)
	must(c.registry.UpdateManifestProperties(ctx, repository, digest, &azcontainerregistry.ClientUpdateManifestPropertiesOptions{
		Value: &azcontainerregistry.ManifestWriteableProperties{CanWrite: new(true), CanList: new(true)},
	}))(t)
	must(c.registry.DeleteRepository(ctx, repository, nil))(t)
	_, err = c.registry.GetRepositoryProperties(ctx, repository, nil)
	refused(t, err, notFound, "NAME_UNKNOWN")
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	content := noise(300_000)
	digest := c.upload(ctx, t, "blobs/a", content, 100_000)

	exists := must(c.blobs.CheckBlobExists(ctx, "blobs/a", digest, nil))(t)
	if *exists.ContentLength != int64(len(content)) || *exists.DockerContentDigest != digest {
		t.Errorf("%d bytes of %s", *exists.ContentLength, *exists.DockerContentDigest)
	}
	_, err := c.blobs.CheckBlobExists(ctx, "blobs/a", sha(nil), nil)
	refused(t, err, notFound, "")

	chunk := must(c.blobs.GetChunk(ctx, "blobs/a", digest, "bytes=1000-1999", nil))(t)
	if got := must(readAndClose(chunk.ChunkData))(t); !bytes.Equal(got, content[1000:2000]) {
		t.Errorf("a range of %d bytes is not what was asked for", len(got))
	}
	if *chunk.ContentRange != fmt.Sprintf("bytes 1000-1999/%d", len(content)) || *chunk.ContentLength != 1000 {
		t.Errorf("Content-Range %q, Content-Length %d", *chunk.ContentRange, *chunk.ContentLength)
	}

	mounted := must(c.blobs.MountBlob(ctx, "blobs/b", "blobs/a", digest, nil))(t)
	if mounted.DockerContentDigest == nil || *mounted.DockerContentDigest != digest {
		t.Error("the blob was not mounted")
	}
	if !bytes.Equal(verified(t, digest, must(c.blobs.GetBlob(ctx, "blobs/b", digest, nil))(t).BlobData), content) {
		t.Error("the mounted blob is another")
	}

	must(c.blobs.DeleteBlob(ctx, "blobs/a", digest, nil))(t)
	_, err = c.blobs.GetBlob(ctx, "blobs/a", digest, nil)
	refused(t, err, notFound, "BLOB_UNKNOWN")
	must(c.blobs.CheckBlobExists(ctx, "blobs/b", digest, nil))(t)
}

func TestUploadSession(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	content := noise(1000)
	start := must(c.blobs.StartUpload(ctx, "sessions", nil))(t)
	if *start.Range != "0-0" || *start.DockerUploadUUID == "" || !strings.HasPrefix(*start.Location, "/v2/sessions/blobs/uploads/") {
		t.Errorf("Range %q, Location %q", *start.Range, *start.Location)
	}
	calculator := azcontainerregistry.NewBlobDigestCalculator()
	chunk := must(c.blobs.UploadChunk(ctx, *start.Location, bytes.NewReader(content), calculator, nil))(t)
	status := must(c.blobs.GetUploadStatus(ctx, *chunk.Location, nil))(t)
	if *status.Range != "0-999" || *status.DockerUploadUUID != *start.DockerUploadUUID {
		t.Errorf("status: Range %q of session %s", *status.Range, *status.DockerUploadUUID)
	}
	must(c.blobs.CancelUpload(ctx, *chunk.Location, nil))(t)
	_, err := c.blobs.CompleteUpload(ctx, *chunk.Location, calculator, nil)
	refused(t, err, notFound, "BLOB_UPLOAD_UNKNOWN")
}

func TestManifestTagsAndDeletes(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	digest, manifest := c.pushImage(ctx, t, "tags", "v1", noise(10))
	must(c.registry.UploadManifest(ctx, "tags", "v2", azcontainerregistry.ContentTypeApplicationVndOciImageManifestV1JSON,
		streaming.NopCloser(bytes.NewReader(manifest)), nil))(t)
	must(c.registry.DeleteTag(ctx, "tags", "v1", nil))(t)
	must(c.registry.DeleteTag(ctx, "tags", "v1", nil))(t) // the SDK takes a 404 for done
	m := must(c.registry.GetManifestProperties(ctx, "tags", digest, nil))(t)
	if len(m.Manifest.Tags) != 1 || *m.Manifest.Tags[0] != "v2" {
		t.Errorf("%d tags are left", len(m.Manifest.Tags))
	}
	_, err := c.registry.GetTagProperties(ctx, "tags", "v1", nil)
	refused(t, err, notFound, "TAG_UNKNOWN")
	_, err = c.registry.DeleteManifest(ctx, "tags", "v2", nil)
	refused(t, err, 405, "UNSUPPORTED")
	must(c.registry.DeleteManifest(ctx, "tags", digest, nil))(t)
	must(c.registry.DeleteManifest(ctx, "tags", digest, nil))(t)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	entra := must(c.server.Credential().GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}}))(t)
	refresh := must(c.auth.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, c.server.Host(),
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &entra.Token}))(t)
	access := must(c.auth.ExchangeACRRefreshTokenForACRAccessToken(ctx, c.server.Host(), "registry:catalog:*", *refresh.RefreshToken,
		&azcontainerregistry.AuthenticationClientExchangeACRRefreshTokenForACRAccessTokenOptions{GrantType: new(azcontainerregistry.TokenGrantTypeRefreshToken)}))(t)
	if strings.Count(*access.AccessToken, ".") != 2 {
		t.Error("the access token is no JWT")
	}
	_, err := c.auth.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, c.server.Host(),
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: new("a.b.c")})
	refused(t, err, 401, "UNAUTHORIZED")
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	digest, _ := c.pushImage(ctx, t, "public", "v1", noise(10))
	anonymous := must(azcontainerregistry.NewClient(c.server.Endpoint(), nil, &azcontainerregistry.ClientOptions{ClientOptions: c.server.ClientOptions()}))(t)
	page := must(anonymous.NewListTagsPager("public", nil).NextPage(ctx))(t)
	if len(page.Tags) != 1 || *page.Tags[0].Digest != digest {
		t.Errorf("%d tags", len(page.Tags))
	}
	_, err := anonymous.UpdateTagProperties(ctx, "public", "v1", &azcontainerregistry.ClientUpdateTagPropertiesOptions{
		Value: &azcontainerregistry.TagWriteableProperties{CanDelete: new(false)},
	})
	refused(t, err, 401, "UNAUTHORIZED")
}

// The SDK hands over no request it did not send: the emulator's ledger must have seen each of its operations.
func TestEveryOperationWasServed(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), connect(t)
	content := noise(100)
	digest, _ := c.pushImage(ctx, t, "all", "v1", content)
	calls := map[string]func() error{
		"ListRepositories":        func() error { _, err := c.registry.NewListRepositoriesPager(nil).NextPage(ctx); return err },
		"ListTags":                func() error { _, err := c.registry.NewListTagsPager("all", nil).NextPage(ctx); return err },
		"ListManifests":           func() error { _, err := c.registry.NewListManifestsPager("all", nil).NextPage(ctx); return err },
		"GetRepositoryProperties": func() error { _, err := c.registry.GetRepositoryProperties(ctx, "all", nil); return err },
		"GetTagProperties":        func() error { _, err := c.registry.GetTagProperties(ctx, "all", "v1", nil); return err },
		"GetManifestProperties":   func() error { _, err := c.registry.GetManifestProperties(ctx, "all", digest, nil); return err },
		"UpdateRepositoryAttributes": func() error {
			_, err := c.registry.UpdateRepositoryProperties(ctx, "all", &azcontainerregistry.ClientUpdateRepositoryPropertiesOptions{Value: &azcontainerregistry.RepositoryWriteableProperties{}})
			return err
		},
		"UpdateTagAttributes": func() error {
			_, err := c.registry.UpdateTagProperties(ctx, "all", "v1", &azcontainerregistry.ClientUpdateTagPropertiesOptions{Value: &azcontainerregistry.TagWriteableProperties{}})
			return err
		},
		"UpdateManifestAttributes": func() error {
			_, err := c.registry.UpdateManifestProperties(ctx, "all", digest, &azcontainerregistry.ClientUpdateManifestPropertiesOptions{Value: &azcontainerregistry.ManifestWriteableProperties{}})
			return err
		},
		"GetManifest": func() error {
			resp, err := c.registry.GetManifest(ctx, "all", "v1", &azcontainerregistry.ClientGetManifestOptions{Accept: new(ociManifest)})
			if err == nil {
				_, err = readAndClose(resp.ManifestData)
			}
			return err
		},
		"HeadBlob": func() error { _, err := c.blobs.CheckBlobExists(ctx, "all", sha(content), nil); return err },
		"GetBlob": func() error {
			resp, err := c.blobs.GetBlob(ctx, "all", sha(content), nil)
			if err == nil {
				_, err = readAndClose(resp.BlobData)
			}
			return err
		},
		"GetUploadStatus": func() error {
			start, err := c.blobs.StartUpload(ctx, "all", nil)
			if err == nil {
				_, err = c.blobs.GetUploadStatus(ctx, *start.Location, nil)
			}
			return err
		},
		"CancelUpload": func() error {
			start, err := c.blobs.StartUpload(ctx, "all", nil)
			if err == nil {
				_, err = c.blobs.CancelUpload(ctx, *start.Location, nil)
			}
			return err
		},
		"CheckChunkExists": func() error { // a HEAD with a Range: the registry answers it as one without
			_, err := c.blobs.CheckChunkExists(ctx, "all", sha(content), "bytes=0-9", nil)
			var respErr *azcore.ResponseError
			if errors.As(err, &respErr) && respErr.StatusCode == 200 {
				return nil // the SDK takes 206 alone, the service answers 200
			}
			return err
		},
	}
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	deletes := []struct {
		name string
		call func() error
	}{ // in this order: each leaves what the next one needs
		{"DeleteTag", func() error { _, err := c.registry.DeleteTag(ctx, "all", "v1", nil); return err }},
		{"DeleteManifest", func() error { _, err := c.registry.DeleteManifest(ctx, "all", digest, nil); return err }},
		{"DeleteBlob", func() error { _, err := c.blobs.DeleteBlob(ctx, "all", sha(content), nil); return err }},
		{"DeleteRepository", func() error { _, err := c.registry.DeleteRepository(ctx, "all", nil); return err }},
	}
	for _, d := range deletes {
		if err := d.call(); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		calls[d.name] = d.call
	}
	delete(calls, "CheckChunkExists")
	seen := []string{"StartUpload", "UploadChunk", "CompleteUpload", "PutManifest", "ExchangeEntraToken", "GetAccessToken"}
	for name := range calls {
		seen = append(seen, name)
	}
	slices.Sort(seen)
	for _, op := range seen {
		if c.server.Ledger().Count(op) == 0 {
			t.Errorf("the ledger has no %s", op)
		}
	}
}
