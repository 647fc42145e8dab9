package acr

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Login is what docker, helm, oras and crane sign in with. It prints and logs without its secret, and so does its JSON: whoever means to hand
// it on takes its fields. A struct that keeps a Login in an unexported field prints all of it, for fmt does not ask its methods there.
type Login struct {
	Server   string // host of the registry
	Username string // 00000000-0000-0000-0000-000000000000 where Password is an ACR refresh token
	Password string // a secret
	// Expires is when Password ends; zero where it does not end, or says nothing of it.
	Expires time.Time
}

// String is the login without its secret.
func (l Login) String() string {
	s := l.Username + "@" + l.Server
	if !l.Expires.IsZero() {
		s += " until " + l.Expires.UTC().Format(time.RFC3339)
	}
	return s
}

// GoString is String.
func (l Login) GoString() string { return "acr.Login{" + l.String() + "}" }

// Format prints String, or for %#v GoString, whatever the verb.
func (l Login) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, l.GoString())
		return
	}
	_, _ = io.WriteString(f, l.String())
}

// MarshalJSON is String: loggers encode what holds a Login without asking it otherwise.
func (l Login) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// LogValue is String, for log/slog.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Login gives a user name and password for other registry clients: with an Entra credential the ACR refresh token it is exchanged for,
// else what the client was made with. The client shares that refresh token, so of its three hours more than half an hour is left as a rule;
// Expires says how much. At most one token request. Errors: ErrAnonymous for an anonymous client, and the causes of a
// refused sign-in.
func (c *Client) Login(ctx context.Context) (Login, error) {
	username, password, expires, err := c.auth.Login(ctx)
	if err != nil {
		return Login{}, c.located(opLogin.fail(err))
	}
	return Login{Server: c.login.Host, Username: username, Password: password, Expires: expires}, nil
}
