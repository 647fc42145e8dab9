package graph

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxEncoded is where the OCI distribution specification cuts the digest in a referrers tag.
const maxEncoded = 64

// TagKey returns the beginning that all tags have that belong to a digest by their name: "sha256-" and its hexadecimal
// digits. The tag of this very name lists the digest's referrers where a registry has no referrers API; cosign puts a
// signature under the name with ".sig" added, and attestations and SBOMs under ".att" and ".sbom".
func TagKey(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()[:min(maxEncoded, len(d.Encoded()))]
}

// AttachedTag reports whether a tag belongs to a digest by its name, and returns the [TagKey] of that digest and what
// follows it: "" or a suffix such as ".sig".
func AttachedTag(tag string) (key, suffix string, ok bool) {
	name, suffix := tag, ""
	if dot := strings.IndexByte(tag, '.'); dot >= 0 {
		name, suffix = tag[:dot], tag[dot:]
	}
	algorithm, hex, _ := strings.Cut(name, "-")
	switch {
	case strings.Trim(hex, "0123456789abcdef") != "":
		return "", "", false
	case algorithm == "sha256" && len(hex) == maxEncoded,
		algorithm == "sha384" && (len(hex) == 96 || len(hex) == maxEncoded),
		algorithm == "sha512" && (len(hex) == 128 || len(hex) == maxEncoded):
		return algorithm + "-" + hex[:maxEncoded], suffix, true
	default:
		return "", "", false
	}
}
