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

// Replay is a server that answers with the replies of a transcript, in order, whatever hosts they came from.
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

// NewReplay starts a server for the transcript in a file, as written by a [Recorder], and closes it at the end of the test. A
// request that is not the next one of the transcript, by method and URL, fails the test and gets a 404 that says which one was
// due; so does what was not asked when the test ends.
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
			t.Error("acrtest: not asked: " + request)
		}
	})
	return r
}

// StartReplay starts a server for a transcript. The caller closes it and looks at [Replay.Mistakes] and [Replay.Unasked].
//
// Errors: a transcript that cannot be read, or is empty; a port that cannot be listened on.
func StartReplay(transcript []byte) (*Replay, error) {
	exchanges, err := decodeTranscript(transcript)
	if err != nil {
		return nil, err
	}
	if len(exchanges) == 0 {
		return nil, fmt.Errorf("%w: there is nothing in it", errTranscript)
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
		return nil, fmt.Errorf("acrtest: listening: %w", err)
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

// Endpoint is the URL of the host that the first request of the transcript went to.
func (r *Replay) Endpoint() string { return r.endpoint }

// HTTPClient gives a client that finds the server under every host name of the transcript, and trusts it.
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
		r.refuse(w, fmt.Sprintf("acrtest: the transcript is at its end, but there came %s", asked))
		return
	}
	e := r.exchanges[r.next]
	method, target := e.request.target()
	if due := method + " " + target; due != asked {
		r.refuse(w, fmt.Sprintf("acrtest: request %d of the transcript is %s, but there came %s", r.next+1, due, asked))
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

// Mistakes says which requests were not what the transcript had next.
func (r *Replay) Mistakes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.mistakes...)
}

// Unasked lists the requests of the transcript that have not come.
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

// Close stops the server. It may be called again.
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
