package acr

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ArgumentError is returned for an argument or option that is refused before anything is sent. It
// matches [ErrInvalidArgument].
type ArgumentError struct {
	// Argument names what was refused: "endpoint", "repository", "reference", "tag", "digest" or
	// another parameter, or the field of an options struct, such as "PageSize".
	Argument string
	// Value is what was given, unchanged: escape it before you print it. It is empty if there is
	// nothing to show.
	Value string
	// Reason says what is wrong with it.
	Reason string
}

// Error returns one line, in which the value is quoted, escaped and cut to 80 characters.
func (e *ArgumentError) Error() string {
	text := "acr: invalid " + e.Argument
	if v := e.Value; v != "" {
		if r := []rune(v); len(r) > 80 {
			v = string(r[:80]) + "..."
		}
		text += " " + strconv.QuoteToASCII(v)
	}
	return text + ": " + e.Reason
}

// Unwrap returns ErrInvalidArgument.
func (e *ArgumentError) Unwrap() error { return ErrInvalidArgument }

// badArgument returns an *ArgumentError.
func badArgument(argument, value, reason string) error {
	return &ArgumentError{Argument: argument, Value: value, Reason: reason}
}

// unmade returns the error of a nil pointer or zero value of a type that functions of this package make.
func unmade(name string) error {
	return badArgument(name, "", "it is nil or a zero value: create it with a function of this package")
}

// notNegative refuses a number below zero.
func notNegative(argument string, n int64) error {
	if n < 0 {
		return badArgument(argument, strconv.FormatInt(n, 10), "it must not be negative")
	}
	return nil
}

const (
	maxNameLength = 255
	maxTagLength  = 128
)

// The grammars of the OCI distribution spec, "Pulling manifests". Neither lets a path element of
// dots alone pass, nor anything that would have to be escaped in a path.
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
)

// checkName fails if name is not the name of a repository.
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
	return badArgument("repository", name, reason)
}

// checkName fails if name is not the name of a repository of this registry. The registry's host is part of the names of
// images; a push with it would make a repository of that name.
func (c *Client) checkName(name string) error {
	if c.bad() == nil {
		plain := strings.TrimPrefix(strings.ToLower(name), "https://")
		if host := c.login.Host; plain == host || strings.HasPrefix(plain, host+"/") {
			return badArgument("repository", name, strings.TrimSuffix("write it without the registry: "+strings.TrimPrefix(plain[len(host):], "/"), ": "))
		}
	}
	return checkName(name)
}

// checkTag fails if tag is not a tag.
func checkTag(argument, tag string) error {
	reason := ""
	switch {
	case tag == "":
		reason = "it is empty"
	case len(tag) > maxTagLength:
		reason = fmt.Sprintf("it has %d characters, the limit is %d", len(tag), maxTagLength)
	case !tagGrammar.MatchString(tag):
		reason = "it may contain letters, digits, '_', '.' and '-', and must not begin with '.' or '-'"
	default:
		return nil
	}
	return badArgument(argument, tag, reason)
}

// checkDigest fails if d is not a canonical digest of an algorithm that this package can verify.
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
	return badArgument("digest", string(d), reason)
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

// parseReference tells a digest from a tag: a colon is in every digest and in no tag.
func parseReference(reference string) (tag string, d digest.Digest, err error) {
	if strings.Contains(reference, ":") {
		d = digest.Digest(reference)
		return "", d, checkDigest(d)
	}
	return reference, "", checkTag("reference", reference)
}

// given returns the options, or the defaults if they are nil.
func given[T any](opts *T) T {
	if opts == nil {
		return *new(T)
	}
	return *opts
}
