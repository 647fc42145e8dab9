package images

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/acr"
)

// Errors of layouts.
var (
	// ErrNotLayout is returned for a directory or archive that is not an OCI image layout, and for
	// parts of a layout that this package does not read: symbolic links, devices, and files that
	// are too large.
	ErrNotLayout = errors.New("not an OCI image layout")
	// ErrAmbiguous is returned if several images of a layout have the name, if several images of an
	// index match CopyOptions.Platforms and KeepIndex is not set, or if Files is called for an
	// index.
	ErrAmbiguous = errors.New("ambiguous name")
)

// layoutError adds the layout and what was done to an error.
type layoutError struct {
	what string // such as "pull library/app" or "layout /srv/images"
	err  error
}

func (e *layoutError) Error() string { return "images: " + e.what + ": " + e.err.Error() }

func (e *layoutError) Unwrap() error { return e.err }

// notFound says that a layout does not have something, in a way that oras-go understands.
func notFound(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdef.ErrNotFound)
}

// shown returns text that content or a caller provided as one line of at most 128 bytes, for an
// error.
func shown(s string) string {
	const limit = 128
	if s = printable(s); len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

// printable returns text as one line that a terminal does not act upon.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// isBroken tells whether an error says that content is missing or not what it should be, and not
// that it could not be read.
func isBroken(err error) bool {
	return errors.Is(err, errdef.ErrNotFound) || errors.Is(err, acr.ErrDigestMismatch) || errors.Is(err, acr.ErrSizeMismatch) ||
		errors.Is(err, acr.ErrTooLarge) || errors.Is(err, ErrNotLayout)
}

// isNil reports whether v is nil or has a nil pointer in it, whose methods may panic or fail with an
// error that does not say why.
func isNil[T any](v T) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// checkMade refuses a repository, registry or layout that is nil, or that is the zero value of its type. argument is the name of the
// argument.
func checkMade(argument string, v any) error {
	reason := ""
	switch v := v.(type) {
	case *Repository:
		return checkMade(argument, v.ACR())
	case *Registry:
		return checkMade(argument, v.acrClient())
	case *acr.Repository:
		if v.Client().Endpoint() == "" {
			reason = "the repository or its client is nil or a zero value: create it with Client.Repository"
		}
	case *acr.Client:
		if v.Endpoint() == "" {
			reason = "the client is nil or a zero value: create it with a function of package acr"
		}
	case *Layout:
		if v.bad() != nil {
			reason = notOpened
		}
	default:
		if isNil(v) {
			reason = "it is nil"
		}
	}
	if reason == "" {
		return nil
	}
	return refuse(argument, reason)
}

// checkRepository refuses a repository that is nil or a zero value, or whose name is invalid.
func checkRepository(r *acr.Repository) error {
	if err := checkMade("Repository", r); err != nil {
		return err
	}
	return Of(r).checkName()
}

// refuse returns the error for an argument or option that is refused before anything is sent.
func refuse(argument, reason string) error {
	return &acr.ArgumentError{Argument: argument, Reason: reason}
}
