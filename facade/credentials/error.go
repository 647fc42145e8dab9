package credentials

import (
	"net/url"
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

// hostOf returns the host of an endpoint, with its port if there is one. acr.NewClient checks the rest.
func hostOf(endpoint string) (string, error) {
	text := endpoint
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", &acr.ArgumentError{Argument: "endpoint", Reason: "it must be the host of a registry, such as myregistry.azurecr.io, with or without https://"}
	}
	return strings.TrimSuffix(strings.ToLower(u.Host), ":443"), nil
}

// checkRepository refuses what cannot be the name of a repository.
func checkRepository(name string) error {
	if strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") || strings.ContainsAny(name, ":@ ") {
		return &acr.ArgumentError{Argument: "Repository", Value: name, Reason: "it is not a repository name, such as team/app"}
	}
	return nil
}
