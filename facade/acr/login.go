package acr

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// Login is a user name and password with which docker, helm, oras and crane can sign in.
//
// Printing, logging or JSON-encoding a Login, or a value that contains one, never shows the
// password. The method Password returns it.
type Login struct {
	Server   string // host of the registry
	Username string // 00000000-0000-0000-0000-000000000000 if the password is an ACR token
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
// returns what the client was created with. A longer-running program calls Login whenever it needs
// the password; the folder testdata/interop/login of this module has adapters that do this
// for oras-go, go-containerregistry and regclient.
//
// Errors:
//   - [ErrAnonymous] if the client is anonymous
//   - [*Error] if the registry refuses the exchange; it matches the cause, such as [ErrNoRole]
func (c *Client) Login(ctx context.Context) (Login, error) {
	if err := cmp.Or(c.bad(), checkContext(ctx)); err != nil {
		return Login{}, err
	}
	username, password, expires, err := c.auth.Login(ctx)
	if err != nil {
		return Login{}, c.completeURL(opLogin.fail(err))
	}
	return Login{Server: c.login.Host, Username: username, Expires: expires, password: &password}, nil
}

// AccessToken returns an ACR access token for the scopes, such as "repository:library/app:pull" or
// "registry:catalog:*". The token is the password of the returned Login: send it in a header
// "Authorization: Bearer TOKEN", or store Username and password in a pull secret. Use it to give
// another program fewer rights than this client has. The methods of the client obtain their tokens
// themselves.
//
// It costs one token request and those of the sign-in, or none if the client has a token for these
// scopes that is not due for renewal. A token lasts about an hour with an Entra credential, five
// minutes if the client is anonymous; see Expires. The registry may grant fewer actions than
// requested: the token's claim "access" lists them.
//
// Errors:
//   - [ErrInvalidArgument] if there is no scope, or if one is not of the form TYPE:NAME:ACTIONS
//   - [*Error] if the registry refuses the sign-in or the scopes; it matches the cause, such as
//     [ErrNoRole]
func (c *Client) AccessToken(ctx context.Context, scopes ...string) (Login, error) {
	if err := cmp.Or(c.bad(), checkContext(ctx)); err != nil {
		return Login{}, err
	}
	if len(scopes) == 0 {
		return Login{}, badArgument("scopes", "", "there are none: name what the token is for, as repository:library/app:pull")
	}
	for _, scope := range scopes {
		if !auth.IsScope(scope) {
			return Login{}, badArgument("scopes", scope, "it is not of the form TYPE:NAME:ACTIONS, as repository:library/app:pull")
		}
	}
	token, expires, err := c.auth.Access(ctx, scopes)
	if err != nil {
		return Login{}, c.completeURL(opAccessToken.fail(err))
	}
	return Login{Server: c.login.Host, Username: auth.TokenUser, Expires: expires, password: &token}, nil
}
