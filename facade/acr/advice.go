package acr

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// advise returns what to do about a response, if the cause is known. auth explains the causes of a
// refused sign-in.
func advise(op *operation, e *Error) string {
	switch {
	case e.has(codeDisallowed):
		return "it is locked (set WriteEnabled and DeleteEnabled to true to unlock it), quarantined, or the registry's storage is full"
	case e.has(ErrBlobUploadInvalid), e.has(ErrBlobUploadUnknown):
		return "the upload session is lost: upload the blob again"
	case e.has(ErrManifestBlobUnknown):
		return "upload the blobs and manifests it names first; right after an upload another replica of the registry may not have them yet, so wait and try again (PutManifestOptions.BlobWait)"
	case e.StatusCode == http.StatusNotFound && namesRegistry(e.URL):
		return "the repository name must not include the registry host"
	case e.StatusCode == http.StatusRequestEntityTooLarge:
		return "the registry does not accept a body of this size: use smaller chunks (UploadOptions.ChunkSize)"
	case e.StatusCode == http.StatusTooManyRequests:
		return "the registry's request limit is reached: send fewer requests, or set ClientOptions.Governor"
	case e.StatusCode == http.StatusNotFound && e.Code == "" && strings.Contains(e.Message, "404 page not found"):
		return "the server does not know this path: it may not be an Azure Container Registry, or may not offer this operation"
	case (e.has(ErrManifestUnknown) || e.has(ErrBlobUnknown)) && strings.Contains(e.URL, "/sha256:") && op != opDeleteManifest && op != opDeleteBlob:
		return "if it was pushed a moment ago, another replica of the registry may not have it yet: try again shortly"
	case e.has(ErrUnsupported) && op == opDeleteManifest:
		return "pass the manifest's digest; Artifact.Digest resolves a tag"
	}
	return ""
}

// namesRegistry reports whether the repository of a request begins with the registry's host, as
// image names do.
func namesRegistry(request string) bool {
	u, err := url.Parse(request)
	return err == nil && u.Host != "" && (strings.HasPrefix(u.Path, "/v2/"+u.Host+"/") || strings.HasPrefix(u.Path, "/acr/v1/"+u.Host+"/"))
}

// explain adds what auth knows about the cause: a missing right, the firewall, a disabled audience.
func (e *Error) explain(cause *auth.Error) {
	if cause == nil {
		return
	}
	e.causes = append(e.causes, cause)
	why := cause.Message
	if cause.Cause != nil {
		why = joined(cause.Cause.Error(), why)
	}
	if e.Message == "" {
		e.Message, why = why, ""
	}
	skew := ""
	if cause.ClockSkew != 0 && !errors.Is(cause.Cause, ErrClockSkew) {
		skew = "the local clock is off by " + cause.ClockSkew.Round(time.Second).String()
	}
	parts := slices.DeleteFunc([]string{why, skew, cause.Advice}, func(s string) bool { return s == "" })
	e.advice = strings.Join(parts, "; ")
}

// joined is what there is of the parts, with colons between.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
