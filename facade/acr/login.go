package acr

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Login is a user name and password with which docker, helm, oras and crane can sign in.
//
// Printing, logging or JSON-encoding a Login never shows the password, whatever holds the Login;
// call its method Password.
type Login struct {
	Server   string // host of the registry
	Username string // 00000000-0000-0000-0000-000000000000 if the password is an ACR refresh token
	// Expires is when the password expires. It is zero if the password does not expire, or does not
	// say when.
	Expires time.Time

	password *string // fmt prints strings in unexported fields, and of pointers to them the address
}

// Password returns the password. It is a secret.
func (l Login) Password() string {
	if l.password == nil {
		return ""
	}
	return *l.password
}

// String returns the user name and server, without the password.
func (l Login) String() string {
	s := l.Username + "@" + l.Server
	if !l.Expires.IsZero() {
		s += " until " + l.Expires.UTC().Format(time.RFC3339)
	}
	return s
}

// Format prints String, whatever the verb, so that no verb shows the password.
func (l Login) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// MarshalJSON encodes String, so that loggers do not encode the password.
func (l Login) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// LogValue returns String for log/slog.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Login returns a user name and password for other registry clients. It costs at most one token
// request.
//
// For an Entra credential the password is an ACR refresh token. It is shared with the client, so it
// usually has between 36 minutes and three hours left; see Expires. For other credentials Login
// returns what the client was created with.
//
// Errors:
//   - [ErrAnonymous] if the client is anonymous
//   - [*Error] if the registry refuses the exchange; it matches the cause, such as [ErrNoRole]
func (c *Client) Login(ctx context.Context) (Login, error) {
	if err := c.bad(); err != nil {
		return Login{}, err
	}
	username, password, expires, err := c.auth.Login(ctx)
	if err != nil {
		return Login{}, c.located(opLogin.fail(err))
	}
	return Login{Server: c.login.Host, Username: username, Expires: expires, password: &password}, nil
}
