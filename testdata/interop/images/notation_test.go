package images_test

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/testhelper"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/testdata/interop/internal/fixture"
)

// trusted is a trust store with one certificate.
type trusted struct{ cert *x509.Certificate }

func (s trusted) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return []*x509.Certificate{s.cert}, nil
}

// notation signs an index and one of its images over a repository of ours, and verifies both after a promotion.
func TestNotation(t *testing.T) {
	t.Parallel()
	ctx, srv, l := t.Context(), acrtest.New(t), fixture.New(t)
	client := newClient(t, srv)
	dev, prod := client.Repository("dev/app"), client.Repository("prod/app")
	if _, err := images.Push(ctx, l.Dir, "v1", dev, "v1", nil); err != nil {
		t.Fatal(err)
	}
	key := testhelper.GetRSASelfSignedSigningCertTuple("acrkit interop")
	sign, err := signer.NewGenericSigner(key.PrivateKey, []*x509.Certificate{key.Cert})
	if err != nil {
		t.Fatal(err)
	}
	digests := []string{string(l.Index.Digest), string(l.Platforms[1].Digest)}
	for _, d := range digests {
		_, err := notation.Sign(ctx, sign, registry.NewRepository(images.Of(dev)), notation.SignOptions{
			SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: cose.MediaTypeEnvelope},
			ArtifactReference: images.Of(dev).String() + "@" + d,
		})
		if err != nil {
			t.Fatalf("sign: %v", err)
		}
	}
	if _, err := images.Promote(ctx, dev, "v1", prod, "v1", nil); err != nil {
		t.Fatal(err)
	}
	verify, err := verifier.New(&trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name: "all", RegistryScopes: []string{"*"}, TrustStores: []string{"ca:test"}, TrustedIdentities: []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelStrict.Name},
	}}}, trusted{key.Cert}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*images.Repository{images.Of(dev), images.Of(prod)} {
		for _, d := range digests {
			desc, _, err := notation.Verify(ctx, verify, registry.NewRepository(r), notation.VerifyOptions{
				ArtifactReference: r.String() + "@" + d, MaxSignatureAttempts: 5,
			})
			if err != nil || string(desc.Digest) != d {
				t.Errorf("%s: %v", r, err)
			}
		}
		if _, _, err := notation.Verify(ctx, verify, registry.NewRepository(r), notation.VerifyOptions{
			ArtifactReference: r.String() + "@" + string(l.Platforms[0].Digest), MaxSignatureAttempts: 5,
		}); err == nil {
			t.Errorf("%s: an image that nobody signed is verified", r)
		}
	}
}
