package acrtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Replay is a server that answers with the recorded responses of a transcript, in order, for all
// hosts in it.
type Replay struct {
	ca        *authority
	server    *http.Server
	listener  net.Listener
	endpoint  string
	done      chan struct{}
	exchanges []transcriptExchange

	mu       sync.Mutex
	next     int
	mistakes []string
	clients  []*http.Transport
}

// NewReplay starts a server for the transcript in a file, as written by a [Recorder], and closes it
// when the test ends. If the file cannot be read or is not a transcript, it fails the test.
//
// A request whose method or URL differs from the next request of the transcript fails the test; it
// is answered with status 404 and a message that names the expected request. Requests of the
// transcript that were never made also fail the test.
func NewReplay(t testing.TB, file string) *Replay {
	t.Helper()
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := StartReplay(archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		for _, mistake := range r.Mistakes() {
			t.Error(mistake)
		}
		for _, request := range r.Unasked() {
			t.Error("acrtest: the transcript has a request that was not made: " + request)
		}
	})
	return r
}

// StartReplay starts a server for a transcript. The caller must call [Replay.Close], and should
// check [Replay.Mistakes] and [Replay.Unasked].
//
// It fails if the transcript is empty or cannot be parsed, or if no port of the loopback interface
// is free.
func StartReplay(transcript []byte) (*Replay, error) {
	exchanges, err := decodeTranscript(transcript)
	if err != nil {
		return nil, err
	}
	if len(exchanges) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errTranscript)
	}
	r := &Replay{exchanges: exchanges, done: make(chan struct{})}
	var hosts []string
	for i, e := range exchanges {
		_, target := e.request.target()
		u, err := url.Parse(target)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("%w: request %d has no URL", errTranscript, i+1)
		}
		hosts = append(hosts, u.Hostname())
		if r.endpoint == "" {
			r.endpoint = "https://" + u.Host
		}
	}
	if r.ca, err = processAuthority(); err != nil {
		return nil, err
	}
	certificate, err := r.ca.issue(hosts...)
	if err != nil {
		return nil, err
	}
	if r.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("acrtest: listen: %w", err)
	}
	r.server = &http.Server{
		Handler:           r,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes that fail are the client's to report
		ReadHeaderTimeout: time.Minute,
	}
	go func() {
		defer close(r.done)
		_ = r.server.ServeTLS(r.listener, "", "") // returns when the server is closed
	}()
	return r, nil
}

// Endpoint returns the URL of the host that received the first request of the transcript.
func (r *Replay) Endpoint() string { return r.endpoint }

// HTTPClient returns a client that connects to the server under every host name of the transcript
// and trusts its certificate.
func (r *Replay) HTTPClient() *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, r.listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: r.ca.pool, MinVersion: tls.VersionTLS12},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, transport)
	return &http.Client{Transport: transport}
}

// ServeHTTP answers one request from the transcript.
func (r *Replay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	asked := req.Method + " " + secrets{}.scrub("https://"+req.Host+req.URL.RequestURI())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= len(r.exchanges) {
		r.refuse(w, fmt.Sprintf("acrtest: unexpected request after the end of the transcript: %s", asked))
		return
	}
	e := r.exchanges[r.next]
	method, target := e.request.target()
	if due := method + " " + target; due != asked {
		r.refuse(w, fmt.Sprintf("acrtest: request %d of the transcript is %s, but the client sent %s", r.next+1, due, asked))
		return
	}
	r.next++
	status := http.StatusBadGateway
	if fields := strings.Fields(e.response.first); len(fields) > 1 {
		if n, err := strconv.Atoi(fields[1]); err == nil {
			status = n
		}
	}
	h := w.Header()
	for k, values := range e.response.header {
		if k != "Content-Length" && k != "Transfer-Encoding" && k != "Connection" {
			h[k] = values
		}
	}
	if req.Method == http.MethodHead {
		h.Set("Content-Length", e.response.header.Get("Content-Length"))
	} else if status != http.StatusNoContent && status != http.StatusNotModified {
		// The redacted body may have another length than the recorded one.
		setLength(w, len(e.response.body))
	}
	w.WriteHeader(status)
	_, _ = w.Write(e.response.body) // the caller may be gone
}

// refuse is called with the lock held.
func (r *Replay) refuse(w http.ResponseWriter, mistake string) {
	r.mistakes = append(r.mistakes, mistake)
	plain(w, http.StatusNotFound, mistake+"\n")
}

// Mistakes describes the requests that differed from the transcript.
func (r *Replay) Mistakes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.mistakes...)
}

// Unasked lists the requests of the transcript that have not been made.
func (r *Replay) Unasked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.exchanges[r.next:] {
		method, target := e.request.target()
		out = append(out, method+" "+target)
	}
	return out
}

// Close stops the server. Calling it again does nothing.
func (r *Replay) Close() {
	_ = r.server.Close() // an error of closing a listener helps nobody here
	r.mu.Lock()
	for _, c := range r.clients {
		c.CloseIdleConnections()
	}
	r.mu.Unlock()
	<-r.done
}

// target splits the first line of a request.
func (m message) target() (method, target string) {
	method, target, _ = strings.Cut(m.first, " ")
	if i := strings.LastIndexByte(target, ' '); i >= 0 {
		target = target[:i]
	}
	return method, target
}
