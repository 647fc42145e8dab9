package store

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		write(dir) // until it is killed
		return
	}
	goleak.VerifyTestMain(m)
}

const mediaType = "application/vnd.oci.image.manifest.v1+json"

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	st, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// push pushes an image of one blob and gives its digest. The number makes it one of its own.
func push(t testing.TB, st *Store, name string, number int, tags ...string) digest.Digest {
	t.Helper()
	b := must[Blob](t)(st.PutBlob(name, strings.NewReader("layer"), ""))
	m := must[Manifest](t)(st.PutManifest(name, Push{MediaType: mediaType, Content: image(b.Digest, number), Tags: tags}))
	return m.Digest
}

func image(blob digest.Digest, number int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":5},`+
		`"layers":[{"mediaType":"application/x","digest":%[2]q,"size":5}],"annotations":{"n":"%[3]d"}}`, mediaType, blob, number)
}

// referring is an image with a subject.
func referring(blob, subject digest.Digest, artifactType string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":5},`+
		`"layers":[],"subject":{"mediaType":%[1]q,"digest":%[4]q,"size":1}}`, mediaType, artifactType, blob, subject)
}

// dump is everything in a state, in an order of its own.
func dump(t testing.TB, s *state) string {
	t.Helper()
	var lines []string
	for rec := range s.records() {
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
