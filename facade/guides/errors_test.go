package guides_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// Each row of the tables in errors.md is provoked, and the error says what the row says one sees.
func TestErrorsOfTheGuide(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\| .+ \\|$").FindAllStringSubmatch(read(t, "errors.md"), -1)
	if len(rows) != len(provoked) {
		t.Errorf("errors.md has %d rows, %d errors are provoked", len(rows), len(provoked))
	}
	for _, row := range rows {
		t.Run(row[1], func(t *testing.T) {
			t.Parallel()
			provoke := provoked[row[1]]
			if provoke == nil {
				t.Fatal("nothing provokes this")
			}
			err := provoke(t)
			if err == nil || !strings.Contains(err.Error(), row[1]) {
				t.Fatalf("got %v", err)
			}
			denied := slices.ContainsFunc([]error{acr.ErrNoRole, acr.ErrMissingAction, acr.ErrABAC, acr.ErrCatalogRole, acr.ErrFirewall}, func(cause error) bool {
				return errors.Is(err, cause)
			})
			if denied != errors.Is(err, acr.ErrDenied) {
				t.Errorf("%v matches ErrDenied: %v", err, !denied)
			}
			for name, want := range namedErrors {
				if strings.Contains(row[2], "`"+name+"`") && !errors.Is(err, want) {
					t.Errorf("%v does not match %s", err, name)
				}
			}
			for _, name := range regexp.MustCompile("`((?:acr|images)\\.Err\\w+)`").FindAllStringSubmatch(row[2], -1) {
				if namedErrors[name[1]] == nil {
					t.Errorf("%s is not compared", name[1])
				}
			}
		})
	}
}

// namedErrors are the names in the tables.
var namedErrors = map[string]error{
	"acr.ErrNoRole": acr.ErrNoRole, "acr.ErrMissingAction": acr.ErrMissingAction, "acr.ErrABAC": acr.ErrABAC, "acr.ErrCatalogRole": acr.ErrCatalogRole,
	"acr.ErrAnonymous": acr.ErrAnonymous, "acr.ErrWrongPassword": acr.ErrWrongPassword, "acr.ErrRevoked": acr.ErrRevoked, "acr.ErrFirewall": acr.ErrFirewall,
	"acr.ErrARMAudienceDisabled": acr.ErrARMAudienceDisabled, "acr.ErrWrongAudience": acr.ErrWrongAudience, "acr.ErrTagUnknown": acr.ErrTagUnknown,
	"acr.ErrNotFound": acr.ErrNotFound, "acr.ErrManifestUnknown": acr.ErrManifestUnknown, "acr.ErrNameUnknown": acr.ErrNameUnknown, "acr.ErrLocked": acr.ErrLocked,
	"acr.ErrTagExists": acr.ErrTagExists, "acr.ErrManifestBlobUnknown": acr.ErrManifestBlobUnknown, "acr.ErrUnsupported": acr.ErrUnsupported,
	"images.ErrIncomplete": images.ErrIncomplete, "acr.ErrInvalidArgument": acr.ErrInvalidArgument, "acr.ErrThrottled": acr.ErrThrottled,
	"acr.ErrMalformedReply": acr.ErrMalformedReply, "acr.ErrUntrusted": acr.ErrUntrusted, "acr.ErrDigestMismatch": acr.ErrDigestMismatch,
	"acr.ErrUploadLost": acr.ErrUploadLost, "acr.ErrRegistryNotFound": acr.ErrRegistryNotFound,
}

func explain(err error) string {
	switch {
	case err == nil:
		return "fine"
	case errors.Is(err, acr.ErrNotFound):
		return "it is not there"
	case errors.Is(err, acr.ErrLocked):
		return "it is locked"
	case errors.Is(err, acr.ErrThrottled):
		return "too many requests"
	case errors.Is(err, acr.ErrWrongPassword), errors.Is(err, acr.ErrRevoked), errors.Is(err, acr.ErrAnonymous):
		return "sign in first"
	case errors.Is(err, acr.ErrFirewall):
		return "not from this address"
	case errors.Is(err, acr.ErrDenied):
		return "a right is missing" // ErrNoRole, ErrMissingAction, ErrABAC and ErrCatalogRole say which
	case errors.Is(err, acr.ErrUnauthorized):
		return err.Error() // the text says what to do
	case errors.Is(err, acr.ErrDigestMismatch):
		return "the content is not what its digest says"
	case errors.Is(err, acr.ErrInvalidArgument):
		return "a mistake of the program, nothing was sent"
	case errors.Is(err, acr.ErrRegistryNotFound):
		return "there is no registry of this name"
	case errors.Is(err, context.Canceled):
		return "stopped by the caller"
	case errors.Is(err, context.DeadlineExceeded):
		return "no time left"
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return "no way to the registry"
	}
	if refused, ok := errors.AsType[*acr.Error](err); ok {
		return fmt.Sprintf("%s: %d %s, correlation id %s", refused.Operation, refused.StatusCode, refused.Code, refused.CorrelationID)
	}
	return err.Error()
}

// Tell causes apart.
func Example_errors() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	repository := client.Repository("shop/web")

	_, err := repository.GetManifest(ctx, "v9")
	fmt.Println(explain(err))
	srv.On("GetManifest").Nth(1).FlipByte(3)
	_, err = repository.GetManifest(ctx, "v1")
	fmt.Println(explain(err))
	_, err = repository.GetManifest(ctx, "not a tag")
	fmt.Println(explain(err))
	stopped, stop := context.WithCancel(ctx)
	stop()
	_, err = repository.GetManifest(stopped, "v1")
	fmt.Println(explain(err))
	srv.On("GetManifest").Status(400).Code("STRANGE", "what is this?").WithoutHeader("X-Ms-Correlation-Request-Id")
	_, err = repository.GetManifest(ctx, "v1")
	fmt.Println(explain(err))
	// Output:
	// it is not there
	// the content is not what its digest says
	// a mistake of the program, nothing was sent
	// stopped by the caller
	// GetManifest: 400 STRANGE, correlation id
}

const repo = "shop/web"

func get(t *testing.T, opts ...acrtest.Option) error {
	registry, client := newRegistry(t, opts...)
	registry.SeedImage(t, repo+":v1")
	_, err := client.Repository(repo).GetManifest(t.Context(), "v1")
	return err
}

func faulty(t *testing.T, operation string, line func(*acrtest.Fault), call func(ctx context.Context, r *acr.Repository) error) error {
	registry, client := newRegistry(t)
	registry.SeedImage(t, repo+":v1")
	line(registry.On(operation).Always())
	return call(t.Context(), client.Repository(repo))
}

func manifest(ctx context.Context, r *acr.Repository) error {
	_, err := r.GetManifest(ctx, "v1")
	return err
}

func upload(ctx context.Context, r *acr.Repository) error {
	_, err := r.UploadBlob(ctx, strings.NewReader("content"), nil)
	return err
}

var provoked = map[string]func(t *testing.T) error{
	"the identity has no role on the registry": func(t *testing.T) error { return get(t, acrtest.WithEntraActions()) },
	"the identity may not do this": func(t *testing.T) error {
		registry, client := newRegistry(t, acrtest.WithEntraActions(repo+" content/read,metadata/read"))
		registry.SeedImage(t, repo+":v1")
		return client.Repository(repo).Artifact("v1").Delete(t.Context())
	},
	"the identity's role does not cover this repository": func(t *testing.T) error {
		registry, client := newRegistry(t, acrtest.WithABAC(), acrtest.WithoutAnonymousPull(), acrtest.WithEntraActions("other content/read"))
		registry.SeedImage(t, repo+":v1")
		return manifest(t.Context(), client.Repository(repo))
	},
	"the identity may not list the catalog": func(t *testing.T) error {
		_, client := newRegistry(t, acrtest.WithoutAnonymousPull(), acrtest.WithEntraActions(repo+" content/read"))
		_, err := acr.Collect(client.Repositories(t.Context(), nil))
		return err
	},
	"does not allow this without signing in": func(t *testing.T) error {
		registry := acrtest.New(t, acrtest.WithoutAnonymousPull())
		return anonymous(t.Context(), registry.Endpoint(), reach(registry))
	},
	"user name or password is wrong": func(t *testing.T) error {
		registry := acrtest.New(t)
		return repositoryToken(t.Context(), registry.Endpoint(), "ci", "wrong", reach(registry))
	},
	"the registry's firewall refuses this address": func(t *testing.T) error {
		return faulty(t, "ExchangeEntraToken", func(f *acrtest.Fault) {
			f.Status(403).Code("DENIED", "client with IP '203.0.113.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.")
		}, manifest)
	},
	"does not accept Entra tokens for Azure Resource Manager": func(t *testing.T) error {
		return faulty(t, "ExchangeEntraToken", func(f *acrtest.Fault) { f.Status(401).Code("UNAUTHORIZED", "arm aad token disallowed") }, manifest)
	},
	"is not for this registry's audience or tenant": func(t *testing.T) error {
		return faulty(t, "ExchangeEntraToken", func(f *acrtest.Fault) { f.Status(401).Code("UNAUTHORIZED", "retrieving permissions failed") }, manifest)
	},
	"404 TAG_UNKNOWN": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.SeedImage(t, repo+":v1")
		_, err := client.Repository(repo).Artifact("v9").TagProperties(t.Context())
		return err
	},
	"404 MANIFEST_UNKNOWN": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.SeedImage(t, repo+":v1")
		_, err := client.Repository(repo).GetManifest(t.Context(), digest.FromString("x").String())
		return err
	},
	"404 NAME_UNKNOWN": func(t *testing.T) error {
		_, client := newRegistry(t)
		_, err := client.Repository("nothing").Properties(t.Context())
		return err
	},
	"405 REGISTRY_DISALLOWED_OPERATION": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.SeedImage(t, repo+":v1")
		if _, err := client.Repository(repo).Artifact("v1").UpdateTagAttributes(t.Context(), acr.ChangeableAttributes{WriteEnabled: new(false)}); err != nil {
			return err
		}
		return client.Repository(repo).Artifact("v1").DeleteTag(t.Context())
	},
	"429 TOOMANYREQUESTS": func(t *testing.T) error {
		return faulty(t, "GetManifest", func(f *acrtest.Fault) { f.Status(429, 2*time.Minute) }, manifest)
	},
	"the registry does not allow deletes": func(t *testing.T) error {
		return faulty(t, "DeleteManifest", func(f *acrtest.Fault) { f.Status(405).Code("UNSUPPORTED", "The operation is unsupported.") },
			func(ctx context.Context, r *acr.Repository) error { return r.Artifact("v1").Delete(ctx) })
	},
	"as a portal or proxy does and a registry does not": func(t *testing.T) error {
		return faulty(t, "ListTags", func(f *acrtest.Fault) { f.Status(200).Body("text/html", "<html>sign in</html>") },
			func(ctx context.Context, r *acr.Repository) error {
				_, err := acr.Collect(r.Tags(ctx, nil))
				return err
			})
	},
	"the registry does not accept a body of this size": func(t *testing.T) error {
		return faulty(t, "StartUpload", func(f *acrtest.Fault) { f.Status(413).Body("text/plain", "too large") }, upload)
	},
	"400 MANIFEST_BLOB_UNKNOWN": func(t *testing.T) error {
		_, client := newRegistry(t)
		_, err := client.Repository(repo).PutManifest(t.Context(), "v1", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`), nil)
		return err
	},
	"digest mismatch: want": func(t *testing.T) error {
		registry, client := newRegistry(t)
		d := registry.SeedBlob(t, repo, []byte("content of a blob"))
		registry.On("GetBlobContent").Always().FlipByte(3)
		_, err := firstLine(t.Context(), client.Repository(repo), d)
		return err
	},
	"storage refuses the registry's link": func(t *testing.T) error {
		registry, client := newRegistry(t)
		d := registry.SeedBlob(t, repo, []byte("content of a blob"))
		registry.On("GetBlobContent").Always().Status(403).Body("application/xml", "<Error/>")
		_, err := firstLine(t.Context(), client.Repository(repo), d)
		return err
	},
	"tag exists: v2 is on sha256:": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.SeedImage(t, repo+":v1")
		registry.SeedImage(t, repo+":v2")
		_, err := client.Repository(repo).Tag(t.Context(), "v1", "v2", &acr.TagOptions{IfAbsent: true})
		return err
	},
	"is not a host of Azure Container Registry":       func(*testing.T) error { _, err := acr.NewClient("localhost:5000", nil, nil); return err },
	"it is the name of a registry without its domain": func(*testing.T) error { _, err := acr.NewClient("myregistry", nil, nil); return err },
	"it has a path: write": func(*testing.T) error {
		_, err := acr.NewClient("myregistry.azurecr.io/shop/web", nil, nil)
		return err
	},
	"it is a nil *": func(*testing.T) error {
		_, err := acr.NewClient("myregistry.azurecr.io", (*azidentity.DefaultAzureCredential)(nil), nil)
		return err
	},
	"nothing here is signed in": func(t *testing.T) error {
		registry := acrtest.New(t)
		nobody, err := azidentity.NewChainedTokenCredential([]azcore.TokenCredential{notSignedIn{}}, nil)
		if err != nil {
			return err
		}
		client, err := acr.NewClient(registry.Endpoint(), nobody, reach(registry))
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		return manifest(t.Context(), client.Repository(repo))
	},
	"there is no registry of this name": func(t *testing.T) error {
		options := &acr.ClientOptions{}
		options.Transport = noSuchHost{}
		client, err := acr.NewClient("myregistry.azurecr.io", nil, options)
		if err != nil {
			return err
		}
		return manifest(policy.WithRetryOptions(t.Context(), policy.RetryOptions{MaxRetries: -1}), client.Repository(repo))
	},
	"connection refused": func(t *testing.T) error {
		registry := acrtest.New(t)
		client, err := acr.NewClient(registry.Endpoint(), nil, reach(registry))
		if err != nil {
			return err
		}
		registry.Close()
		err = manifest(policy.WithRetryOptions(t.Context(), policy.RetryOptions{MaxRetries: -1}), client.Repository(repo))
		if got := explain(err); got != "no way to the registry" {
			t.Errorf("explain: %s", got)
		}
		return err
	},
	"begins with the host of a registry": func(t *testing.T) error {
		_, client := newRegistry(t)
		_, err := client.Repository("myregistry.azurecr.io/shop/web").Properties(t.Context())
		return err
	},
	"a digest without its algorithm": func(t *testing.T) error {
		registry, client := newRegistry(t)
		_, err := client.Repository(repo).HeadManifest(t.Context(), registry.SeedImage(t, repo+":v1").Encoded())
		return err
	},
	"it may contain letters, digits": func(t *testing.T) error {
		_, client := newRegistry(t)
		r := images.Of(client.Repository(repo))
		_, err := images.Copy(t.Context(), r, "v 1", r, "v2", nil)
		return err
	},
	"it must be a tag or a digest alone": func(t *testing.T) error {
		registry, client := newRegistry(t)
		_, err := client.Repository(repo).GetManifest(t.Context(), "v1@"+registry.SeedImage(t, repo+":v1").String())
		return err
	},
	"write it without the registry": func(t *testing.T) error {
		client, err := acr.NewClient("myregistry.azurecr.io", nil, nil)
		if err != nil {
			return err
		}
		return manifest(t.Context(), client.Repository("myregistry.azurecr.io/shop/web"))
	},
	"it must be lower-case letters and digits": func(t *testing.T) error {
		client, err := acr.NewClient("myregistry.azurecr.io", nil, nil)
		if err != nil {
			return err
		}
		return manifest(t.Context(), client.Repository("Shop/Web"))
	},
	"incomplete image": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.SeedImage(t, repo+":v1")
		registry.On("GetBlob").Always().Status(404).Code("BLOB_UNKNOWN", "blob unknown to registry")
		_, err := images.Pull(t.Context(), client.Repository(repo), "v1", t.TempDir(), nil)
		return err
	},
	"untrusted response: foreign origin": func(t *testing.T) error {
		return faulty(t, "ListTags", func(f *acrtest.Fault) { f.Link("https://other.example.com/next") },
			func(ctx context.Context, r *acr.Repository) error {
				_, err := acr.Collect(r.Tags(ctx, nil))
				return err
			})
	},
	"certificate signed by unknown authority": func(t *testing.T) error {
		registry := acrtest.New(t)
		client, err := acr.NewClient(registry.Endpoint(), nil, &acr.ClientOptions{AllowedHosts: []string{registry.Host()}})
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return client.Ping(ctx)
	},
	"the credential was revoked or is not accepted": func(t *testing.T) error {
		registry, client := newRegistry(t)
		login, err := client.Login(t.Context())
		if err != nil {
			return err
		}
		c2, err := acr.NewClientWithRefreshToken(registry.Endpoint(), login.Password(), reach(registry))
		if err != nil {
			return err
		}
		defer c2.CloseIdleConnections()
		registry.Advance(24 * time.Hour)
		return manifest(t.Context(), c2.Repository(repo))
	},
	"it belongs to another registry": func(t *testing.T) error {
		_, client := newRegistry(t)
		cp := &acr.Checkpoint{Repository: repo, Location: "https://other.azurecr.io/v2/" + repo + "/blobs/uploads/1"}
		_, err := client.Repository(repo).UploadBlob(t.Context(), strings.NewReader("content"), &acr.UploadOptions{Resume: cp})
		return err
	},
	"the stream cannot be read again": func(t *testing.T) error {
		registry, client := newRegistry(t)
		registry.On("UploadChunk").From(2).Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		_, err := client.Repository(repo).UploadBlob(t.Context(), io.LimitReader(zeros{}, 40<<20), nil)
		return err
	},
}

// notSignedIn is a credential of a machine on which nobody is signed in.
type notSignedIn struct{}

func (notSignedIn) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("nobody is signed in")
}

// noSuchHost is a network in which no name is known.
type noSuchHost struct{}

func (noSuchHost) Do(req *http.Request) (*http.Response, error) {
	return nil, &net.DNSError{Err: "no such host", Name: req.URL.Host, IsNotFound: true}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
