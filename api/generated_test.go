package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/api"
	"github.com/acrkit/acrkit/gen"
)

// sent records what the generated client would send.
type sent struct{ Line, Header, Body string }

func (s *sent) Do(req *http.Request) (*http.Response, error) {
	s.Line = req.Method + " " + req.URL.RequestURI()
	for _, name := range []string{"Accept", "Content-Range", "Range", "If-None-Match"} {
		for _, value := range req.Header.Values(name) {
			s.Header += name + ": " + value + "\n"
		}
	}
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		s.Body = string(data)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

// TestGeneratedRequests holds the generated client to what the overlay promises: nothing goes out
// that was not set.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	order, size, last := gen.OrderTimeDescending, gen.PageSize(2), "a/b:c d"
	raw := func(_ context.Context, req *http.Request) error { req.URL.RawPath = ""; return nil }
	for name, tc := range map[string]struct {
		call func(context.Context, *gen.Client) (*http.Response, error)
		want sent
	}{
		"a list, nothing set": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.ListTags(ctx, "a/b", &gen.ListTagsParams{})
		}, sent{Line: "GET /acr/v1/a%2Fb/_tags"}},
		"a list, slash raw": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.ListTags(ctx, "a/b", nil, raw)
		}, sent{Line: "GET /acr/v1/a/b/_tags"}},
		"a list, all set": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.ListTags(ctx, "a", &gen.ListTagsParams{Last: &last, N: &size, Orderby: &order, Digest: &d})
		}, sent{Line: "GET /acr/v1/a/_tags?last=a%2Fb%3Ac+d&n=2&orderby=timedesc&digest=sha256%3A" + d.Encoded()}},
		"a patch of false": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.UpdateTagAttributes(ctx, "a", "v1", nil, gen.AttributesPatch{DeleteEnabled: new(false)})
		}, sent{Line: "PATCH /acr/v1/a/_tags/v1", Body: `{"deleteEnabled":false}`}},
		"an anonymous token": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.GetAccessTokenWithFormdataBody(ctx, nil, gen.AccessTokenForm{GrantType: gen.AccessTokenGrantPassword, Service: "s", Scope: "repository:a:pull"})
		}, sent{Line: "POST /oauth2/token", Body: "grant_type=password&scope=repository%3Aa%3Apull&service=s"}},
		"a manifest": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.PutManifestWithBody(ctx, "a", "v1", "application/json", strings.NewReader(`{ "as":"it is" }`))
		}, sent{Line: "PUT /v2/a/manifests/v1", Body: `{ "as":"it is" }`}},
		"what is understood": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.HeadManifest(ctx, "a", "v1", &gen.HeadManifestParams{Accept: "x/y"})
		}, sent{Line: "HEAD /v2/a/manifests/v1", Header: "Accept: x/y\n"}},
		"a session": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.StartUploadWithBody(ctx, "a", &gen.StartUploadParams{}, "application/octet-stream", nil)
		}, sent{Line: "POST /v2/a/blobs/uploads/"}},
		"a chunk": {func(ctx context.Context, c *gen.Client) (*http.Response, error) {
			return c.UploadChunkWithBody(ctx, "a", "u", &gen.UploadChunkParams{ContentRange: new("0-1")}, "application/octet-stream", strings.NewReader("xy"))
		}, sent{Line: "PATCH /v2/a/blobs/uploads/u", Header: "Content-Range: 0-1\n", Body: "xy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got sent
			client, err := gen.NewClient("https://example.azurecr.io", gen.WithHTTPClient(&got))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tc.call(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOperationsAreGenerated looks for the method of each operation of the document in the
// generated client.
func TestOperationsAreGenerated(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	client := reflect.TypeFor[*gen.Client]()
	for template, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			_, plain := client.MethodByName(op.OperationID)
			_, withBody := client.MethodByName(op.OperationID + "WithBody")
			if !plain && !withBody {
				t.Errorf("%s (%s %s) is in api/openapi.yaml and not in gen: run `make generate`", op.OperationID, method, template)
			}
		}
	}
}

// TestGeneratedModels reads what the wire has: null lists, any detail, times with any number of
// digits.
func TestGeneratedModels(t *testing.T) {
	t.Parallel()
	var list gen.TagList
	if err := json.Unmarshal([]byte(`{"registry":"r","imageName":"a","tags":null}`), &list); err != nil || list.Tags != nil {
		t.Errorf("%v, %v", list, err)
	}
	var tag gen.TagProperties
	if err := json.Unmarshal([]byte(`{"createdTime":"2026-01-02T03:04:05.7370995Z","lastUpdateTime":"2026-01-02T03:04:05Z","new":1}`), &tag); err != nil ||
		tag.CreatedTime.Nanosecond() != 737099500 {
		t.Errorf("%v, %v", tag, err)
	}
	for _, detail := range []string{`"text"`, `{"Tag":"v1"}`, `[{"Type":"repository"}]`} {
		var body gen.ErrorBody
		if err := json.Unmarshal([]byte(`{"errors":[{"code":"X","message":"m","detail":`+detail+`}]}`), &body); err != nil || string(body.Errors[0].Detail) != detail {
			t.Errorf("%v, %v", body, err)
		}
	}
}

// TestGeneratedHeaders reads typed response headers.
func TestGeneratedHeaders(t *testing.T) {
	t.Parallel()
	challenge := `Bearer realm="r",service="s",scope="repository:a:pull,push"`
	header := http.Header{"Www-Authenticate": {challenge}, "Retry-After": {"17"}, "X-Ms-Ratelimit-Remaining-Calls-Per-Second": {"166.65"}}
	failure, err := gen.ParseErrorHeaders(header)
	want := gen.ErrorHeaders{WWWAuthenticate: challenge, RetryAfter: "17", XMsRatelimitRemainingCallsPerSecond: 166.65}
	if diff := cmp.Diff(want, failure); diff != "" || err != nil {
		t.Error(diff, err)
	}
	location := "/v2/a%2Fb/blobs/uploads/u?_nouploadcache=false&_state=q%2Fw%2B%3D"
	started, err := gen.ParseStartUpload202Headers(http.Header{"Location": {location}, "Range": {"0-0"}, "Docker-Upload-Uuid": {"u"}})
	if diff := cmp.Diff(gen.StartUpload202Headers{Location: location, Range: "0-0", DockerUploadUUID: "u"}, started); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := gen.ParseHeadBlob200Headers(http.Header{"Content-Length": {"many"}}); err == nil {
		t.Error("a length that is no number was taken")
	}
}
