package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// envelope reads the code and the messages of an error document. strange is true for a body that is no JSON at all, as a proxy's: a registry's refusals have none, or an error
// document.
func envelope(body []byte) (code, message string, strange bool) {
	var doc gen.ErrorBody
	if json.Unmarshal(body, &doc) != nil {
		return "", "", len(bytes.TrimSpace(body)) > 0 && !json.Valid(body)
	}
	var texts []string
	for _, e := range doc.Errors {
		if code == "" && codeWord.MatchString(e.Code) {
			code = e.Code
		}
		texts = append(texts, e.Message)
	}
	return code, strings.Join(texts, " "), false
}

// refused explains a token request that was answered, but not with a token. The reply's text is looked at and thrown away: it may repeat the token that was sent.
func (a *Authenticator) refused(op string, resp *http.Response, body []byte, now time.Time) *Error {
	e := (&Error{Operation: op}).fill(resp, now)
	code, message, strange := envelope(body)
	e.Code = code
	if a.firewall(e, message) {
		return e
	}
	status, exchange := resp.StatusCode, op == opExchange
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest
	switch lower := strings.ToLower(message); {
	case tooLarge(status, body, strange):
		e.Message, e.Advice = "the token is larger than the server, or a proxy before it, accepts", adviseTooLarge
	case !exchange && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		e.Cause, e.Advice = ErrNoBearer, adviseNoEndpoint
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, refused && strange:
		e.Cause, e.Advice = ErrNoBearer, adviseStranger
	case strings.Contains(lower, "arm aad token disallowed"):
		e.Cause, e.Advice = ErrARMAudienceDisabled, adviseARM
	case exchange && status == http.StatusForbidden:
		e.Cause, e.Advice = ErrNoRole, adviseRole
	case exchange && status == http.StatusUnauthorized && strings.Contains(lower, "retrieving permissions failed"):
		e.Cause, e.Advice = ErrWrongAudience, adviseAudience
	case refused && strings.Contains(lower, "expired"):
		e.Cause, e.Advice = ErrExpired, a.adviseAgain()
	case refused && a.credential.kind == kindAnonymous:
		e.Cause, e.Advice = ErrAnonymous, adviseAnon
	case status == http.StatusForbidden:
		e.Cause, e.Advice = ErrNoRole, adviseRole
	case refused && op == opBasic:
		e.Cause, e.Advice = ErrPassword, advisePassword
	case refused:
		e.Cause, e.Advice = ErrRevoked, a.adviseAgain()
	case status == http.StatusTooManyRequests:
		e.Advice = adviseThrottle
	case status == http.StatusProxyAuthRequired:
		e.Advice = AdviseProxy
	case status == http.StatusNetworkAuthenticationRequired:
		e.Advice = AdvisePortal
	case status < http.StatusBadRequest:
		e.Advice = adviseStranger
	case status >= http.StatusInternalServerError:
		e.Advice = Later(e.CorrelationID)
	}
	if e.ClockSkew != 0 && (errors.Is(e.Cause, ErrExpired) || errors.Is(e.Cause, ErrRevoked)) {
		e.Advice = adviseClock
	}
	return e
}

// tooLarge reports whether a token request was refused for its size: by status code, or by a page that says so.
func tooLarge(status int, body []byte, page bool) bool {
	switch status {
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return true
	case http.StatusBadRequest:
		return page && bytes.Contains(bytes.ToLower(body), []byte("too large"))
	}
	return false
}

// adviseAgain says how an identity of this kind signs in anew.
func (a *Authenticator) adviseAgain() string {
	switch a.credential.kind {
	case kindPassword:
		return advisePassword
	case kindRefreshToken:
		return adviseRefresh
	case kindAnonymous:
		return adviseAnon
	default:
		return adviseRevoked
	}
}

// firewall recognises the firewall's refusal, which any endpoint may give.
func (a *Authenticator) firewall(e *Error, message string) bool {
	if e.StatusCode != http.StatusForbidden || !strings.Contains(strings.ToLower(message), "client with ip") {
		return false
	}
	e.Cause, e.Advice = ErrFirewall, adviseFirewall
	if m := clientIP.FindStringSubmatch(message); m != nil {
		e.Message = m[1]
	}
	return true
}

// unreachable explains a token request that got no usable answer in the time it took.
func (a *Authenticator) unreachable(op string, err error, took time.Duration) *Error {
	e := &Error{Operation: op, Err: err, text: redact.OneLine(a.vault.scrub(err.Error()))}
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		e.Advice = adviseCA
	case errors.As(err, &hostname):
		e.Advice = adviseHost
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Cause, e.Advice = ErrRegistryNotFound, adviseName
	case errors.Is(err, wire.ErrTooLarge):
		e.Cause, e.Advice = ErrBadReply, adviseStranger
	case wire.IsUntrusted(err, wire.BadRedirect):
		e.Advice = adviseStranger
	case errors.Is(err, context.DeadlineExceeded): // ours, not the caller's
		e.Message, e.Advice, e.text = a.login.Host+" did not answer within "+took.Round(time.Second).String(), adviseSilence, ""
	}
	return e
}

// silent says that nothing came.
func silent(limit time.Duration) string { return "no token arrived within " + limit.String() }

// numberedError finds Entra's error numbers, and entraTime its clock in those about time.
var (
	numberedError = regexp.MustCompile(`AADSTS([0-9]+)`)
	entraTime     = regexp.MustCompile(`Current time: ([0-9TZ:.+-]+)`)
)

// credentialFailed explains why the credential gave no Entra token in the time it took. Entra's error numbers tell the common cases apart.
func (a *Authenticator) credentialFailed(err error, took time.Duration) *Error {
	text := err.Error()
	e := &Error{Operation: opEntra, Err: err, text: redact.OneLine(a.vault.scrub(text))}
	switch err { //nolint:errorlint // ours, not what a credential says of its own time
	case context.Canceled:
		return e
	case context.DeadlineExceeded:
		e.Message, e.Advice, e.text = silent(took.Round(time.Second)), advisePerson, ""
		return e
	}
	var numbers []string
	for _, m := range numberedError.FindAllStringSubmatch(text, -1) {
		numbers = append(numbers, m[1])
	}
	has := func(known ...string) bool {
		return slices.ContainsFunc(known, func(n string) bool { return slices.Contains(numbers, n) })
	}
	switch {
	case has("700024", "500133"): // assertion not within its valid time range: which of the two is wrong, Entra's clock tells
		e.Cause, e.Advice = ErrExpired, adviseAssertion
		if m := entraTime.FindStringSubmatch(text); m != nil {
			if theirs, err := time.Parse(time.RFC3339, strings.TrimRight(m[1], ".")); err == nil && time.Since(theirs).Abs() > maxSkew {
				e.Cause, e.Advice, e.ClockSkew = ErrClockSkew, adviseClock, time.Since(theirs)
			}
		}
	case has("7000222", "700082", "50173", "70043"): // secret or refresh token expired
		e.Cause, e.Advice = ErrExpired, "renew the credential's secret, or sign in again"
	case has("7000215", "50057", "700016", "50126", "90002", "50013"): // wrong secret or assertion, disabled or unknown identity or tenant
		e.Cause, e.Advice = ErrRevoked, "check the credential's tenant, client id and secret"
	case has("500011", "650057", "70011", "500013", "90009"): // resource unknown or not allowed
		e.Cause, e.Advice = ErrWrongAudience, adviseAudience
	case has("50076", "50079", "50158", "53003"): // a second factor, or conditional access
		e.Advice = adviseInteractive
	case len(numbers) == 0 && strings.Contains(text, "failed to acquire a token"): // a chain of credentials of azidentity
		e.Advice = adviseNoSignIn
	}
	return e
}

// Explain returns the sign-in error behind a 401 or 403 of the registry to a request that needed the scopes, or nil where the status is another one. body is the reply's, as far
// as it was read.
func (a *Authenticator) Explain(resp *http.Response, body []byte, scopes ...string) *Error {
	if resp == nil || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return nil
	}
	e := (&Error{}).fill(resp, time.Now())
	code, message, strange := envelope(body)
	e.Code = code
	if a.firewall(e, message) {
		return e
	}
	need := parseScopeSet(scopes...)
	c, ok := bearer(parseChallenges(resp.Header))
	switch {
	case resp.StatusCode == http.StatusUnauthorized && !ok:
		e.Cause, e.Advice = ErrNoBearer, adviseBearer
	case resp.StatusCode == http.StatusForbidden && strange:
		e.Cause, e.Advice = ErrNoBearer, adviseStranger
	case resp.StatusCode == http.StatusUnauthorized && c.params["error"] == "invalid_token":
		e.Cause, e.Advice = ErrRevoked, a.adviseAgain()
		if e.ClockSkew != 0 {
			e.Advice = adviseClock
		}
	case a.credential.kind == kindAnonymous:
		e.Cause, e.Advice = ErrAnonymous, adviseAnon
	case slices.ContainsFunc(need.scopes, func(s scope) bool { return s.typ == "registry" }):
		e.Cause, e.Advice = ErrCatalogRole, adviseCatalog
	default:
		e.Cause, e.Message, e.Advice = ErrMissingAction, missing(a.lacking(need)), adviseActions(need)
		if t := a.refresh.cur.Load(); t != nil && t.claims.abac {
			e.Cause, e.Advice = ErrABAC, adviseABAC
		}
	}
	return e
}

// lacking returns what of the need the token at hand does not grant, as far as it says so, else all of it.
func (a *Authenticator) lacking(need *scopeSet) *scopeSet {
	t := a.access.asked(need)
	if t == nil || t.claims.granted == nil {
		return need
	}
	var out []scope
	for _, n := range need.scopes {
		n.actions = slices.DeleteFunc(slices.Clone(n.actions), func(action string) bool {
			return t.claims.granted.covers(newScopeSet(scope{n.typ, n.name, []string{action}}))
		})
		if len(n.actions) > 0 {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return need
	}
	return newScopeSet(out...)
}

func missing(set *scopeSet) string {
	var parts []string
	for _, s := range set.scopes {
		parts = append(parts, strings.Join(s.actions, " and ")+" on "+s.name)
	}
	return strings.Join(parts, ", ")
}
