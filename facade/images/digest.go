package images

import (
	_ "crypto/sha256" // for digests in layouts, whatever else the program imports
	_ "crypto/sha512"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
)

// checkDigest refuses a digest that is not a canonical sha256 or sha512 one. Paths of files are
// made of digests: nothing else may get there.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("invalid digest %q: %w", shown(string(d)), err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("invalid digest %q: the algorithm must be sha256 or sha512", shown(string(d)))
	}
	return nil
}

// checkEmpty refuses a size of 0 for content that is not empty. Package acr takes it for an unknown
// size, and what a blob needs of memory is reckoned by it.
func checkEmpty(d ocispec.Descriptor) error {
	if d.Size == 0 && d.Digest != d.Digest.Algorithm().FromBytes(nil) {
		return fmt.Errorf("%w: the descriptor says 0 bytes, but %s is not the digest of empty content", acr.ErrSizeMismatch, d.Digest)
	}
	return nil
}

var errNoDigest = errors.New("not a digest")

// parseDigest reads a reference that may be a digest.
func parseDigest(reference string) (digest.Digest, error) {
	d := digest.Digest(reference)
	if checkDigest(d) != nil {
		return "", errNoDigest
	}
	return d, nil
}
