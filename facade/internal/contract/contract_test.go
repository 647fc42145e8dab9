package contract_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

const (
	host       = "https://example.azurecr.io"
	someDigest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
	tags       = `{"registry":"example.azurecr.io","imageName":"a/b","tags":[{"name":"v1","digest":"` + someDigest + `",
		"createdTime":"2026-01-02T03:04:05.7370995Z","lastUpdateTime":"2026-01-02T03:04:05Z","signed":false,
		"changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"listEnabled":true,"readEnabled":true}}]}`
)

// reply returns an answer with the headers of a "name: value" list.
func reply(status int, body string, headers ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		resp.Header.Add(name, value)
	}
	return resp
}

// unmeasured is the answer without a Content-Length.
func unmeasured(resp *http.Response) *http.Response {
	resp.ContentLength = -1
	return resp
}

const jsonType = "Content-Type: application/json; charset=utf-8"

// TestViolations breaks one rule at a time.
func TestViolations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, target, body string
		headers              []string
		answer               *http.Response
		want                 string // part of the only violation; none if empty
	}{
		"a page of tags": {method: "GET", target: "/acr/v1/a/b/_tags?n=2&orderby=&last=v0", answer: reply(200, tags, jsonType,
			`Link: </acr/v1/a/b/_tags?last=v1&n=2&orderby=>; rel="next"`, "Strict-Transport-Security: x", "X-Ms-Request-Id: 1")},
		"an escaped name":         {method: "GET", target: "/acr/v1/a%2Fb/_tags", answer: reply(200, tags, jsonType)},
		"an escaped digest":       {method: "HEAD", target: "/v2/a/blobs/" + strings.Replace(someDigest, ":", "%3A", 1), answer: reply(200, "", "Content-Length: 5", "Docker-Content-Digest: "+someDigest)},
		"no such path":            {method: "GET", target: "/acr/v2/a", answer: reply(404, ""), want: "no such path"},
		"no such method":          {method: "PUT", target: "/acr/v1/a", answer: reply(405, ""), want: "has no PUT"},
		"a bad name":              {method: "GET", target: "/acr/v1/A/_tags", answer: reply(404, ""), want: "path parameter name"},
		"a climbing name":         {method: "GET", target: "/acr/v1/a/%2E%2E/_tags", answer: reply(404, ""), want: "path parameter name"},
		"a tag for a digest":      {method: "GET", target: "/v2/a/blobs/v1", answer: reply(404, ""), want: "path parameter digest"},
		"an unknown key":          {method: "GET", target: "/acr/v1/a/_tags?marker=1", answer: reply(200, tags, jsonType), want: `query key "marker" is not declared`},
		"an empty key":            {method: "GET", target: "/acr/v1/a/_tags?n=", answer: reply(200, tags, jsonType), want: "query parameter n"},
		"a key twice":             {method: "GET", target: "/acr/v1/a/_tags?n=1&n=2", answer: reply(200, tags, jsonType), want: "more than once"},
		"a page of none":          {method: "GET", target: "/acr/v1/a/_tags?n=0", answer: reply(200, tags, jsonType), want: "query parameter n"},
		"a number in other words": {method: "GET", target: "/acr/v1/a/_tags?n=1e3", answer: reply(200, tags, jsonType), want: "query parameter n: not of its type"},
		"a flag in other words":   {method: "GET", target: "/v2/a/blobs/uploads/u?_nouploadcache=T", answer: reply(404, ""), want: "query parameter _nouploadcache: not of its type"},
		"another range": {method: "PATCH", target: "/v2/a/blobs/uploads/u", body: "xyz", headers: []string{"Content-Type: application/octet-stream", "Content-Range: 5-6"},
			answer: reply(404, ""), want: "Content-Range 5-6 is not of 3 bytes"},
		"an unknown attribute": {method: "PATCH", target: "/acr/v1/a", body: `{"deleteEnable":false}`, headers: []string{jsonType},
			answer: reply(404, ""), want: `request body: key "deleteEnable" is not declared`},
		"a manifest of no type": {method: "PUT", target: "/v2/a/manifests/v1", body: `{}`, answer: reply(404, ""), want: `request body: content type "" is not declared`},
		"a foreign credential":  {method: "GET", target: "/acr/v1/a", headers: []string{"Authorization: Negotiate secret"}, answer: reply(404, ""), want: "neither Bearer nor Basic"},
		"an empty header":       {method: "POST", target: "/v2/a/blobs/uploads/", answer: reply(202, "", "Location: ", "Range: 0-0"), want: "header Location is missing"},
		"a header twice": {method: "POST", target: "/v2/a/blobs/uploads/", answer: reply(202, "", "Location: /v2/a/blobs/uploads/u", "Location: /v2/a/blobs/uploads/v", "Range: 0-0"),
			want: "header Location is given more than once"},
		"a part of the whole": {method: "GET", target: "/v2/a/blobs/" + someDigest, answer: reply(206, "x", "Content-Type: application/octet-stream", "Content-Range: bytes 0-0/2"),
			want: "no range was asked for"},
		"a part of what": {method: "GET", target: "/v2/a/blobs/" + someDigest, headers: []string{"Range: bytes=0-0"}, answer: reply(206, "x", "Content-Type: application/octet-stream"),
			want: "header Content-Range is missing"},
		"a challenge for nothing":         {method: "GET", target: "/acr/v1/a/_tags", answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s"`), want: `challenge is for ""`},
		"a body of unknown length on 202": {method: "DELETE", target: "/acr/v1/a/_tags/v1", answer: unmeasured(reply(202, "gone")), want: "body is not declared"},
		"no body of unknown length":       {method: "DELETE", target: "/acr/v1/a/_tags/v1", answer: unmeasured(reply(202, ""))},
		"more JSON than is looked at":     {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, "["+strings.Repeat(" ", 8<<20), jsonType)},
		"a manifest off its form": {method: "GET", target: "/v2/a/manifests/v1", answer: reply(200, "{}", "Content-Type: application/vnd.oci.image.manifest.v1+json", "Docker-Content-Digest: "+someDigest),
			want: `breaks "required" of its schema`},
		"two challenges": {method: "GET", target: "/acr/v1/a/_tags", answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s",scope="repository:a:metadata_read"`,
			`WWW-Authenticate: Basic realm="r"`), want: "header Www-Authenticate: breaks"},
		"a bad query": {method: "GET", target: "/acr/v1/a?api-version=%zz", answer: reply(404, ""), want: "query is not in key=value form"},
		"a field twice": {method: "POST", target: "/oauth2/token", body: "grant_type=password&service=s&scope=x&scope=y",
			headers: []string{"Content-Type: application/x-www-form-urlencoded"}, answer: reply(400, ""), want: `form key "scope" is given more than once`},
		"a form without end": {method: "POST", target: "/oauth2/token", body: "grant_type=password&service=s&scope=" + strings.Repeat("x", 1<<20),
			headers: []string{"Content-Type: application/x-www-form-urlencoded"}, answer: reply(400, ""), want: "larger than 1048576 bytes"},
		"no error":         {method: "GET", target: "/acr/v1/a", answer: reply(404, `{"errors":[]}`, jsonType), want: `breaks "minItems" of its schema at errors`},
		"an unknown order": {method: "GET", target: "/acr/v1/a/_tags?orderby=size", answer: reply(200, tags, jsonType), want: "query parameter orderby"},
		"HTTP's own content range": {method: "PATCH", target: "/v2/a/blobs/uploads/u", body: "x", headers: []string{"Content-Type: application/octet-stream", "Content-Range: bytes 0-0/1"},
			answer: reply(404, ""), want: "header parameter Content-Range"},
		"a missing digest": {method: "PUT", target: "/v2/a/blobs/uploads/u?_state=x", answer: reply(404, ""), want: "query parameter digest: missing"},
		"a foreign type": {method: "PATCH", target: "/v2/a/blobs/uploads/u", body: "x", headers: []string{"Content-Type: text/plain"},
			answer: reply(404, ""), want: "request body: content type"},
		"a body on GET": {method: "GET", target: "/acr/v1/a", body: "x", answer: reply(404, ""), want: "request body: none is declared"},
		"a patch of strings": {method: "PATCH", target: "/acr/v1/a", body: `{"readEnabled":"no"}`, headers: []string{jsonType},
			answer: reply(404, ""), want: `request body: breaks "type" of its schema at readEnabled`},
		"an unknown field": {method: "POST", target: "/oauth2/token", body: "grant_type=password&service=s&scope=x&user=u",
			headers: []string{"Content-Type: application/x-www-form-urlencoded"}, answer: reply(400, ""), want: `form key "user" is not declared`},
		"an unknown grant": {method: "POST", target: "/oauth2/token", body: "grant_type=code&service=s&scope=x",
			headers: []string{"Content-Type: application/x-www-form-urlencoded"}, answer: reply(400, ""), want: `breaks "enum" of its schema at grant_type`},
		"a credential beside the form": {method: "POST", target: "/oauth2/token", body: "grant_type=password&service=s&scope=x",
			headers: []string{"Content-Type: application/x-www-form-urlencoded", "Authorization: Bearer secret"}, answer: reply(400, ""), want: "Authorization header"},
		"an empty form":         {method: "POST", target: "/oauth2/token", answer: reply(400, ""), want: "request body: missing"},
		"an empty chunk":        {method: "PATCH", target: "/v2/a/blobs/uploads/u", headers: []string{"Authorization: Bearer t"}, answer: reply(404, ""), want: "request body: missing"},
		"a probe":               {method: "PATCH", target: "/v2/a/blobs/uploads/u", answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s",scope="repository:a:push,pull"`)},
		"no password":           {method: "GET", target: "/oauth2/token?service=s&scope=x", answer: reply(401, ""), want: "no Basic credential"},
		"an undeclared status":  {method: "DELETE", target: "/acr/v1/a/_tags/v1", answer: reply(200, ""), want: "status is not declared"},
		"an undeclared header":  {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, tags, jsonType, "X-Debug: 1"), want: "header X-Debug is not declared"},
		"a missing header":      {method: "POST", target: "/v2/a/blobs/uploads/", answer: reply(202, "", "Range: 0-0"), want: "header Location is missing"},
		"a header off its form": {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, tags, jsonType, "Link: /acr/v1/a/_tags"), want: "header Link: breaks"},
		"a bare challenge":      {method: "GET", target: "/v2/", answer: reply(401, `{"errors":[{"code":"UNAUTHORIZED"}]}`, jsonType), want: "header Www-Authenticate is missing"},
		"another scope": {method: "GET", target: "/acr/v1/a/_tags", answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s",scope="repository:a:pull"`),
			want: `challenge is for "repository:a:pull"`},
		"more scope": {method: "DELETE", target: "/acr/v1/a", answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s",scope="repository:a:delete registry:catalog:*"`),
			want: "more than is declared"},
		"the scopes of a mount": {method: "POST", target: "/v2/a/blobs/uploads/?mount=" + someDigest + "&from=b",
			answer: reply(401, "", `WWW-Authenticate: Bearer realm="r",service="s",scope="repository:a:push,pull repository:b:pull",error="insufficient_scope"`)},
		"a redirect to nowhere": {method: "GET", target: "/v2/a/blobs/" + someDigest, answer: reply(307, "", "Docker-Content-Digest: "+someDigest), want: "header Location is missing"},
		"a list of strings":     {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, `{"registry":"r","imageName":"a","tags":["v1"]}`, jsonType), want: `breaks "type" of its schema at tags/0`},
		"a time off its form": {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, strings.Replace(tags, "2026-01-02T03:04:05Z", "yesterday", 1), jsonType),
			want: "of its schema at tags/0/lastUpdateTime"},
		"not JSON":                {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, `<html>`, jsonType), want: "not JSON"},
		"HTML":                    {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, `<html>`, "Content-Type: text/html"), want: `content type "text/html" is not declared`},
		"an empty success":        {method: "GET", target: "/acr/v1/a/_tags", answer: reply(200, "", jsonType), want: "body is missing"},
		"a body on 202":           {method: "DELETE", target: "/acr/v1/a/_tags/v1", answer: reply(202, "gone", "Content-Type: text/plain"), want: "body of 4 bytes is not declared"},
		"an error of no form":     {method: "GET", target: "/acr/v1/a", answer: reply(404, `{"error":{"code":"X"}}`, jsonType), want: `breaks "required" of its schema`},
		"an error without a body": {method: "GET", target: "/acr/v1/a", answer: reply(503, "", "Retry-After: 3")},
		"a plain 404":             {method: "GET", target: "/acr/v1/a", answer: reply(404, "404 page not found", "Content-Type: text/plain; charset=utf-8")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := &collector{}
			c := contract.New(notes, roundTrip(func(*http.Request) (*http.Response, error) { return tc.answer, nil }))
			var body io.Reader
			if tc.body != "" {
				body = strings.NewReader(tc.body)
			}
			req := request(t, tc.method, host+tc.target, body, tc.headers...)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			switch {
			case tc.want == "" && len(notes.errors) == 0:
			case tc.want == "" || len(notes.errors) != 1 || !strings.Contains(notes.errors[0], tc.want):
				t.Errorf("got %q, want one with %q", notes.errors, tc.want)
			case strings.Contains(notes.errors[0], "secret") || strings.Contains(notes.errors[0], "_state"):
				t.Errorf("%q tells a secret", notes.errors[0])
			}
		})
	}
}

func request(t *testing.T, method, target string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Add(name, value)
	}
	return req
}

// TestStreams sees that octet streams pass untouched both ways, and that a form reaches the server as it was.
func TestStreams(t *testing.T) {
	t.Parallel()
	notes := &collector{}
	up, down := &untouched{t: t}, &untouched{t: t}
	c := contract.New(notes, roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch {
			if req.Body != io.ReadCloser(up) {
				t.Error("the chunk was wrapped")
			}
			return reply(202, "", "Location: /v2/a/blobs/uploads/u?_state=2", "Range: 0-9"), nil
		}
		if req.Method == http.MethodPost {
			form, err := io.ReadAll(req.Body)
			if err != nil || string(form) != "grant_type=password&service=s&scope=x" {
				t.Errorf("form %q, %v", form, err)
			}
			return reply(200, `{"access_token":"t"}`, jsonType), nil
		}
		resp := reply(200, "", "Content-Type: application/octet-stream")
		resp.Body, resp.ContentLength = down, -1
		return resp, nil
	}))
	if _, err := c.RoundTrip(request(t, "PATCH", host+"/v2/a/blobs/uploads/u?_state=1&_nouploadcache=false", up, "Content-Type: application/octet-stream")); err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(request(t, "GET", host+"/v2/a/blobs/"+someDigest, nil))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != io.ReadCloser(down) {
		t.Error("the blob was wrapped")
	}
	form := io.NopCloser(strings.NewReader("grant_type=password&service=s&scope=x")) // a body that http.NewRequest cannot repeat
	if _, err := c.RoundTrip(request(t, "POST", host+"/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string(nil), notes.errors); diff != "" {
		t.Error(diff)
	}
	want := map[string]map[int]int{"UploadChunk": {202: 1}, "GetBlob": {200: 1}, "GetAccessToken": {200: 1}}
	if diff := cmp.Diff(want, c.Seen()); diff != "" {
		t.Error(diff)
	}
}

// untouched is a body that fails the test when it is read.
type untouched struct{ t *testing.T }

func (u *untouched) Read([]byte) (int, error) { u.t.Error("read ahead"); return 0, io.EOF }
func (u *untouched) Close() error             { return nil }

// TestHalfRead sees that a JSON body is judged when it is whole, and not before.
func TestHalfRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		read func(io.Reader) error
		want int
	}{
		"half":        {func(r io.Reader) error { _, err := io.CopyN(io.Discard, r, 3); return err }, 0},
		"whole":       {func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }, 1},
		"to the byte": {func(r io.Reader) error { _, err := io.ReadFull(r, make([]byte, 8)); return err }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := &collector{}
			c := contract.New(notes, roundTrip(func(*http.Request) (*http.Response, error) { return reply(200, `{"a":[]}`, jsonType), nil }))
			resp, err := c.RoundTrip(request(t, "GET", host+"/acr/v1/a/_tags", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if err := tc.read(resp.Body); err != nil {
				t.Fatal(err)
			}
			if len(notes.errors) != tc.want {
				t.Errorf("got %q, want %d", notes.errors, tc.want)
			}
		})
	}
}

// TestExemptions sees that what a test breaks on purpose is let through, and its requests are not.
func TestExemptions(t *testing.T) {
	t.Parallel()
	lie := roundTrip(func(*http.Request) (*http.Response, error) { return reply(299, "?", "X-Fault: 1"), nil })
	for name, tc := range map[string]struct {
		opts   []contract.Option
		exempt bool
		want   int
	}{
		"none":       {want: 1},
		"marked":     {opts: []contract.Option{contract.Allow(func(r *http.Response) bool { return r.Header.Get("X-Fault") != "" })}},
		"unmarked":   {opts: []contract.Option{contract.Allow(func(*http.Response) bool { return false })}, want: 1},
		"all":        {opts: []contract.Option{contract.AllowResponses()}},
		"a stranger": {opts: []contract.Option{contract.Skip(func(r *http.Request) bool { return r.URL.Host != "" })}},
		"a context":  {exempt: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes := &collector{}
			c := contract.New(notes, lie, tc.opts...)
			req := request(t, "GET", host+"/acr/v1/a/_tags", nil)
			if tc.exempt {
				req = req.WithContext(contract.Exempt(req.Context()))
			}
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if len(notes.errors) != tc.want {
				t.Errorf("got %q, want %d", notes.errors, tc.want)
			}
		})
	}
}

// TestConcurrent uses one checker from many goroutines; the race detector judges.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	c := contract.New(t, roundTrip(func(*http.Request) (*http.Response, error) { return reply(200, tags, jsonType), nil }))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "GET", host+"/acr/v1/a/b/_tags", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			var body bytes.Buffer
			if _, err := body.ReadFrom(resp.Body); err != nil || body.String() != tags {
				t.Errorf("%d bytes, %v", body.Len(), err)
			}
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]map[int]int{"ListTags": {200: 16}}, c.Seen()); diff != "" {
		t.Error(diff)
	}
	var line bytes.Buffer
	contract.Report(&line)
	if !strings.HasPrefix(line.String(), "contract: operations exercised ") || strings.Count(line.String(), "\n") != 1 {
		t.Errorf("report %q", line.String())
	}
}

// TestTransportError passes a failure on as it is.
func TestTransportError(t *testing.T) {
	t.Parallel()
	reset := errors.New("reset")
	c := contract.New(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, reset }))
	resp, err := c.RoundTrip(request(t, "GET", host+"/v2/", nil))
	if resp != nil || !errors.Is(err, reset) {
		t.Errorf("%v, %v", resp, err)
	}
}
