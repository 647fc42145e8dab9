package transfer_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// proxied is a session behind a proxy that takes each body at once and passes it on at its own rate. The
// client waits for an answer for a minute; the proxy goes on after that.
type proxied struct {
	*registry
	rate   int64 // bytes per second
	chunks int
}

func (p *proxied) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	p.chunks++
	b, err := io.ReadAll(io.NewSectionReader(c.Data, c.Offset, c.Size))
	if err != nil {
		return transfer.State{}, err
	}
	pass := func() (transfer.State, error) {
		data := io.NewSectionReader(bytes.NewReader(append(make([]byte, c.Offset), b...)), 0, c.Offset+c.Size)
		return p.registry.Chunk(context.WithoutCancel(ctx), location, transfer.Chunk{Offset: c.Offset, Size: c.Size, Data: data})
	}
	need := time.Duration(c.Size) * time.Second / time.Duration(p.rate)
	if need > time.Minute {
		time.AfterFunc(need, func() { _, _ = pass() })
		time.Sleep(time.Minute)
		return transfer.State{}, errBroken
	}
	time.Sleep(need)
	return pass()
}

// Chunks that time out become smaller until they pass a slow line, and what the proxy passed on in the
// meantime is counted.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"file", "stream", "spooled"} {
		for _, rate := range []int64{8 << 10, 64 << 10} {
			synctest.Test(t, func(t *testing.T) {
				p := &proxied{registry: newRegistry(), rate: rate}
				content := randomBytes(rand.New(rand.NewPCG(1, 1)), 6<<20)
				o := p.options()
				o.Tune, o.ChunkSize = transfer.Tuning{}, 4<<20
				began := time.Now()
				res, err := uploadAs(t.Context(), how, p, o, content)
				took, ideal := time.Since(began), time.Duration(len(content))*time.Second/time.Duration(rate)
				if err != nil || !bytes.Equal(p.blobs[res.Digest], content) {
					t.Errorf("%s at %d bytes per second: after %s and %d chunks: %v", how, rate, took, p.chunks, err)
				}
				if took > 2*ideal+10*time.Minute || o.Meter.Event().Restarts > 0 {
					t.Errorf("%s at %d bytes per second: took %s, ideally %s; %+v", how, rate, took, ideal, o.Meter.Event())
				}
			})
		}
	}
}

// uploadAs uploads content as a file, a stream or a spooled stream.
func uploadAs(ctx context.Context, how string, s transfer.Session, o *transfer.UploadOptions, content []byte) (transfer.Result, error) {
	if how == "file" {
		return transfer.Upload(ctx, s, bytes.NewReader(content), int64(len(content)), o)
	}
	var sp transfer.Spool
	if how == "spooled" {
		sp = &spool{}
	}
	w, err := transfer.NewWriter(ctx, s, o, sp)
	if err != nil {
		return transfer.Result{}, err
	}
	defer w.Abort(ctx, false)
	if _, err := w.ReadStream(bytes.NewBuffer(content)); err != nil {
		return transfer.Result{}, err
	}
	return w.Commit()
}
