package acr

import (
	"context"
	"errors"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

var errDeclined = errors.New("the registry asks for an upload")

// declined tells whether a refused mount leaves the upload as the way to go: the source is not there, or not for this identity.
func declined(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest:
		return true
	}
	return false
}

// mountFrom tries to mount a blob from one of the repositories. It returns true when that succeeded; otherwise an upload that the
// registry opened on the way, or nil.
func (s *uploadSession) mountFrom(ctx context.Context, dgst digest.Digest, from []string) (*transfer.State, bool, error) {
	var open *transfer.State
	for _, name := range from {
		if name == s.r.name || checkName(name) != nil {
			continue
		}
		state, mounted, err := s.mount(ctx, dgst, name)
		if err != nil && !declined(err) {
			if open != nil {
				s.abandon(ctx, open.Location)
			}
			return nil, false, err
		}
		if err != nil {
			continue
		}
		if open != nil {
			s.abandon(ctx, open.Location)
			open = nil
		}
		if mounted {
			return nil, true, nil
		}
		open = &state
	}
	return open, false, nil
}

// abandon ends an upload that is not needed.
func (s *uploadSession) abandon(ctx context.Context, location string) {
	if location != "" {
		transfer.Abandon(ctx, s, location)
	}
}
