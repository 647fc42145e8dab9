package acr

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ArgumentError is returned for an argument or option that is refused before anything is sent. It
// matches [ErrInvalidArgument].
type ArgumentError struct {
	// Argument names what was refused, in one of these forms:
	//   - a parameter, such as "endpoint", "repository", "reference", "tag" or "digest"
	//   - a field of an options struct, such as "PageSize"; package images adds the type, as in
	//     "CopyOptions.KeepIndex"
	//   - a field of a manifest that is stored, such as "Config", "Layers[2]" or "Layers[2].Size"
	//   - a type, such as "Client", if a nil pointer or a zero value of it was used
	//   - several parameters or fields, joined by "and" or "or"
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

// isNil reports whether v is nil or has a nil pointer in it, whose methods may panic or fail with an
// error that does not say why.
func isNil[T any](v T) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// checkContext refuses a nil context, before anything is done with it.
func checkContext(ctx context.Context) error {
	if ctx == nil {
		return badArgument("ctx", "", "it is nil")
	}
	return nil
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
	case strings.Contains(name, "://"):
		reason = "it is a URL: write the name alone, such as samples/app"
	case strings.ContainsAny(name, ":@"):
		reason = "a tag or digest is not part of the name: give it to Artifact, GetManifest and the like"
	case !nameGrammar.MatchString(name):
		reason = "it must be lower-case letters and digits, joined by '.', '_', '__' or dashes, in elements separated by '/'"
		if meant := strings.Trim(strings.ToLower(name), "/ "); nameGrammar.MatchString(meant) {
			reason += ": write " + meant
		}
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
	case strings.ContainsAny(tag, "@:"):
		reason = "a tag has neither '@' nor ':'"
	case !tagGrammar.MatchString(tag):
		reason = "it may contain letters, digits, '_', '.' and '-', and must not begin with '.' or '-'"
	default:
		return nil
	}
	return badArgument(argument, tag, reason)
}

// parseReference tells a digest from a tag: a colon is in every digest and in no tag.
func parseReference(reference string) (tag string, d digest.Digest, err error) {
	reason := ""
	switch colon := strings.Contains(reference, ":"); {
	case strings.Contains(reference, "/"), colon && strings.Contains(reference, "@"):
		reason = "it must be a tag or a digest alone, without registry and repository, and not both"
	case !colon:
		return reference, "", checkTag("reference", reference)
	default:
		d = digest.Digest(reference)
		reason = wrongDigest(d)
	}
	if reason == "" {
		return "", d, nil
	}
	return "", d, badArgument("reference", reference, reason)
}

// given returns the options, or the defaults if they are nil.
func given[T any](opts *T) T {
	if opts == nil {
		return *new(T)
	}
	return *opts
}
