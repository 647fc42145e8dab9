package acr

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ArgumentError reports an argument that was refused before anything was sent. errors.Is finds its Kind: ErrInvalidName,
// ErrInvalidReference, ErrInvalidDigest, ErrInvalidEndpoint or ErrInvalidArgument.
type ArgumentError struct {
	Kind   error  // which sort of argument
	Value  string // what was given, as given: escape it before you print it
	Reason string // what is wrong with it
}

// Error is one line; the value stands in it quoted, escaped and cut to 80 characters.
func (e *ArgumentError) Error() string {
	if e.Value == "" && errors.Is(e.Kind, ErrInvalidArgument) {
		return fmt.Sprintf("acr: %v: %s", e.Kind, e.Reason)
	}
	v := e.Value
	if r := []rune(v); len(r) > 80 {
		v = string(r[:80]) + "..."
	}
	return fmt.Sprintf("acr: %v %s: %s", e.Kind, strconv.QuoteToASCII(v), e.Reason)
}

// Unwrap gives the Kind.
func (e *ArgumentError) Unwrap() error { return e.Kind }

const (
	maxNameLength = 255
	maxTagLength  = 128
)

// The grammars of the OCI distribution spec, "Pulling manifests". Neither lets a path element of dots alone pass, nor anything that
// would have to be escaped in a path.
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
)

// checkName refuses what is no repository name.
func checkName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "it is empty"
	case len(name) > maxNameLength:
		reason = fmt.Sprintf("it has %d characters, the limit is %d", len(name), maxNameLength)
	case strings.ContainsAny(name, ":@") && !strings.Contains(name, "://"):
		reason = "a tag or digest is not part of the name: give it to Artifact, GetManifest and the like"
	case !nameGrammar.MatchString(name):
		reason = "it must be lower-case letters and digits, joined by '.', '_', '__' or dashes, in elements separated by '/'"
	default:
		return nil
	}
	return &ArgumentError{Kind: ErrInvalidName, Value: name, Reason: reason}
}

// checkTag refuses what is no tag.
func checkTag(tag string) error {
	reason := ""
	switch {
	case tag == "":
		reason = "the tag is empty"
	case len(tag) > maxTagLength:
		reason = fmt.Sprintf("the tag has %d characters, the limit is %d", len(tag), maxTagLength)
	case !tagGrammar.MatchString(tag):
		reason = "a tag is letters, digits, '_', '.' and '-', and begins with neither '.' nor '-'"
	default:
		return nil
	}
	return &ArgumentError{Kind: ErrInvalidReference, Value: tag, Reason: reason}
}

// checkDigest refuses what is no canonical digest of an algorithm that this package can verify. An algorithm it cannot verify is
// refused rather than let through unverified.
func checkDigest(d digest.Digest) error {
	algorithm, hex, ok := strings.Cut(string(d), ":")
	reason, want := "", 0
	switch {
	case d == "":
		reason = "it is empty"
	case strings.ContainsAny(algorithm, "/@"):
		reason = "it must be a tag or a digest alone, without the repository, and not both"
	case !ok:
		reason = "it must be an algorithm, ':' and hexadecimal digits"
	case algorithm == "sha256":
		want = 64
	case algorithm == "sha512":
		want = 128
	default:
		reason = "only sha256 and sha512 can be verified"
	}
	if reason == "" && (len(hex) != want || strings.Trim(hex, "0123456789abcdef") != "") {
		reason = fmt.Sprintf("%s takes exactly %d lower-case hexadecimal digits", algorithm, want)
	}
	if reason == "" {
		return nil
	}
	return &ArgumentError{Kind: ErrInvalidDigest, Value: string(d), Reason: reason}
}

// parseReference tells a digest from a tag: a colon is in every digest and in no tag.
func parseReference(reference string) (tag string, d digest.Digest, err error) {
	if strings.Contains(reference, ":") {
		d = digest.Digest(reference)
		return "", d, checkDigest(d)
	}
	return reference, "", checkTag(reference)
}
