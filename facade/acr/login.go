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
// Printing, logging or JSON-encoding a Login never shows the password; read the Password field to
// use it. Caution: fmt does not call methods of unexported fields, so a Login in an unexported
// field of your struct is printed in full.
type Login struct {
	Server   string // host of the registry
	Username string // 00000000-0000-0000-0000-000000000000 if Password is an ACR refresh token
	Password string // a secret
	// Expires is when Password expires. It is zero if the password does not expire, or does not say
	// when.
	Expires time.Time
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
	return Login{Server: c.login.Host, Username: username, Password: password, Expires: expires}, nil
}
