package credentials

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/redact"
)

// Credential is a stored user name with a password, or a refresh token. The zero value means
// anonymous access.
//
// Printing, logging or JSON-encoding a Credential never shows its secret; call its method Secret.
type Credential struct {
	Server   string // host of the registry, such as "myregistry.azurecr.io"
	Username string // empty if the secret is a refresh token
	Source   string // path of the file that it was found in, or that names the helper
	Helper   string // name of the helper that returned it, such as "desktop"; empty if there was none

	secret *string // fmt prints strings in unexported fields, and of pointers to them the address
}

// Secret returns the password, or the refresh token if Username is empty.
func (c Credential) Secret() string {
	if c.secret == nil {
		return ""
	}
	return *c.secret
}

// IsAnonymous reports whether there is no credential.
func (c Credential) IsAnonymous() bool { return c.secret == nil }

// Client returns a client of the registry that signs in with the credential. No request is sent.
//
// Errors:
//   - [acr.ErrInvalidArgument] if the endpoint is not the registry that the credential belongs to,
//     or if acr.NewClient would fail
func (c Credential) Client(endpoint string, opts *acr.ClientOptions) (*acr.Client, error) {
	if c.IsAnonymous() {
		return acr.NewClient(endpoint, nil, opts)
	}
	registry, err := clientOf(endpoint)
	if err != nil {
		return nil, err
	}
	if host := hostOf(registry); host != c.Server {
		return nil, &acr.ArgumentError{Argument: "endpoint", Value: host, Reason: "the credential belongs to " + c.Server}
	}
	if c.Username == "" {
		return acr.NewClientWithRefreshToken(endpoint, c.Secret(), opts)
	}
	return acr.NewClientWithPassword(endpoint, c.Username, c.Secret(), opts)
}

// String returns the user name, server and source, without the secret.
func (c Credential) String() string {
	if c.IsAnonymous() {
		return "anonymous"
	}
	user, source := c.Username, c.Source
	if user == "" {
		user = "refresh token"
	}
	if c.Helper != "" {
		source = "helper " + c.Helper + " of " + source
	}
	return fmt.Sprintf("%s@%s from %s", redact.OneLine(user), redact.OneLine(c.Server), redact.OneLine(source))
}

// Format prints String, whatever the verb, so that no verb shows the secret.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalJSON encodes String, so that loggers do not encode the secret.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// LogValue returns String for log/slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }
