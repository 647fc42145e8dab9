package wire

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
)

// UploadLocation resolves the Location of an upload reply: it must lie on the login origin under /v2/<name>/blobs/uploads/. The query is kept byte for byte, for it
// holds the session's signed state.
// Errors: ErrUntrusted if it is missing or malformed, or leads to another path or origin.
func UploadLocation(resp *http.Response, login *url.URL, name string) (*url.URL, error) {
	values := resp.Header.Values("Location")
	if len(values) == 0 || values[0] == "" {
		return nil, Untrusted(BadLocation, "missing")
	}
	if len(values) > 1 {
		return nil, Untrusted(BadLocation, "given twice")
	}
	base := login
	if resp.Request != nil && resp.Request.URL != nil {
		base = resp.Request.URL
	}
	return uploadURL(base, values[0], login, name)
}

// CheckUploadURL applies the rule of UploadLocation to a location kept from before, for instance in a checkpoint.
func CheckUploadURL(location string, login *url.URL, name string) (*url.URL, error) {
	return uploadURL(login, location, login, name)
}

func uploadURL(base *url.URL, location string, login *url.URL, name string) (*url.URL, error) {
	u, ok := resolve(base, location)
	if !ok {
		return nil, Untrusted(BadLocation, "not a URL")
	}
	if _, err := Decide(Move{Call: call.Upload, Step: StepFollow, Login: OriginOf(login), To: u}); err != nil {
		return nil, err
	}
	// The decoded path is compared: a server may write the slashes of a name as %2F.
	rest, ok := strings.CutPrefix(u.Path, "/v2/"+name+"/blobs/uploads/")
	if !ok || strings.Trim(rest, "/") == "" || hasDotSegment(rest) {
		return nil, Untrusted(BadLocation, "outside the uploads of the repository")
	}
	return u, nil
}

// hasDotSegment finds "." and ".." that survived resolution because they were written as %2e: a server might still resolve them.
func hasDotSegment(path string) bool {
	for s := range strings.SplitSeq(path, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// At returns a request editor (a gen.RequestEditorFn) that sends the request to u instead, with the query built so far appended to u's own. The new URL must have
// the origin of the old one.
func At(u *url.URL) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error {
		if OriginOf(u) != OriginOf(r.URL) {
			return Untrusted(ForeignOrigin, OriginOf(u).String()+" is not "+OriginOf(r.URL).String())
		}
		next := *u
		next.Host = r.URL.Host // as we write it: connections are kept by it
		if q := r.URL.RawQuery; q != "" {
			if next.RawQuery != "" {
				next.RawQuery += "&"
			}
			next.RawQuery += q
		}
		r.URL = &next
		return nil
	}
}

// IsRedirect says whether the status sends a request elsewhere: 301, 302, 303, 307, 308.
func IsRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// RedirectTarget returns the absolute Location of a redirect. Whether a request may be sent there is for [Decide] to say.
//
// Errors: ErrUntrusted, if there is not exactly one Location, or it is not a URL.
func RedirectTarget(resp *http.Response) (*url.URL, error) {
	v := resp.Header.Values("Location")
	if len(v) != 1 {
		return nil, Untrusted(BadRedirect, "a redirect needs one Location")
	}
	u, ok := resolve(resp.Request.URL, v[0])
	if !ok {
		return nil, Untrusted(BadRedirect, "its Location is not a URL")
	}
	return u, nil
}
