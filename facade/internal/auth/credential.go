package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// TokenUser is the user name that goes with a refresh token where a password is asked for: docker login and its like.
const TokenUser = "00000000-0000-0000-0000-000000000000"

// identityUser is the user name that docker and its like store with an identity token, which is a refresh token.
const identityUser = "<token>"

// Credential says who signs in: Entra, Password, RefreshToken or Anonymous. The zero value is anonymous. It prints its kind and nothing else.
type Credential struct {
	kind     kind
	entra    azcore.TokenCredential
	username string
	secret   secret
}

type kind uint8

const (
	kindAnonymous kind = iota
	kindEntra
	kindPassword
	kindRefreshToken
)

func (k kind) String() string {
	return [...]string{"anonymous", "entra", "password", "refresh token"}[k]
}

// Entra signs in with an Entra token of cred, exchanged for a refresh token.
func Entra(cred azcore.TokenCredential) Credential { return Credential{kind: kindEntra, entra: cred} }

// Password signs in as the admin user, a repository token or a service principal, by Basic at the token endpoint alone. With the user name TokenUser or identityUser
// the password is a refresh token.
func Password(username, password string) Credential {
	if username == TokenUser || username == identityUser {
		return RefreshToken(password)
	}
	return Credential{kind: kindPassword, username: username, secret: newSecret(password)}
}

// RefreshToken signs in with a refresh token got before (Login). It cannot be renewed: when it ends, so does the signing in.
func RefreshToken(token string) Credential {
	return Credential{kind: kindRefreshToken, secret: newSecret(token)}
}

// Anonymous signs in as nobody, for registries with anonymous pull.
func Anonymous() Credential { return Credential{} }

func (c Credential) check() error {
	switch c.kind {
	case kindEntra:
		if c.entra == nil {
			return errors.New("auth: no Entra credential")
		}
	case kindPassword:
		if c.username == "" || c.secret.reveal() == "" {
			return errors.New("auth: user name and password are both needed")
		}
		if strings.Contains(c.username, ":") || hasControl(c.username+c.secret.reveal()) {
			return errors.New("auth: the user name contains a colon, or the user name or password contains a control character")
		}
	case kindRefreshToken:
		if !validToken(c.secret.reveal()) {
			return errors.New("auth: the refresh token is empty, too long or has characters that no token has")
		}
	}
	return nil
}

// hasControl reports whether s holds a control character.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// String returns the kind.
func (c Credential) String() string { return c.kind.String() + " credential" }

// GoString returns the kind.
func (c Credential) GoString() string { return c.String() }

// Format prints the kind for every verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue returns the kind.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }
