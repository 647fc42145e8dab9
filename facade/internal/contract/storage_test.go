package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

// TestStorage sees that the host of a 307 is held to what storage does, and to nothing in the document.
func TestStorage(t *testing.T) {
	t.Parallel()
	const link = "https://store.blob.core.windows.net/c//docker/registry/v2/blobs/sha256/6c/data?sig=secret"
	const at = `contract: GetBlobContent GET "/c//docker/registry/v2/blobs/sha256/6c/data"`
	for name, tc := range map[string]struct {
		method  string // GET, if empty
		headers []string
		answer  *http.Response
		want    []string
	}{
		"whole":                  {answer: reply(200, "xx", "X-Ms-Version: 1")},
		"part":                   {headers: []string{"Range: bytes=0-1"}, answer: reply(206, "xx", "Content-Range: bytes 0-1/9")},
		"behind the end":         {headers: []string{"Range: bytes=9-"}, answer: reply(416, "", "Content-Range: bytes */9")},
		"expired":                {answer: reply(403, "<Error/>", "Content-Type: application/xml")},
		"a credential, a page":   {headers: []string{"Authorization: Bearer secret", "Referer: " + host}, answer: reply(403, ""), want: []string{at + ": Authorization sent to storage", at + ": Referer sent to storage"}},
		"a cookie":               {headers: []string{"Cookie: a=b"}, answer: reply(200, ""), want: []string{at + ": Cookie sent to storage"}},
		"a digest":               {answer: reply(200, "xx", "Docker-Content-Digest: "+someDigest), want: []string{at + " -> 200: storage knows no Docker-Content-Digest"}},
		"a redirect":             {answer: reply(302, "", "Location: https://elsewhere.example/"), want: []string{at + " -> 302: status is not one of storage"}},
		"whole with a range":     {answer: reply(200, "xx", "Content-Range: bytes 0-1/2"), want: []string{at + " -> 200: a whole blob has a Content-Range"}},
		"a part of the whole":    {answer: reply(206, "xx", "Content-Range: bytes 0-1/9"), want: []string{at + " -> 206: no range was asked for"}},
		"a part of what":         {headers: []string{"Range: bytes=0-1"}, answer: reply(206, "xx"), want: []string{at + ` -> 206: Content-Range ""`}},
		"behind the end of what": {headers: []string{"Range: bytes=9-"}, answer: reply(416, "", "Content-Range: bytes 9-9/9"), want: []string{at + ` -> 416: Content-Range "bytes 9-9/9"`}},
		"a push":                 {method: "PUT", answer: reply(403, ""), want: []string{strings.Replace(at, "GET", "PUT", 1) + ": method PUT is not for storage"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := &collector{}
			answer := reply(307, "", "Location: "+link, "Docker-Content-Digest: "+someDigest)
			c := contract.New(notes, roundTrip(func(*http.Request) (*http.Response, error) { return answer, nil }))
			if _, err := c.RoundTrip(request(t, "GET", host+"/v2/a/blobs/"+someDigest, nil)); err != nil {
				t.Fatal(err)
			}
			answer = tc.answer
			method := "GET"
			if tc.method != "" {
				method = tc.method
			}
			if _, err := c.RoundTrip(request(t, method, link, nil, tc.headers...)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, notes.errors); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("at home", func(t *testing.T) {
		t.Parallel()
		notes := &collector{}
		c := contract.New(notes, roundTrip(func(*http.Request) (*http.Response, error) {
			return reply(307, "", "Location: /elsewhere", "Docker-Content-Digest: "+someDigest), nil
		}))
		for _, target := range []string{"/v2/a/blobs/" + someDigest, "/elsewhere"} {
			if _, err := c.RoundTrip(request(t, "GET", host+target, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{`contract: GET "/elsewhere": the document has no such path`}, notes.errors); diff != "" {
			t.Error(diff)
		}
	})
}
