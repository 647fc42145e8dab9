package upload_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/transfer"
)

var (
	uploadCases = flag.Int("upload.cases", acrsuite.UnderRace(80, 250), "random cases of TestUploadProperty")
	uploadSeed  = flag.Uint64("upload.seed", 0, "seed of TestUploadProperty; 0: SEED of the environment, else another one each time")
	uploadCase  = flag.Int("upload.case", -1, "the one case of TestUploadProperty to run, with -upload.seed")
)

// TestUploadProperty: whatever the content, the way to hand it in, the options and the faults on the way, the registry ends up with the
// content, or the error is one of those documented and no session is left. A single fault that passes is survived, and one dropped chunk
// costs two chunks at most. A failed case says how to run it again.
func TestUploadProperty(t *testing.T) {
	t.Parallel()
	seed := acrsuite.SeedOr(t, *uploadSeed)
	t.Logf("-upload.seed=%d -upload.cases=%d", seed, *uploadCases)
	const batch = 125 // to a registry
	first, end := 0, *uploadCases
	if *uploadCase >= 0 {
		first, end = *uploadCase, *uploadCase+1
	}
	for from := first; from < end; from += batch {
		to := min(from+batch, end)
		t.Run(strconv.Itoa(from), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				srv := acrtest.New(t, acrtest.WithMemoryNetwork())
				network := srv.HTTPClient()
				arrived, hit := 0, 0
				for n := from; n < to && !t.Failed(); n++ {
					c := newUploadCase(t, srv, dir, seed, n)
					if c.run(network) {
						arrived++
					}
					hit += c.hits()
				}
				t.Logf("%d cases: %d arrived, %d ended in an error; %d requests were spoilt", to-from, arrived, to-from-arrived, hit)
			})
		})
	}
}

// propertyCase is one random upload.
type propertyCase struct {
	t    *testing.T
	srv  *acrtest.Server
	rng  *rand.Rand
	name string // of the repository
	note string // what it does, and how to run it again

	content []byte
	chunk   int64
	tune    transfer.Tuning
	opts    acr.UploadOptions
	source  string
	file    string
	script  []propertyFault
	faults  []*acrtest.Fault
}

// propertyFault is a line of a script.
type propertyFault struct {
	name    string
	passes  bool // an upload has to survive it, if nothing else goes wrong
	reread  bool // but only of a source that can be read again
	orphans bool // each hit may leave a session that nobody can end
	drops   bool // it costs the chunk that it hits, and no more
	ops     []string
	set     func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault
}

var propertySources = []string{"file", "reader", "seeker", "stream", "one byte", "data with EOF", "half reads", "spool", "spool by bytes", "writer", "writer from reader", "writer with spool"}

var chunkOps = []string{"UploadChunk", "CompleteUpload"}

// propertyFaults is what may happen. Positions within a body are relative to a chunk.
var propertyFaults = []propertyFault{
	{name: "reset in a chunk, kept", passes: true, drops: true, ops: chunkOps, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.ResetRequestAfter(c.rng.Int64N(c.chunk))
	}},
	{name: "reset in a chunk, forgotten", passes: true, drops: true, ops: chunkOps, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Do(acrsuite.Forget(c.rng.Int64N(c.chunk)))
	}},
	{name: "stall in a chunk", passes: true, drops: true, ops: chunkOps, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.StallRequestAfter(c.rng.Int64N(c.chunk))
	}},
	{name: "reply to a chunk lost", passes: true, reread: true, ops: []string{"UploadChunk"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.DropReply() }},
	{name: "reply to the commit lost", passes: true, drops: true, ops: []string{"CompleteUpload"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.DropReply() }},
	{name: "reply to the start lost", passes: true, orphans: true, ops: []string{"StartUpload"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.DropReply() }},
	{name: "busy", passes: true, drops: true, ops: append(chunkOps, "StartUpload", "GetUploadStatus", "HeadBlob"), set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		status := []int{429, 500, 502, 503, 504}[c.rng.IntN(5)]
		if c.rng.IntN(2) == 0 {
			return f.Status(status)
		}
		return f.Status(status, time.Duration(c.rng.IntN(20))*time.Second)
	}},
	{name: "busy, said early", passes: true, drops: true, ops: chunkOps, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Status([]int{429, 503}[c.rng.IntN(2)]).Early()
	}},
	{name: "reply to the status lost", passes: true, drops: true, ops: []string{"GetUploadStatus"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.DropReply()
	}},
	{name: "token revoked", passes: true, drops: true, ops: append(chunkOps, "StartUpload", "GetUploadStatus", "HeadBlob"), set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Revoke()
	}},
	{name: "part accepted", passes: true, drops: true, ops: []string{"UploadChunk"}, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Accept(c.rng.Int64N(c.chunk))
	}},
	{name: "too large", passes: true, drops: true, ops: append(chunkOps, "StartUpload"), set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		most := c.tune.Least * 2
		return f.When(func(r *http.Request) bool { return r.ContentLength > most }).Status(413).Body("text/plain", "413 Request Entity Too Large\n")
	}},
	{name: "connection closed behind a reply", passes: true, drops: true, ops: append(chunkOps, "StartUpload"), set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.CloseIdle() }},
	{name: "no Range", passes: true, drops: true, ops: []string{"StartUpload", "UploadChunk"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.WithoutHeader("Range") }},
	{name: "late reply", passes: true, drops: true, ops: append(chunkOps, "StartUpload"), set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.DelayReply(20 * time.Second) }},
	{name: "session unknown", passes: true, reread: true, orphans: true, ops: []string{"UploadChunk", "GetUploadStatus"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Status(404).Code("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
	}},
	{name: "old location", passes: true, reread: true, orphans: true, ops: []string{"UploadChunk"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(&relocated{w, r.URL.RequestURI()}, r)
		})
	}},
	{name: "no Location", orphans: true, ops: []string{"StartUpload", "UploadChunk"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.WithoutHeader("Location") }},
	{name: "denied", ops: append(chunkOps, "StartUpload", "GetUploadStatus"), set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.Status(403) }},
	{name: "longer than anybody waits", orphans: true, ops: append(chunkOps, "CancelUpload", "StartUpload"), set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.Status(503, time.Hour) }},
	{name: "blob not there", orphans: true, ops: []string{"HeadBlob"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault { return f.Lag() }},
	{name: "other Range", orphans: true, ops: []string{"UploadChunk", "GetUploadStatus"}, set: func(c *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Header("Range", fmt.Sprintf("0-%d", c.rng.IntN(2*len(c.content)+2)))
	}},
	{name: "digest refused", orphans: true, ops: []string{"CompleteUpload"}, set: func(_ *propertyCase, f *acrtest.Fault) *acrtest.Fault {
		return f.Status(400).Code("DIGEST_INVALID", "provided digest did not match uploaded content")
	}},
}

// newUploadCase draws a case.
func newUploadCase(t *testing.T, srv *acrtest.Server, dir string, seed uint64, n int) *propertyCase {
	t.Helper()
	c := &propertyCase{t: t, srv: srv, rng: rand.New(rand.NewPCG(seed, uint64(n))), name: fmt.Sprintf("property/c%06d", n), file: filepath.Join(dir, "source")}
	rng := c.rng
	c.chunk = 64 + rng.Int64N(6<<10)
	size := []int64{0, 1, c.chunk - 1, c.chunk, c.chunk + 1, 2 * c.chunk, rng.Int64N(3 * c.chunk), rng.Int64N(6 * c.chunk), 5*c.chunk + 1}[rng.IntN(9)]
	c.content = make([]byte, size)
	for i := range c.content {
		c.content[i] = byte(rng.Uint32())
	}
	piece := int64(1) << (4 + rng.IntN(6))
	c.tune = transfer.Tuning{Whole: []int64{-1, c.chunk / 2, 4 * c.chunk}[rng.IntN(3)], Piece: piece, Ahead: piece << rng.IntN(6), Mark: 1 << (4 + rng.IntN(8)), Least: 32}
	c.source = propertySources[rng.IntN(len(propertySources))]
	c.opts = acr.UploadOptions{ChunkSize: c.chunk}
	if rng.IntN(3) == 0 {
		c.opts.Digest = digest.FromBytes(c.content)
		c.opts.TrustDigest = rng.IntN(2) == 0
	} else if rng.IntN(8) == 0 {
		c.opts.Digest = digest.SHA512.FromBytes(c.content)
	}
	if rng.IntN(3) == 0 {
		c.opts.Size = size
	}
	if rng.IntN(6) == 0 && c.opts.Digest != "" {
		c.opts.MountFrom = []string{"elsewhere/one", "elsewhere/two"}
	}
	if rng.IntN(6) == 0 {
		c.opts.Progress = func(acr.Progress) {}
	}
	for range []int{0, 1, 1, 1, 2, 3, 6}[rng.IntN(7)] {
		c.script = append(c.script, propertyFaults[rng.IntN(len(propertyFaults))])
	}
	c.note = fmt.Sprintf("%d bytes as %s in chunks of %d, %+v, digest %q trusted %v, size %d", size, c.source, c.chunk, c.tune, c.opts.Digest, c.opts.TrustDigest, c.opts.Size)
	for _, line := range c.script {
		fault := srv.On(line.ops[rng.IntN(len(line.ops))]).Path("/" + c.name + "/")
		times := "once"
		switch rng.IntN(6) {
		case 0, 1, 2:
			fault.Nth(1 + rng.IntN(4))
		case 3, 4:
			fault.Nth(1)
		default:
			if len(c.script) > 1 {
				fault.From(1 + rng.IntN(3))
				times = "for ever"
			}
		}
		c.faults = append(c.faults, line.set(c, fault))
		c.note += "; " + line.name + " " + times
	}
	c.note += fmt.Sprintf(" [go test ./facade/internal/acrsuite/upload -run '^TestUploadProperty$' -args -upload.seed=%d -upload.case=%d]", seed, n)
	return c
}

func (c *propertyCase) errorf(format string, args ...any) {
	c.t.Helper()
	var requests strings.Builder
	for _, q := range c.srv.Ledger().Requests() {
		requests.WriteString("\n\t" + q.String())
	}
	c.t.Errorf("%s: %s%s", c.note, fmt.Sprintf(format, args...), &requests)
}

// run uploads over the network and judges; it tells whether the content arrived.
func (c *propertyCase) run(network *http.Client) bool {
	c.t.Helper()
	o := acrsuite.ClientOptions(c.srv, network)
	client, err := acr.NewClient(c.srv.Endpoint(), c.srv.Credential(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.srv.Ledger().Reset()
	desc, err := c.upload(client.Repository(c.name))
	client.CloseIdleConnections()
	synctest.Wait()
	time.Sleep(6 * time.Second) // what is given up in the background has been by then
	c.judge(desc, err)
	c.srv.ClearFaults()
	return err == nil
}

// hits is how many requests the script has spoilt.
func (c *propertyCase) hits() (n int) {
	for _, f := range c.faults {
		n += f.Hits()
	}
	return n
}

func (c *propertyCase) judge(desc ocispec.Descriptor, err error) {
	c.t.Helper()
	want := digest.FromBytes(c.content)
	if d := c.opts.Digest; d != "" {
		want = d
	}
	orphans := 0
	for i, f := range c.faults {
		if c.script[i].orphans {
			orphans += f.Hits()
		}
	}
	if left := c.srv.Uploads(c.name); left > orphans {
		c.errorf("%d sessions are left (%v)", left, err)
	}
	if err != nil {
		c.judgeError(err)
		if c.hits() == 0 || len(c.script) == 1 && c.script[0].passes && (!c.script[0].reread || c.rereadable()) {
			c.errorf("not survived: %v", err)
		}
		return
	}
	if desc.Digest != want || desc.Size != int64(len(c.content)) {
		c.errorf("descriptor %+v", desc)
	}
	if !c.srv.HasBlob(c.name, want) {
		c.errorf("the registry does not have the blob")
	}
	if len(c.script) == 1 && c.script[0].drops {
		sent := int64(0)
		for _, q := range c.srv.Ledger().Requests("StartUpload", "UploadChunk", "CompleteUpload") {
			sent += q.BytesIn
		}
		most := 2 * c.chunk
		if c.tune.Whole > 0 && int64(len(c.content)) <= c.tune.Whole {
			most = max(most, int64(len(c.content))) // it went in one request
		}
		if again := sent - int64(len(c.content)); again > most {
			c.errorf("%d bytes were sent again", again)
		}
	}
}

// judgeError demands that the error is one of those documented, in one line.
func (c *propertyCase) judgeError(err error) {
	c.t.Helper()
	acrsuite.OneLine(c.t, err)
	for _, known := range []error{acr.ErrUploadLost, acr.ErrDigestMismatch, acr.ErrSizeMismatch, acr.ErrUntrusted, acr.ErrStalled} {
		if errors.Is(err, known) {
			return
		}
	}
	if _, ok := errors.AsType[*acr.Error](err); ok {
		return
	}
	for i, line := range c.script { // a session that could not even be opened ends as the network says it
		if line.name == "reply to the start lost" && c.faults[i].Hits() > 0 {
			return
		}
	}
	c.errorf("not typed: %v (%T)", err, err)
}

func (c *propertyCase) rereadable() bool {
	switch c.source {
	case "file", "reader", "seeker", "spool", "spool by bytes", "writer with spool":
		return true
	}
	return false
}

// upload hands the content in.
func (c *propertyCase) upload(r *acr.Repository) (ocispec.Descriptor, error) {
	c.t.Helper()
	ctx, whole := transfer.WithTuning(c.t.Context(), c.tune), bytes.NewReader(c.content)
	o := c.opts
	o.SpoolDir = filepath.Dir(c.file)
	var src io.Reader
	switch c.source {
	case "file":
		if err := os.WriteFile(c.file, c.content, 0o600); err != nil {
			c.t.Fatal(err)
		}
		f, err := os.Open(c.file)
		if err != nil {
			c.t.Fatal(err)
		}
		defer f.Close()
		src = f
	case "reader":
		src = whole
	case "seeker":
		src = acrsuite.SeekReader{ReadSeeker: whole}
	case "stream":
		src = acrsuite.Stream{Reader: whole}
	case "one byte":
		src = iotest.OneByteReader(whole)
	case "data with EOF":
		src = iotest.DataErrReader(whole)
	case "half reads":
		src = iotest.HalfReader(whole)
	case "spool":
		src, o.Spool = acrsuite.Stream{Reader: whole}, true
	case "spool by bytes":
		src, o.Spool = iotest.OneByteReader(iotest.DataErrReader(whole)), true
	default:
		return c.write(ctx, r, &o)
	}
	return r.UploadBlob(ctx, src, &o)
}

func (c *propertyCase) write(ctx context.Context, r *acr.Repository, o *acr.UploadOptions) (ocispec.Descriptor, error) {
	c.t.Helper()
	o.Spool = c.source == "writer with spool"
	w, err := r.StartUpload(ctx, acrsuite.StartOptions(o))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer func() {
		if err := w.Cancel(); err != nil {
			c.errorf("Cancel: %v", err)
		}
	}()
	if c.source == "writer from reader" {
		if _, err := w.ReadFrom(iotest.HalfReader(bytes.NewReader(c.content))); err != nil {
			return ocispec.Descriptor{}, err
		}
		return w.Commit()
	}
	for p := c.content; len(p) > 0; {
		n := 1 + c.rng.IntN(len(p))
		if _, err := w.Write(p[:n]); err != nil {
			return ocispec.Descriptor{}, err
		}
		p = p[n:]
	}
	return w.Commit()
}
