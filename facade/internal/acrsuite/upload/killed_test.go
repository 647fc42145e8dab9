package upload_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestUploadKilled: a process that uploads is killed, twice, with SIGKILL; another one goes on from the checkpoint it left, and sends
// nothing again that the registry had acknowledged.
func TestUploadKilled(t *testing.T) {
	t.Parallel()
	const chunk, chunks = 1 << 20, 12
	b := acrsuite.Content(chunks*chunk + 4321)
	for _, asStream := range []bool{false, true} {
		for _, kept := range acrsuite.Thinned(t, []int64{-1, 0, 300_000}, 1, 3) { // bytes of the broken chunk that arrived; -1: it is not even looked at
			t.Run(fmt.Sprintf("stream %v, %d kept", asStream, kept), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				source := filepath.Join(dir, "source")
				if err := os.WriteFile(source, b, 0o600); err != nil {
					t.Fatal(err)
				}
				srv := acrsuite.NewServer(t)
				o := order(srv, source)
				o.Chunk, o.Stream, o.Checkpoint = chunk, asStream, filepath.Join(dir, "checkpoint")
				from := int64(0)
				for _, dies := range []int{4, 5} { // in this chunk of its own
					srv.ClearFaults()
					begun := make(chan struct{})
					var seen atomic.Int64
					fault := srv.On("UploadChunk").Nth(dies).When(func(*http.Request) bool {
						if seen.Add(1) == int64(dies) {
							close(begun)
						}
						return true
					})
					if kept < 0 {
						fault.Stall()
					} else {
						fault.StallRequestAfter(kept)
					}
					from = killUpload(t, o, from+int64(dies-1)*chunk, begun)
				}
				srv.ClearFaults()
				r := o.start(t).finish()
				if r.Digest != digest.FromBytes(b) || r.Size != int64(len(b)) {
					t.Errorf("%s, %d bytes", r.Digest, r.Size)
				}
				if !srv.HasBlob(o.Repository, digest.FromBytes(b)) {
					t.Error("the registry does not have the blob")
				}
				if n := srv.Uploads(o.Repository); n > 0 {
					t.Errorf("%d sessions are left", n)
				}
				if n := srv.Ledger().Count("StartUpload"); n != 1 {
					t.Errorf("begun %d times", n)
				}
				sent := int64(0) // only now: the requests of a killed process end when the registry notices
				for _, q := range srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
					sent += q.BytesIn
				}
				if sent != int64(len(b)) {
					t.Errorf("%d bytes were sent by three processes, the blob has %d", sent, len(b))
				}
			})
		}
	}
}

// killUpload runs the order until the checkpoint is as far as it says and begun is closed, and kills the process. It returns the checkpoint's
// offset.
func killUpload(t *testing.T, o childOrder, far int64, begun <-chan struct{}) int64 {
	t.Helper()
	c := o.start(t)
	for {
		if !c.lines.Scan() {
			t.Fatalf("the process ended before it could be killed: %v", c.cmd.Wait())
		}
		var at int64
		if _, err := fmt.Sscanf(c.lines.Text(), "checkpoint %d", &at); err == nil && at >= far {
			break
		}
	}
	<-begun
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for c.lines.Scan() { // its output ends with it
	}
	_ = c.cmd.Wait() // it was killed
	text, err := os.ReadFile(o.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	var cp acr.Checkpoint
	if err := json.Unmarshal(text, &cp); err != nil {
		t.Fatal(err)
	}
	return cp.Offset
}
