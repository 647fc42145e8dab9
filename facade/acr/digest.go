package acr

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// headerDigest is the header in which a registry states the digest of content.
const headerDigest = "Docker-Content-Digest"

// checkDigest fails if d is not a canonical digest of an algorithm that this package can verify.
func checkDigest(d digest.Digest) error {
	if reason := wrongDigest(d); reason != "" {
		return badArgument("digest", string(d), reason)
	}
	return nil
}

// wrongDigest returns what is wrong with a digest; "" if nothing is.
func wrongDigest(d digest.Digest) string {
	algorithm, hex, ok := strings.Cut(string(d), ":")
	reason, want := "", 0
	switch {
	case d == "":
		reason = "it is empty"
	case strings.ContainsAny(string(d), "/@"):
		reason = "it must be a digest alone, without registry, repository and tag"
	case !ok:
		reason = "it must be an algorithm, ':' and hexadecimal digits; Artifact.Digest returns the digest of a tag"
		if bareDigest.MatchString("/" + string(d)) {
			reason = "it has no algorithm: write sha256: before it"
		}
	case algorithm == "sha256":
		want = 64
	case algorithm == "sha512":
		want = 128
	default:
		reason = "a digest begins with sha256: or sha512:, in lower case, and a tag has no ':'"
	}
	if reason == "" && (len(hex) != want || strings.Trim(hex, "0123456789abcdef") != "") {
		reason = fmt.Sprintf("%s takes exactly %d lower-case hexadecimal digits", algorithm, want)
	}
	return reason
}

// statedDigest returns the digest that a response header states; "" if it states none. It fails with ErrDigestMismatch if that is not a
// digest that can be checked, or if several headers state different ones. No other code may make a digest of a header: methods of a
// digest that was not checked panic.
func statedDigest(h http.Header, key string) (digest.Digest, error) {
	var stated digest.Digest
	for _, text := range h.Values(key) {
		d := digest.Digest(text)
		if err := checkDigest(d); err != nil {
			return "", contradicts(ErrDigestMismatch, "the registry states a digest that cannot be checked: %s", plain(err))
		}
		if stated != "" && d != stated {
			return "", contradicts(ErrDigestMismatch, "the registry states two digests, %s and %s", stated, d)
		}
		stated = d
	}
	return stated, nil
}

// sameContent compares the digest that the registry states for content with the one that the content has. A registry may name content of
// any algorithm by sha256, which then cannot be compared.
func sameContent(stated, has digest.Digest) error {
	if stated == "" || stated == has || stated.Algorithm() == digest.SHA256 && has.Algorithm() != digest.SHA256 {
		return nil
	}
	return contradicts(ErrDigestMismatch, "requested %s, the registry states %s", has, stated)
}

// sameAlgorithm reports whether two digests can be compared.
func sameAlgorithm(a, b digest.Digest) bool {
	algorithm, _, _ := strings.Cut(string(a), ":")
	return strings.HasPrefix(string(b), algorithm+":")
}

// computedAs returns the digest of the content, by the algorithm of d.
func computedAs(d digest.Digest, content []byte) digest.Digest {
	if d == "" {
		return ""
	}
	return d.Algorithm().FromBytes(content)
}
