package images

import (
	_ "crypto/sha256" // for digests in layouts, whatever else the program imports
	_ "crypto/sha512"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
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

var errNoDigest = errors.New("not a digest")

// parseDigest reads a reference that may be a digest.
func parseDigest(reference string) (digest.Digest, error) {
	d := digest.Digest(reference)
	if checkDigest(d) != nil {
		return "", errNoDigest
	}
	return d, nil
}
