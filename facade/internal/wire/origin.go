package wire

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
)

// maxHops is how many redirects are followed where any are.
const maxHops = 3

// Origin is scheme, lower-case host and effective port: what a credential is bound to (RFC 6454). Origins compare with ==.
type Origin struct{ Scheme, Host, Port string }

// OriginOf returns the origin of an absolute URL.
func OriginOf(u *url.URL) Origin {
	o := Origin{Scheme: strings.ToLower(u.Scheme), Host: lowerASCII(u.Hostname()), Port: u.Port()}
	if n, err := strconv.ParseUint(o.Port, 10, 16); err == nil {
		o.Port = strconv.FormatUint(n, 10) // "0443" dials 443
	}
	if o.Port == "" {
		switch o.Scheme {
		case "https":
			o.Port = "443"
		case "http":
			o.Port = "80"
		}
	}
	return o
}

// lowerASCII lowers A to Z alone. strings.ToLower makes an "i" of U+0130 and a "k" of U+212A, and the names of two hosts equal that DNS tells apart.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// String returns the origin as a URL, without the default port.
func (o Origin) String() string {
	if o.Scheme == "https" && o.Port == "443" {
		if strings.Contains(o.Host, ":") {
			return "https://[" + o.Host + "]"
		}
		return "https://" + o.Host
	}
	return o.Scheme + "://" + net.JoinHostPort(o.Host, o.Port)
}

// Step is what makes a request go to a URL.
type Step uint8

// The steps.
const (
	// StepSend: the caller's own request.
	StepSend Step = iota
	// StepRedirect: the Location of a 3xx.
	StepRedirect
	// StepFollow: a URL the server gave for the next request: Location of an upload, Link of a page.
	StepFollow
)

// Move is one request about to be made, as the origin rule sees it.
type Move struct {
	Call   call.Kind
	Step   Step
	Method string
	Login  Origin
	// Hops counts the redirects followed before this one.
	Hops int
	// Left is true once a hop was off the login origin. A credential that stayed behind stays behind for the rest of the chain.
	Left bool
	// To is where the request would go, absolute.
	To *url.URL
	// Storage, when not empty, are the suffixes (".blob.core.windows.net") that hosts of blob redirects must have.
	Storage []string
	// Loopback allows redirects to loopback addresses: the login server itself is on one.
	Loopback bool
}

// Verdict says how a move that is allowed may be made.
type Verdict struct {
	// Credential is true when the access token may go along. When false, neither may cookies nor a Referer.
	Credential bool
}

// Decide is the one origin rule. It returns how the move may be made, or a [*Refusal]. Hosts are addresses or names in ASCII: no registry and no storage has another.
//
//	call    | own request, Location, Link | redirect
//	token   | login origin only           | never
//	upload  | login origin only           | never
//	api     | login origin only           | GET and HEAD, login origin, at most 3 hops
//	blob    | login origin only           | GET and HEAD, https, at most 3 hops, no credential off the login origin or after it was left
//
// Pulls may leave the login server because ACR sends them to storage or a data endpoint by 307 (MS Learn, "Dedicated data endpoints"); private
// addresses are fine there (Private Link), loopback and metadata addresses are not.
func Decide(m Move) (Verdict, error) {
	to := m.To
	switch {
	case to == nil || to.Host == "" || to.Opaque != "":
		return Verdict{}, Untrusted(matterOf(m.Step), "not an absolute URL")
	case to.User != nil:
		return Verdict{}, Untrusted(ForeignOrigin, "URL with user information to "+to.Host)
	}
	origin := OriginOf(to)
	if !validHost(strings.TrimSuffix(origin.Host, ".")) {
		// Empty (a dialer takes it for this machine), or with characters that a resolver makes others of (url.Parse has undone their percent-encoding).
		return Verdict{}, Untrusted(matterOf(m.Step), "URL without a proper host name")
	}
	if m.Step != StepRedirect {
		if origin != m.Login {
			return Verdict{}, Untrusted(ForeignOrigin, origin.String()+" is not "+m.Login.String())
		}
		return Verdict{Credential: true}, nil
	}
	switch {
	case m.Call != call.API && m.Call != call.Blob:
		return Verdict{}, Untrusted(BadRedirect, article(m.Call.String())+" request was redirected to "+origin.String())
	case m.Method != http.MethodGet && m.Method != http.MethodHead:
		return Verdict{}, Untrusted(BadRedirect, "a "+m.Method+" request was redirected to "+origin.String())
	case m.Hops >= maxHops:
		return Verdict{}, Untrusted(BadRedirect, "more than "+strconv.Itoa(maxHops)+" redirects")
	case origin == m.Login:
		return Verdict{Credential: !m.Left}, nil
	case m.Call == call.API:
		return Verdict{}, Untrusted(ForeignOrigin, "redirect to "+origin.String())
	case origin.Scheme != "https":
		return Verdict{}, Untrusted(ForeignOrigin, "blob redirect to "+origin.String()+", which is not https")
	}
	if err := checkStorageHost(origin.Host, m.Storage, m.Loopback); err != nil {
		return Verdict{}, err
	}
	return Verdict{}, nil
}

func matterOf(s Step) Matter {
	if s == StepRedirect {
		return BadRedirect
	}
	return ForeignOrigin
}

// resolve turns a URL reference from a server's header into an absolute URL, RFC 3986 section 5, with the query byte for byte. Bytes that have no place in a URL are
// refused rather than repaired: a repaired URL is not the one the server signed.
func resolve(base *url.URL, ref string) (*url.URL, bool) {
	if ref == "" || len(ref) > maxURL {
		return nil, false
	}
	for i := range len(ref) {
		if c := ref[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, false
		}
	}
	u, err := url.Parse(ref)
	if err != nil || u.Opaque != "" {
		return nil, false
	}
	u = base.ResolveReference(u)
	u.Fragment, u.RawFragment = "", ""
	return u, true
}

// maxURL bounds a URL a server hands out.
const maxURL = 16 << 10

// article puts the article before a word.
func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}
