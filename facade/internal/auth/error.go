package auth

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Causes of a failed sign-in, for errors.Is.
var (
	ErrFirewall            = errors.New("the registry's firewall refuses this address")
	ErrARMAudienceDisabled = errors.New("the registry does not accept Entra tokens for Azure Resource Manager")
	ErrWrongAudience       = errors.New("the Entra token is not for this registry's audience or tenant")
	ErrNoRole              = errors.New("the identity has no role on the registry")
	ErrMissingAction       = errors.New("the identity may not do this")
	ErrABAC                = errors.New("the identity's role does not cover this repository")
	ErrCatalogRole         = errors.New("the identity may not list the catalog")
	ErrExpired             = errors.New("the credential has expired")
	ErrRevoked             = errors.New("the credential was revoked or is not accepted")
	ErrPassword            = errors.New("user name or password is wrong")
	ErrClockSkew           = errors.New("the local clock is off by more than five minutes")
	ErrRegistryNotFound    = errors.New("there is no registry of this name")
	ErrAnonymous           = errors.New("the registry does not allow this without signing in")
	ErrNoBearer            = errors.New("the server does not offer the sign-in of Azure Container Registry")
	ErrBadReply            = errors.New("the token reply cannot be used")
)

// maxSkew is how far the clocks may differ before that is worth a word: Entra's tolerance.
const maxSkew = 5 * time.Minute

// Error is a failed sign-in: what failed, why, and what to do about it. It never holds what the token endpoint sent, for that may be a token.
type Error struct {
	// Operation is ExchangeEntraToken, GetAccessToken, GetAccessTokenWithBasic, GetEntraToken (asking the credential), or empty: an operation of the registry was refused.
	Operation string
	// Cause is one of the sentinels, nil when unknown.
	Cause error
	// StatusCode is the reply's, 0 when there was none.
	StatusCode int
	// Code is the reply's error code ("DENIED"), empty when it had none.
	Code string
	// Message says in our words what is known beyond the cause: the address a firewall refused, the missing actions.
	Message string
	// Advice says what to do, empty when nobody knows.
	Advice string
	// CorrelationID is what Azure support asks for.
	CorrelationID string
	// RetryAfter is the wait a reply asked for.
	RetryAfter time.Duration
	// ClockSkew is the local clock less the server's, where that is more than five minutes.
	ClockSkew time.Duration
	// Err is the error of the transport or of the credential, nil when there was a reply.
	Err error

	text string // Err's, scrubbed
}

// Error is one line without secrets.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sign-in failed")
	if e.Operation != "" {
		b.WriteString(" (" + e.Operation + ")")
	}
	if e.StatusCode != 0 {
		b.WriteString(": " + strconv.Itoa(e.StatusCode))
		if e.Code != "" {
			b.WriteString(" " + e.Code)
		}
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	for _, s := range []string{e.Message, e.text} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.ClockSkew != 0 && !errors.Is(e.Cause, ErrClockSkew) {
		b.WriteString("; " + e.SkewText())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	if e.CorrelationID != "" {
		b.WriteString(" [correlation id " + e.CorrelationID + "]")
	}
	return redact.OneLine(b.String())
}

// SkewText says how far the local clock is from the server's, empty where that is not worth a word.
func (e *Error) SkewText() string {
	skew := e.ClockSkew.Round(time.Second)
	switch {
	case skew == 0:
		return ""
	case skew > 0:
		return "the local clock is " + skew.String() + " ahead of the registry's"
	default:
		return "the local clock is " + (-skew).String() + " behind the registry's"
	}
}

// Unwrap returns the cause and what lies beneath.
func (e *Error) Unwrap() []error {
	var out []error
	if e.Cause != nil {
		out = append(out, e.Cause)
	}
	if e.Err != nil {
		out = append(out, e.Err)
	}
	return out
}

// Is finds ErrClockSkew beside the cause.
func (e *Error) Is(target error) bool { return target == ErrClockSkew && e.ClockSkew != 0 }

// Unreachable reports whether the token endpoint sent no response.
func (e *Error) Unreachable() bool {
	return e.StatusCode == 0 && e.Err != nil && e.Operation != opEntra && e.Operation != ""
}

// NonRetriable marks the error for retry policies: token requests have been retried already.
func (*Error) NonRetriable() {}

var (
	codeWord    = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,63}$`)
	correlation = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)
	clientIP    = regexp.MustCompile(`client with IP '?([0-9a-fA-F.:]{3,45})'?`)
)

// fill takes from a reply what is safe to show: status, known forms of code and correlation id, the clocks.
func (e *Error) fill(resp *http.Response, now time.Time) *Error {
	e.StatusCode = resp.StatusCode
	if id := resp.Header.Get("X-Ms-Correlation-Request-Id"); correlation.MatchString(id) {
		e.CorrelationID = id
	}
	if d, ok := wire.RetryAfter(resp.Header, now); ok {
		e.RetryAfter = d
	}
	if date := dateOf(resp); !date.IsZero() {
		if skew := now.Sub(date); skew.Abs() > maxSkew {
			e.ClockSkew = skew
		}
	}
	return e
}

// dateOf returns the reply's Date, zero when there is none.
func dateOf(resp *http.Response) time.Time {
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}
