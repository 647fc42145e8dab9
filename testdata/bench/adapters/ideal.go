package adapters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/content"
)

// ideal is no library: it is the smallest net/http client that does what a good
// one should, to show that the targets can be reached on this machine. It
//   - signs in without waiting for a challenge, one token per scope, asked for once;
//   - reads and hashes the next chunk while the current one is being sent;
//   - downloads ranges in parallel from the redirected URL and hashes in order;
//   - resumes at the offset where a transfer broke;
//   - fetches the next page of a list while decoding the current one;
//   - sends small blobs in one request, many at a time.
type ideal struct {
	adapter.Unsupported
	t    adapter.Target
	http *http.Client

	mu      sync.Mutex
	refresh *flight
	tokens  map[string]*flight // by scope

	twoSteps atomic.Bool // the registry does not take a blob in the first POST
}

const (
	idealPiece         = 128 << 10 // handed from one goroutine to the other
	idealStep          = 32 << 10  // written and hashed at once; longer writes can be much dearer (see single)
	idealStreamChunk   = 8 << 20   // kept in memory until the registry has it
	idealFileChunk     = 16 << 20  // streamed; doubles with every success, halves on a 413
	idealDownloadChunk = int64(4 << 20)
	idealFast          = 250e6 // bytes per second above which one connection will do
	idealStreams       = 8     // ranges in flight
	idealImageJobs     = 16    // blobs in flight
	idealRetries       = 5
	idealSmall         = 1 << 20 // blobs up to this go in one request
)

// flight is a value that is being, or has been, fetched once for all.
type flight struct {
	once sync.Once
	val  string
	err  error
}

func newIdeal(t adapter.Target) (adapter.Client, error) {
	// Not a clone of http.DefaultTransport: that would still offer HTTP/2, and one
	// HTTP/2 connection is one capped connection.
	tr := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           new(http.Protocols),
		MaxIdleConnsPerHost: 128,
		MaxConnsPerHost:     128,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		ReadBufferSize:      16 << 10,
		WriteBufferSize:     16 << 10,
	}
	tr.Protocols.SetHTTP1(true)
	return &ideal{t: t, http: &http.Client{Transport: tr}, tokens: map[string]*flight{}}, nil
}

// form posts a form and returns one field of the JSON answer.
func (c *ideal) form(ctx context.Context, path, field string, v url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.t.Endpoint+path, strings.NewReader(v.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", path, resp.Status)
	}
	m := map[string]string{}
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		return "", err
	}
	return m[field], nil
}

// token returns an access token for a scope.
func (c *ideal) token(ctx context.Context, scope string) (string, error) {
	c.mu.Lock()
	f := c.tokens[scope]
	if f == nil {
		f = &flight{}
		c.tokens[scope] = f
	}
	if c.refresh == nil {
		c.refresh = &flight{}
	}
	r := c.refresh
	c.mu.Unlock()
	f.once.Do(func() {
		r.once.Do(func() {
			r.val, r.err = c.form(ctx, "/oauth2/exchange", "refresh_token", url.Values{
				"grant_type": {"access_token"}, "service": {c.t.Host}, "access_token": {c.t.EntraToken}})
		})
		if f.err = r.err; f.err == nil {
			f.val, f.err = c.form(ctx, "/oauth2/token", "access_token", url.Values{
				"grant_type": {"refresh_token"}, "service": {c.t.Host}, "scope": {scope}, "refresh_token": {r.val}})
		}
	})
	return f.val, f.err
}

// call is one request. Its body can be sent again.
type call struct {
	method, path string // path, or an absolute URL
	scope        string // "" sends no token
	body         []byte
	stream       io.ReadCloser // instead of body, for once only
	length       int64         // of stream
	header       map[string]string
	want         []int
}

var (
	errStatus  = errors.New("unexpected status")
	errGone    = errors.New("the registry has ended the upload")
	errTooLong = errors.New("the registry does not take a body this long")
)

// once sends the request once.
func (c *ideal) once(ctx context.Context, k call) (*http.Response, error) {
	u := k.path
	if strings.HasPrefix(u, "/") {
		u = c.t.Endpoint + u
	}
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	} else if k.stream != nil {
		body = k.stream
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, body)
	if err != nil {
		return nil, err
	}
	if k.stream != nil {
		req.ContentLength = k.length
	}
	for h, v := range k.header {
		req.Header.Set(h, v)
	}
	if k.scope != "" {
		tok, err := c.token(ctx, k.scope)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+tok)
	}
	return c.http.Do(req)
}

// do sends the request, again if it failed in a way that may pass.
func (c *ideal) do(ctx context.Context, k call) (*http.Response, error) {
	for try := 0; ; try++ {
		resp, err := c.once(ctx, k)
		wait := 50 * time.Millisecond << try
		if err == nil {
			if slices.Contains(k.want, resp.StatusCode) {
				return resp, nil
			}
			err = fmt.Errorf("%s %s: %w %s", k.method, k.path, errStatus, resp.Status)
			if s, e := strconv.Atoi(resp.Header.Get("Retry-After")); e == nil {
				wait = time.Duration(s) * time.Second
			}
			io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
			resp.Body.Close()
			if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
				return nil, err
			}
		}
		if try == idealRetries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func drain(resp *http.Response) {
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func pullScope(repo string) string { return "repository:" + repo + ":pull" }
func pushScope(repo string) string { return "repository:" + repo + ":pull,push" }
func metaScope(repo string) string { return "repository:" + repo + ":metadata_read" }

func (c *ideal) HeadManifest(ctx context.Context, repo, tag string) (string, error) {
	resp, err := c.do(ctx, call{method: "HEAD", path: "/v2/" + repo + "/manifests/" + tag, scope: pullScope(repo),
		header: map[string]string{"Accept": content.ManifestType}, want: []int{200}})
	if err != nil {
		return "", err
	}
	drain(resp)
	return resp.Header.Get("Docker-Content-Digest"), nil
}

func (c *ideal) ManifestProperties(ctx context.Context, repo, digest string) error {
	resp, err := c.do(ctx, call{method: "GET", path: "/acr/v1/" + repo + "/_manifests/" + digest, scope: metaScope(repo), want: []int{200}})
	if err != nil {
		return err
	}
	var p map[string]any
	err = json.NewDecoder(resp.Body).Decode(&p)
	drain(resp)
	return err
}
