package acrtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// disallowed is the message of every lock. The service's own begins so and ends in a link to its
// help.
const disallowed = "The operation is disallowed on this registry, repository or image. View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation"

// object is a detail with no keys.
type object struct{}

// refuse answers with what the store refused. Errors that depend on how the object was named are
// answered where that is known.
func (o *operations) refuse(w http.ResponseWriter, rt route, err error) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// The caller went while it waited; nobody is left to tell.
	case errors.Is(err, store.ErrDisallowed):
		fail(w, http.StatusMethodNotAllowed, "REGISTRY_DISALLOWED_OPERATION", disallowed, object{})
	case errors.Is(err, store.ErrRepositoryUnknown):
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("repository %q is not found", rt.name), nil)
	case errors.Is(err, store.ErrTagUnknown):
		fail(w, http.StatusNotFound, "TAG_UNKNOWN", "the specified tag does not exist", nil)
	case errors.Is(err, store.ErrManifestUnknown):
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", fmt.Sprintf("manifest %s is not found", rt.reference), nil)
	case errors.Is(err, store.ErrBlobUnknown):
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", nil)
	case errors.Is(err, store.ErrUploadUnknown):
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", object{})
	case errors.Is(err, store.ErrConflict):
		fail(w, http.StatusConflict, "CONFLICT", "the tag points at another manifest; restore with force to move it", nil)
	default:
		o.logger.Warn("the store failed; the request was answered with status 500", "operation", rt.op, "error", err)
		fail(w, http.StatusInternalServerError, "UNKNOWN", "unknown error", nil)
	}
}

// badDigest answers a digest that cannot be read, or is of an algorithm the registry does not know.
func badDigest(w http.ResponseWriter) {
	fail(w, http.StatusBadRequest, "DIGEST_INVALID", digestMismatch, "digest parsing failed")
}

const digestMismatch = "provided digest did not match uploaded content"
