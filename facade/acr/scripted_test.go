package acr_test

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

// scripted is a registry that answers as a test tells it, without a network: for replies that no honest registry gives.
type scripted struct {
	answer func(*http.Request) *http.Response // nil: 404

	mu   sync.Mutex
	sent []string // "GET /v2/..." of everything but token requests
}

// Do implements policy.Transporter.
func (s *scripted) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return s.complete(r, answer(200, `{"access_token":"opaque"}`)), nil
	}
	s.mu.Lock()
	s.sent = append(s.sent, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	resp := answer(404, "404 page not found\n", "Content-Type", "text/plain")
	if s.answer != nil {
		resp = s.answer(r)
	}
	if resp == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return s.complete(r, resp), nil
}

func (s *scripted) complete(r *http.Request, resp *http.Response) *http.Response {
	resp.Request = r
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

// requests is what was sent, token requests left out.
func (s *scripted) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.sent...)
}

// client is an anonymous client of the scripted registry; it waits hardly at all before it tries again.
func (s *scripted) client(t testing.TB, opts ...option) *acr.Client {
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

// answer makes a reply; headers come in pairs.
func answer(status int, body string, headers ...string) *http.Response {
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

// refusal is an error reply.
func refusal(status int, code, message string, headers ...string) *http.Response {
	return answer(status, fmt.Sprintf(`{"errors":[{"code":%q,"message":%q,"detail":{"Name":"x"}}]}`+"\n", code, message), headers...)
}
