package credentials

import (
	"context"
	"errors"
	"strings"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/redact"
)

// Error is returned for a file or helper that cannot be used. Its text has no secret.
type Error struct {
	Path   string // the file
	Server string // the registry, empty if the whole file is meant
	Reason string // what is wrong
	Err    error  // the cause, nil if there is none to show
}

// maxText bounds an error, to which a helper contributes.
const maxText = 1 << 10

// Error returns one line of at most 1 KiB.
func (e *Error) Error() string {
	text := "credentials: " + e.Path
	if e.Server != "" {
		text += ": " + e.Server
	}
	text += ": " + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if text = redact.OneLine(text); len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// clientOf returns an anonymous client, which knows what acr accepts as an endpoint and as the name of
// a repository. It is not used to send anything, so any host is allowed.
func clientOf(endpoint string) (*acr.Client, error) {
	allowed := []string{strings.TrimSuffix(endpoint, "/")}
	return acr.NewClient(endpoint, nil, &acr.ClientOptions{AllowedHosts: allowed})
}

// hostOf returns the host of a client's registry, with its port if that is not 443.
func hostOf(c *acr.Client) string { return strings.TrimPrefix(c.Endpoint(), "https://") }

// checkRepository fails with the error of acr if name cannot be that of a repository.
func checkRepository(ctx context.Context, c *acr.Client, name string) error {
	a := c.Repository(name).Artifact("latest")
	if a.Name() != (acr.ArtifactName{}) {
		return nil
	}
	_, err := a.Digest(ctx) // sends nothing, and says what is invalid
	if invalid, ok := errors.AsType[*acr.ArgumentError](err); ok {
		return &acr.ArgumentError{Argument: "Repository", Value: name, Reason: invalid.Reason}
	}
	return err
}
