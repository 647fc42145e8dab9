package acr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestErrors: what the registry's no looks like, for programs and for people.
func TestErrors(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, c *acr.Client) error {
		_, err := c.Repository("library/hello").Properties(ctx)
		return err
	}
	head := func(ctx context.Context, c *acr.Client) error {
		_, err := c.Repository("library/hello").HeadManifest(ctx, "v1")
		return err
	}
	remove := func(ctx context.Context, c *acr.Client) error {
		return c.Repository("library/hello").DeleteManifest(ctx, acrsuite.GoodDigest)
	}
	const id = "4b1d7fd2-5d4b-4c1f-9a53-4f2f3b2a1c00"
	for _, test := range []struct {
		name    string
		call    func(context.Context, *acr.Client) error
		answer  func() *http.Response
		want    acr.Error // the exported fields that are set
		is      []error
		isNot   []error
		text    []string
		textNot []string
	}{
		{
			name: "unknown repository", call: get,
			answer: func() *http.Response {
				return acrsuite.Refusal(404, "NAME_UNKNOWN", `repository "library/hello" is not found`, "X-Ms-Correlation-Request-Id", id)
			},
			want: acr.Error{Operation: "GetRepositoryProperties", Method: "GET", URL: "https://registry.azurecr.io/acr/v1/library/hello", StatusCode: 404, Code: acr.ErrNameUnknown, CorrelationID: id},
			is:   []error{acr.ErrNameUnknown, acr.ErrNotFound}, isNot: []error{acr.ErrTagUnknown, acr.ErrLocked, acr.ErrThrottled},
			text: []string{"acr: GetRepositoryProperties: GET https://registry.azurecr.io/acr/v1/library/hello: 404 NAME_UNKNOWN: repository", "(correlation id " + id + ")"},
		},
		{
			name: "a code of tomorrow", call: get, answer: func() *http.Response { return acrsuite.Refusal(409, "MOON_FULL", "wait") },
			want: acr.Error{Operation: "GetRepositoryProperties", StatusCode: 409, Code: "MOON_FULL", Message: "wait"}, is: []error{acr.ErrorCode("MOON_FULL")}, isNot: []error{acr.ErrNotFound, acr.ErrorCode("")},
		},
		{
			name: "several entries", call: get,
			answer: func() *http.Response {
				return acrsuite.Answer(400, `{"errors":[{"code":"A","message":"one"},{"code":"B","message":"two","detail":[1]}]}`)
			},
			want: acr.Error{StatusCode: 400, Code: "A", Message: "one"}, is: []error{acr.ErrorCode("A"), acr.ErrorCode("B")},
		},
		{
			name: "an entry without a code", call: get, answer: func() *http.Response { return acrsuite.Answer(400, `{"errors":[{"message":"one"}]}`) },
			want: acr.Error{StatusCode: 400, Message: "one"}, isNot: []error{acr.ErrorCode("")},
		},
		{
			name: "HEAD has no body", call: head, answer: func() *http.Response { return acrsuite.Answer(404, "") },
			want: acr.Error{Operation: "HeadManifest", Method: "HEAD", StatusCode: 404}, is: []error{acr.ErrManifestUnknown, acr.ErrNotFound}, isNot: []error{acr.ErrTagUnknown},
			text: []string{"404 Not Found"},
		},
		{
			name: "locked", call: remove,
			answer: func() *http.Response {
				return acrsuite.Refusal(405, "REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this registry, repository or image. View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation")
			},
			want: acr.Error{Operation: "DeleteManifest", StatusCode: 405, Code: acr.ErrorCode("REGISTRY_DISALLOWED_OPERATION")}, is: []error{acr.ErrLocked, acr.ErrorCode("REGISTRY_DISALLOWED_OPERATION")}, text: []string{"to unlock it"},
		},
		{
			name: "unsupported is not locked", call: remove, answer: func() *http.Response {
				return acrsuite.Refusal(405, "UNSUPPORTED", "A manifest can only be deleted by digest.")
			},
			want: acr.Error{StatusCode: 405, Code: acr.ErrUnsupported}, isNot: []error{acr.ErrLocked}, text: []string{"does not allow deletes"}, textNot: []string{"Artifact.Digest"},
		},
		{
			name: "A35 a wait beyond the limit", call: get, answer: func() *http.Response { return acrsuite.Answer(429, "", "Retry-After", "86400") },
			want: acr.Error{StatusCode: 429, RetryAfter: 24 * time.Hour}, is: []error{acr.ErrThrottled}, text: []string{"429 Too Many Requests", "retry after 24h0m0s", "request limit"},
		},
		{
			name: "plain text of the router", call: get, answer: func() *http.Response {
				return acrsuite.Answer(404, "404 page not found\n", "Content-Type", "text/plain")
			},
			want: acr.Error{StatusCode: 404, Message: "404 page not found"}, text: []string{"may not be an Azure Container Registry"},
		},
		{
			name: "a proxy's page", call: get, answer: func() *http.Response {
				return acrsuite.Answer(403, "<html><body>Forbidden by the proxy</body></html>", "Content-Type", "text/html")
			},
			want: acr.Error{StatusCode: 403}, textNot: []string{"<html"},
		},
		{
			name: "A57 control characters", call: get,
			answer: func() *http.Response {
				return acrsuite.Answer(400, `{"errors":[{"code":"X\u001b[31m","message":"a\nb\u202ec\u0000`+strings.Repeat("x", 1<<15)+`"}]}`, "X-Ms-Correlation-Request-Id", id)
			},
			want: acr.Error{StatusCode: 400}, text: []string{"[...] (correlation id " + id + ")"},
		},
		{
			name: "A28 an endless body", call: get, answer: func() *http.Response {
				r := acrsuite.Answer(400, "")
				r.Body, r.ContentLength = io.NopCloser(endless{}), -1
				return r
			},
			want: acr.Error{StatusCode: 400},
		},
		{
			name: "A55 a signature in the text", call: get, answer: func() *http.Response {
				return acrsuite.Refusal(403, "DENIED", "see https://x.blob.core.windows.net/c/b?sv=1&sig=hunter2 and sig=hunter2")
			},
			want: acr.Error{StatusCode: 403, Code: acr.ErrDenied}, textNot: []string{"hunter2"},
		},
		{
			name: "an unexpected success", call: get, answer: func() *http.Response { return acrsuite.Answer(204, "") }, want: acr.Error{StatusCode: 204}, text: []string{"204 No Content"},
		},
		{
			name: "broken JSON", call: get, answer: func() *http.Response { return acrsuite.Answer(400, `{"errors":[{`) }, want: acr.Error{StatusCode: 400},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return test.answer() }}
			err := test.call(t.Context(), s.Client(t))
			got, ok := errors.AsType[*acr.Error](err)
			if !ok {
				t.Fatalf("no *acr.Error: %v", err)
			}
			acrsuite.OneLine(t, err)
			t.Log(err)
			checkFields(t, got, test.want)
			for _, target := range test.is {
				if !errors.Is(err, target) {
					t.Errorf("is not %q", target)
				}
			}
			for _, target := range test.isNot {
				if errors.Is(err, target) {
					t.Errorf("is %q", target)
				}
			}
			for _, text := range test.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in the text", text)
				}
			}
			for _, text := range append(test.textNot, "opaque") {
				if strings.Contains(fmt.Sprintf("%v %+v", err, err), text) {
					t.Errorf("%q is in the text", text)
				}
			}
			behind, ok := errors.AsType[*azcore.ResponseError](err)
			if !ok || behind.StatusCode != got.StatusCode || behind.ErrorCode != string(got.Code) || behind.RawResponse == nil {
				t.Fatalf("no *azcore.ResponseError of the same: %v", behind)
			}
			if a := behind.RawResponse.Request.Header.Get("Authorization"); a != "" {
				t.Errorf("the token is kept: %q", a)
			}
		})
	}
}

func checkFields(t *testing.T, got *acr.Error, want acr.Error) {
	t.Helper()
	if got.StatusCode != want.StatusCode || got.RetryAfter != want.RetryAfter {
		t.Errorf("status %d, retry after %s", got.StatusCode, got.RetryAfter)
	}
	for _, f := range [][2]string{
		{got.Operation, want.Operation}, {got.Method, want.Method}, {got.URL, want.URL}, {string(got.Code), string(want.Code)}, {got.Message, want.Message}, {got.CorrelationID, want.CorrelationID},
	} {
		if f[1] != "" && f[0] != f[1] {
			t.Errorf("%q instead of %q", f[0], f[1])
		}
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestErrorWithoutAnswer: a call that ended without an answer says which, keeps the cause, and shows no query.
func TestErrorWithoutAnswer(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return nil }}
	_, err := acr.Collect(s.Client(t).Repository("library/hello").Tags(t.Context(), &acr.ListTagsOptions{After: "hunter2"}))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "acr: ListTags: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	acrsuite.OneLine(t, err)

	why := errors.New("the user\nleft")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := s.Client(t).Ping(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("%v", err)
	} else {
		acrsuite.OneLine(t, err)
	}
	srv := acrsuite.NewServer(t)
	r := acrsuite.NewClient(t, srv).Repository("library/hello")
	srv.SeedTags(t, r.Name(), 20)
	for at := range 20 { // between the pages
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		for _, err := range r.Tags(ctx, &acr.ListTagsOptions{PageSize: 10}) {
			if n++; n == at+1 {
				cancel(why)
			}
			if err != nil && (!errors.Is(err, context.Canceled) || !errors.Is(err, why) || n != 11) {
				t.Errorf("after %d: %v", n, err)
			}
		}
		cancel(nil)
	}
}

// TestErrorRepeatsNoSecret: A56, a registry that repeats the password in its answer gives nothing away.
func TestErrorRepeatsNoSecret(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery staple"
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Refusal(400, "X", "you are "+password) }}
	o := &acr.ClientOptions{}
	o.Transport = s
	c, err := acr.NewClientWithPassword("registry.azurecr.io", "me", password, o)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Ping(t.Context())
	e, ok := errors.AsType[*acr.Error](err)
	if !ok || e.Code != "X" {
		t.Fatal(err)
	}
	behind, _ := errors.AsType[*azcore.ResponseError](err)
	if text := fmt.Sprint(e, e.Message, e.Details, behind); strings.Contains(text, password) {
		t.Error(text)
	}
}

// TestRefusedSignIn: a refused token request looks like every other no.
func TestRefusedSignIn(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c, err := acr.NewClientWithPassword(srv.Endpoint(), "nobody", "nothing", acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Ping(t.Context())
	acrsuite.OneLine(t, err)
	e, ok := errors.AsType[*acr.Error](err)
	if !ok || !errors.Is(err, acr.ErrWrongPassword) {
		t.Fatal(err)
	}
	if e.Message == "" || e.Method != "GET" || e.URL != srv.Endpoint()+"/oauth2/token" || e.StatusCode != 401 || e.Code != acr.ErrUnauthorized || e.CorrelationID == "" {
		t.Errorf("%+v", e)
	}
}

// noTokens is a registry that gives its first tokens, and from then on answers 404 where they are asked for.
type noTokens struct {
	*acrsuite.Scripted
	left atomic.Int32
}

// Do implements policy.Transporter.
func (n *noTokens) Do(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/oauth2/") && n.left.Add(-1) < 0 {
		return n.Complete(r, acrsuite.Refusal(404, "NOPE", "no")), nil
	}
	return n.Scripted.Do(r)
}

// TestRefusedSignInIsNotNotFound: where a token request is answered by a 404 nobody has looked, so that nothing is taken for absent: no list of
// referrers for empty, no tag for free, nothing for deleted.
func TestRefusedSignInIsNotNotFound(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *acr.Repository) error{
		"referrers": func(ctx context.Context, r *acr.Repository) error {
			_, err := acr.Collect(r.Referrers(ctx, acrsuite.GoodDigest, nil))
			return err
		},
		"wait": func(ctx context.Context, r *acr.Repository) error {
			_, err := r.WaitForTag(ctx, "v1", "", nil)
			return err
		},
		"free": func(ctx context.Context, r *acr.Repository) error {
			_, err := r.PutManifest(ctx, "v1", []byte(acrsuite.ImageManifest), &acr.PutManifestOptions{IfAbsent: true})
			return err
		},
		"deleted": func(ctx context.Context, r *acr.Repository) error { return r.DeleteManifest(ctx, acrsuite.GoodDigest) },
	} {
		for tokens := range int32(2) {
			s := &noTokens{Scripted: &acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
				return acrsuite.Answer(401, "", "Www-Authenticate", `Bearer realm="https://registry.azurecr.io/oauth2/token",service="registry.azurecr.io",error="invalid_token"`)
			}}}
			s.left.Store(tokens)
			c := s.Client(t, func(o *acr.ClientOptions) { o.Transport = s })
			err := call(t.Context(), c.Repository("a"))
			e, ok := errors.AsType[*acr.Error](err)
			if !ok || errors.Is(err, acr.ErrNotFound) || e.Operation != "GetAccessToken" || e.StatusCode != 404 || len(s.Requests()) != int(tokens) {
				t.Errorf("%s: %v after %q", name, err, s.Requests())
			}
		}
	}
}

// TestErrorOfAnotherCall: a call that ends because another one failed leaves that one's error as it is, which others may be reading.
func TestErrorOfAnotherCall(t *testing.T) {
	t.Parallel()
	srv := acrtest.New(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	opts := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	first, err := acr.NewClient(srv.Endpoint(), srv.Credential(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, other := first.Repository("library/hello").HeadManifest(ctx, "missing")
	if !errors.Is(other, acr.ErrNotFound) {
		t.Fatal(other)
	}
	said := other.Error()

	opts.PerCallPolicies = []policy.Policy{acrsuite.PolicyFunc(func(*policy.Request) (*http.Response, error) {
		cancel(other)
		return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody}, ctx.Err()
	})}
	second, err := acr.NewClient(srv.Endpoint(), srv.Credential(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Ping(ctx); !errors.Is(err, other) || !errors.Is(err, context.Canceled) {
		t.Errorf("it does not name its cause: %v", err)
	}
	if _, err := second.Doctor(ctx, nil); err == nil {
		t.Error("the doctor found nothing")
	}
	if other.Error() != said || errors.Is(other, acr.ErrNoRole) {
		t.Errorf("%q became %q", said, other.Error())
	}
}
