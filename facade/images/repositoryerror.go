package images

import (
	"errors"
	"slices"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/acrkit/acrkit/facade/acr"
)

// translated is an error of package acr that oras-go understands as well: errors.Is finds errdef's
// values, errors.As finds errcode's types. oras-go mends a half-copied index only if it finds
// those.
type translated struct{ err error }

// orasError translates an error of package acr.
func orasError(err error) error {
	if err == nil {
		return nil
	}
	return &translated{err}
}

// Error implements error.
func (t *translated) Error() string { return t.err.Error() }

// Unwrap returns the error of package acr.
func (t *translated) Unwrap() error { return t.err }

// Is matches the values of errdef.
func (t *translated) Is(target error) bool {
	switch target {
	case errdef.ErrNotFound:
		return errors.Is(t.err, acr.ErrNotFound)
	case errdef.ErrInvalidReference:
		return refused(t.err, "reference", "tag", "repository")
	case errdef.ErrInvalidDigest:
		return refused(t.err, "digest")
	case errdef.ErrSizeExceedsLimit:
		return errors.Is(t.err, acr.ErrTooLarge)
	case errdef.ErrUnsupported:
		return errors.Is(t.err, acr.ErrUnsupported)
	case errdef.ErrTooManyPages:
		return errors.Is(t.err, acr.ErrListEndless)
	}
	return false
}

// missingReference is the error for a reference without tag and digest, which oras-go understands as well.
type missingReference struct{ *acr.ArgumentError }

// Unwrap returns the error of package acr.
func (m missingReference) Unwrap() error { return m.ArgumentError }

// Is matches the value of errdef.
func (missingReference) Is(target error) bool { return target == errdef.ErrMissingReference }

// refused reports whether err refuses an argument with one of these names.
func refused(err error, arguments ...string) bool {
	e, ok := errors.AsType[*acr.ArgumentError](err)
	return ok && slices.Contains(arguments, e.Argument)
}

// As finds the registry's own words as the types of errcode. They are values there, not pointers.
func (t *translated) As(target any) bool {
	var e *acr.Error
	if !errors.As(t.err, &e) {
		return false
	}
	var all errcode.Errors
	for _, d := range e.Details {
		all = append(all, errcode.Error{Code: string(d.Code), Message: d.Message})
	}
	if len(all) == 0 && e.Code != "" {
		all = errcode.Errors{{Code: string(e.Code), Message: e.Message}}
	}
	if len(all) == 0 {
		return false
	}
	switch target := target.(type) {
	case *errcode.Error:
		*target = all[0]
	case *errcode.Errors:
		*target = all
	default:
		return false
	}
	return true
}
