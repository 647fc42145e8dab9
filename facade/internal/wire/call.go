package wire

import (
	"context"
	"net/http"
)

// Call says which row of the redirect table a request belongs to.
type Call uint8

// The rows of the table.
const (
	// CallAPI is manifests, tags, catalog, /acr/v1: GET and HEAD follow on the login origin, at most 3 hops.
	CallAPI Call = iota
	// CallToken is /oauth2/*: nothing is followed, so that no token in a body is sent a second time elsewhere.
	CallToken
	// CallUpload is an upload session: nothing is followed, and PATCH and PUT are never repeated by the retry policy, because a
	// chunk whose reply was lost may have been applied.
	CallUpload
	// CallBlob is GET or HEAD of a blob: a redirect is handed to the caller, who goes on with BlobLink and Fetch.
	CallBlob
)

// String names the row.
func (c Call) String() string {
	switch c {
	case CallToken:
		return "token"
	case CallUpload:
		return "upload"
	case CallBlob:
		return "blob"
	default:
		return "api"
	}
}

type callKey struct{}

// WithCall marks the requests made with the returned context; unmarked ones are CallAPI.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the mark.
func CallOf(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// isChunk says whether the request carries bytes of an upload session.
func isChunk(r *http.Request) bool {
	return CallOf(r.Context()) == CallUpload && (r.Method == http.MethodPatch || r.Method == http.MethodPut)
}
