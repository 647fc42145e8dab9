package acrsuite

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
)

// Scripted is a registry that answers as a test tells it, without a network: for replies that no honest registry gives.
type Scripted struct {
	Answer func(*http.Request) *http.Response // nil: 404

	mu   sync.Mutex
	Sent []string // "GET /v2/..." of everything but token requests
}

// Do implements policy.Transporter.
func (s *Scripted) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return s.Complete(r, Answer(200, `{"access_token":"opaque"}`)), nil
	}
	s.mu.Lock()
	s.Sent = append(s.Sent, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	resp := Answer(404, "404 page not found\n", "Content-Type", "text/plain")
	if s.Answer != nil {
		resp = s.Answer(r)
	}
	if resp == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return s.Complete(r, resp), nil
}

// Complete makes a reply the answer to a request.
func (s *Scripted) Complete(r *http.Request, resp *http.Response) *http.Response {
	resp.Request = r
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

// Requests is what was sent, token requests left out.
func (s *Scripted) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.Sent...)
}

// Client is an anonymous client of the scripted registry; it waits hardly at all before it tries again.
func (s *Scripted) Client(t testing.TB, opts ...Option) *acr.Client {
	t.Helper()
	o := &acr.ClientOptions{}
	o.Transport = s
	o.Retry = policy.RetryOptions{RetryDelay: time.Microsecond}
	for _, opt := range opts {
		opt(o)
	}
	c, err := acr.NewClient("registry.azurecr.io", nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Answer makes a reply; headers come in pairs.
func Answer(status int, body string, headers ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i+1 < len(headers); i += 2 {
		resp.Header[http.CanonicalHeaderKey(headers[i])] = append([]string{}, headers[i+1])
	}
	return resp
}

// Refusal is an error reply.
func Refusal(status int, code, message string, headers ...string) *http.Response {
	return Answer(status, fmt.Sprintf(`{"errors":[{"code":%q,"message":%q,"detail":{"Name":"x"}}]}`+"\n", code, message), headers...)
}
