package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// meter counts what crosses the wire. It stands below everything else, so redirects, retries, tokens and the storage origin are
// counted too, of the emulator as of a real registry.
type meter struct {
	next  http.RoundTripper
	login string // host of the registry

	mu    sync.Mutex
	steps []*step
}

// step is what one part of the tour cost.
type step struct {
	name                      string
	registry, tokens, storage atomic.Int64 // requests
	sent, received            atomic.Int64 // bytes of bodies
	began                     time.Time
	took                      time.Duration
}

// begin starts a step; what is sent from now on is on its account.
func (m *meter) begin(name string) {
	m.end()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, &step{name: name, began: time.Now()})
}

// end stops the clock of the step that runs.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.current(); s != nil && s.took == 0 {
		s.took = time.Since(s.began)
	}
}

func (m *meter) current() *step {
	if len(m.steps) == 0 {
		return nil
	}
	return m.steps[len(m.steps)-1]
}

// RoundTrip implements http.RoundTripper.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	s := m.current()
	m.mu.Unlock()
	if s == nil {
		return m.next.RoundTrip(req)
	}
	switch {
	case req.URL.Host != m.login:
		s.storage.Add(1)
	case strings.HasPrefix(req.URL.Path, "/oauth2/"):
		s.tokens.Add(1)
	default:
		s.registry.Add(1)
	}
	if req.Body != nil && req.Body != http.NoBody {
		counted := req.Clone(req.Context()) // a RoundTripper may not change the request it was given
		counted.Body = &countedBody{req.Body, &s.sent}
		req = counted
	}
	resp, err := m.next.RoundTrip(req)
	if err == nil {
		resp.Body = &countedBody{resp.Body, &s.received}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// table writes what every step cost, and the sum.
func (m *meter) table(w io.Writer) error {
	m.end()
	m.mu.Lock()
	defer m.mu.Unlock()
	total := &step{name: "total"}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(cells ...any) { _, _ = fmt.Fprintf(tw, "%v\t%v\t%v\t%v\t%v\t%v\t%v\t\n", cells...) }
	row("step", "registry", "tokens", "storage", "sent", "received", "time")
	for _, s := range m.steps {
		row(s.cells()...)
		total.registry.Add(s.registry.Load())
		total.tokens.Add(s.tokens.Load())
		total.storage.Add(s.storage.Load())
		total.sent.Add(s.sent.Load())
		total.received.Add(s.received.Load())
		total.took += s.took
	}
	row(total.cells()...)
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n   Requests to the registry, for tokens and to the storage that blobs come from; bytes of their bodies.")
	return err
}

func (s *step) cells() []any {
	return []any{s.name, s.registry.Load(), s.tokens.Load(), s.storage.Load(), size(s.sent.Load()), size(s.received.Load()), span(s.took)}
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// span is a time for people.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// count is a number of things for people.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// rate is bytes per second for people.
func rate(n int64, d time.Duration) string {
	return size(int64(float64(n)/cmp.Or(d.Seconds(), 1e-9))) + "/s"
}
