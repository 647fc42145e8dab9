package acrtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"unicode/utf8"
)

// Recorder is an [http.RoundTripper] that records requests and responses as a transcript for
// [NewReplay]. Use it as the transport of a client, for a real registry or an emulated one.
//
// Credentials, link signatures and upload states are replaced by placeholders, so the transcript
// grants no access. It does contain names, digests and content: review it before you publish it.
//
// Recorder keeps every body in memory, up to 1 MiB each. A longer body is marked as cut, and the
// transcript cannot be replayed. A Recorder is safe for concurrent use.
type Recorder struct {
	base http.RoundTripper

	mu        sync.Mutex
	exchanges []*transcriptExchange
	secrets   secrets
}

// maxRecordedBody is the length up to which a body is kept.
const maxRecordedBody = 1 << 20

// NewRecorder returns a Recorder that sends requests through base, or through
// [http.DefaultTransport] if base is nil.
func NewRecorder(base http.RoundTripper) *Recorder {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Recorder{base: base, secrets: make(secrets)}
}

// RoundTrip sends the request unchanged and records it with its response.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	e := &transcriptExchange{request: message{
		first:  req.Method + " " + req.URL.String() + " HTTP/1.1",
		header: req.Header.Clone(),
	}}
	r.mu.Lock()
	r.exchanges = append(r.exchanges, e)
	r.mu.Unlock()
	own := req
	if req.Body != nil && req.Body != http.NoBody {
		own = req.Clone(req.Context())
		own.Body = &copied{ReadCloser: req.Body, keep: func(b []byte, cut bool) { r.keep(&e.request, b, cut) }}
	}
	resp, err := r.base.RoundTrip(own)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.response = message{first: "HTTP/1.1 502 no reply", header: http.Header{"X-Acrtest-Error": {fmt.Sprintf("%T", err)}}}
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.response.first = fmt.Sprintf("HTTP/1.1 %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	e.response.header = resp.Header.Clone()
	resp.Body = &copied{ReadCloser: resp.Body, keep: func(b []byte, cut bool) { r.keep(&e.response, b, cut) }}
	return resp, nil
}

// keep takes the body of a message as far as it has come.
func (r *Recorder) keep(m *message, body []byte, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.body = body
	if cut {
		m.header.Set(bodyHeader, bodyCut)
		m.body = nil
	}
}

// Transcript returns the transcript so far as a txtar archive. A response body that has not been
// read to its end is recorded as far as it was read.
func (r *Recorder) Transcript() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	// All secrets first: one may turn up in an exchange before that which shows it to be one.
	for _, e := range r.exchanges {
		r.secrets.learnRequest(e.request.header, e.request.body)
		r.secrets.learnResponse(e.response.body)
	}
	var out []transcriptExchange
	for _, e := range r.exchanges {
		if e.response.first == "" {
			continue // still under way
		}
		out = append(out, transcriptExchange{request: r.secrets.scrubMessage(e.request), response: r.secrets.scrubMessage(e.response)})
	}
	return encodeTranscript(out)
}

// WriteFile writes the transcript to a file with mode 0600.
func (r *Recorder) WriteFile(name string) error {
	if err := os.WriteFile(name, r.Transcript(), 0o600); err != nil {
		return fmt.Errorf("acrtest: write the transcript: %w", err)
	}
	return nil
}

// copied is a body that is kept as it is read.
type copied struct {
	io.ReadCloser

	keep func(body []byte, cut bool)
	buf  bytes.Buffer
	cut  bool
	done bool
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.buf.Len()+n > maxRecordedBody {
		c.cut = true
	} else {
		c.buf.Write(p[:n])
	}
	if err != nil {
		c.finish()
	}
	return n, err
}

func (c *copied) Close() error {
	c.finish()
	return c.ReadCloser.Close()
}

func (c *copied) finish() {
	if !c.done {
		c.done = true
		c.keep(c.buf.Bytes(), c.cut)
	}
}

func isBinary(body []byte) bool { return !utf8.Valid(body) || bytes.ContainsRune(body, 0) }
