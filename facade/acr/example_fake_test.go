package acr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// What code of yours needs of a repository, job by job: declare the interface beside the code, with the methods that it calls.
// Methods that return a type without exported fields (GetBlob, StartUpload, Artifact) cannot be faked; use those below instead.
type (
	catalog interface {
		Repositories(ctx context.Context, opts *acr.ListOptions) iter.Seq2[string, error]
	}
	lister interface {
		Tags(ctx context.Context, opts *acr.ListTagsOptions) iter.Seq2[acr.TagProperties, error]
	}
	puller interface {
		GetManifest(ctx context.Context, reference string) (*acr.Manifest, error)
		DownloadBlob(ctx context.Context, dgst digest.Digest, dst io.WriterAt, opts *acr.DownloadOptions) (ocispec.Descriptor, error)
	}
	pusher interface {
		UploadBlob(ctx context.Context, src io.Reader, opts *acr.UploadOptions) (ocispec.Descriptor, error)
		PutManifest(ctx context.Context, reference string, content []byte, opts *acr.PutManifestOptions) (ocispec.Descriptor, error)
	}
	promoter interface {
		Tag(ctx context.Context, reference, tag string, opts *acr.TagOptions) (ocispec.Descriptor, error)
	}
	cleaner interface {
		lister
		DeleteManifest(ctx context.Context, dgst digest.Digest) error
	}
)

// The client and its repositories implement all of them.
var (
	_ catalog  = (*acr.Client)(nil)
	_          = []interface{ lister }{(*acr.Repository)(nil)}
	_ puller   = (*acr.Repository)(nil)
	_ pusher   = (*acr.Repository)(nil)
	_ promoter = (*acr.Repository)(nil)
	_ cleaner  = (*acr.Repository)(nil)
)

// deleteUnsigned is code under test: it deletes the manifests of unsigned tags.
func deleteUnsigned(ctx context.Context, r cleaner) (n int, err error) {
	for tag, err := range r.Tags(ctx, nil) {
		if err != nil {
			return n, err
		}
		if tag.Signed {
			continue
		}
		switch err := r.DeleteManifest(ctx, tag.Digest); {
		case errors.Is(err, acr.ErrNotFound): // somebody else was faster
		case err != nil:
			return n, err
		default:
			n++
		}
	}
	return n, nil
}

// fakeCleaner has two tags. One manifest is gone, the other one is locked.
type fakeCleaner struct{}

func (fakeCleaner) Tags(context.Context, *acr.ListTagsOptions) iter.Seq2[acr.TagProperties, error] {
	return func(yield func(acr.TagProperties, error) bool) {
		_ = yield(acr.TagProperties{Name: "v1", Digest: "gone"}, nil) && yield(acr.TagProperties{Name: "v2", Digest: "locked"}, nil)
	}
}

func (fakeCleaner) DeleteManifest(_ context.Context, dgst digest.Digest) error {
	if dgst == "gone" {
		return &acr.Error{StatusCode: 404} // matches acr.ErrNotFound; with a Code it matches that too
	}
	return &acr.Error{Operation: "DeleteManifest", StatusCode: 405, Code: "REGISTRY_DISALLOWED_OPERATION"}
}

// Test code without a server: fake the methods that it calls, with the errors that a registry would cause.
func ExampleError_fake() {
	n, err := deleteUnsigned(context.Background(), fakeCleaner{})
	fmt.Println(n, errors.Is(err, acr.ErrLocked))
	// Output:
	// 0 true
}

// transporter is a fake transport.
type transporter func(*http.Request) (*http.Response, error)

// Do implements policy.Transporter.
func (f transporter) Do(r *http.Request) (*http.Response, error) { return f(r) }

// Answer the requests of a client from memory. One JSON document can be both the token and what is asked for with it.
func ExampleClientOptions_fakeTransport() {
	opts := &acr.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: transporter(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"access_token":"fake","repositories":["samples/app"]}`))}, nil
	})}}
	client, err := acr.NewClient("myregistry.azurecr.io", nil, opts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(acr.Collect(client.Repositories(context.Background(), nil)))
	// Output:
	// [samples/app] <nil>
}
