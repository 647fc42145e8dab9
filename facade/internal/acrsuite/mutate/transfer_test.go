package mutate_test

// Tests that try many uploads and downloads.
const (
	uploadTests   = "TestUploadProperty|TestUploadCancel|TestResent|TestCheckpoint|TestSuspicion|TestSwinging|TestBadCheckpoint|TestRetryAfter"
	downloadTests = "TestDownloadProperty|TestShortWrites|TestHostileSize|TestClaimedSize|TestHungUp|TestResumedRequest|TestReadFull"
)

// transferGuards are those of what arrives.
var transferGuards = in("../../transfer", []guard{
	{"no more is acknowledged than was sent", "resync.go", "case off == Unknown, off > u.sent, off < low:", "case off == Unknown, off < low:", "TestBoastfulCount"},
	{"an upload goes on where the registry is", "resync.go", "\tu.acknowledge(off)\n\treturn nil", "\tu.acknowledge(off + 1)\n\treturn nil", uploadTests},
	{"a session that cannot be read again is lost", "resync.go", "case off == Unknown, off > u.sent, off < low:", "case off == Unknown, off > u.sent:", uploadTests},
	{"a checkpoint is not beyond the registry", "checkpoint.go", "if off == Unknown || off < cp.Offset {", "if off == Unknown {", "TestCheckpointBeyondTheRegistry"},
	{"a checkpoint's hash is of the same algorithm", "hasher.go", "if !ok || cp.Algorithm != a {", "if !ok {", "TestCheckpointOfAnotherAlgorithm"},
	{"a chunk that was taken in part is noticed", "uploader.go", "if s.Offset != Unknown && s.Offset < end && u.trust != ignored {", "if false {", uploadTests},
	{"a source has its digest", "upload.go", "if want := f.u.opts.Digest; want != \"\" && want != got {", "if want := f.u.opts.Digest; false {", "TestStatedContent"},
	{"a source has its size", "upload.go", "if o.Size != Unknown && o.Size != size {", "if false {", "TestStatedContent"},
	{"a stream has its size", "writer.go", "if want := w.u.opts.Size; want != Unknown && want != size {", "if want := w.u.opts.Size; false {", "TestStatedContent"},
	{"a stream is not sent beyond its size", "buffer.go", "size != Unknown && w.Offset() > size {", "size != Unknown && false {", "TestStreamGoesOn"},
	{"a stream has its digest", "writer.go", "if want := w.u.opts.Digest; want != \"\" && want != dgst {", "if want := w.u.opts.Digest; false {", "TestStatedContent"},
	{"a source that changes is noticed", "uploadoptions.go", "\tif o.Check != nil {", "\tif false {", "TestChangedSource"},
	{"a download has its digest", "download.go", "if got := h.digest(); got != want {", "if got := h.digest(); false {", downloadTests},
	{"the last bytes are withheld", "reader.go", "if r.b.off == r.b.limit() && r.h.digest() != r.want {", "if false {", downloadTests},
	{"a stream read to its end has its digest", "reader.go", "case got == r.want:", "case true:", downloadTests},
	{"a range begins where it was asked for", "body.go", "case p.Offset != b.off && p.Offset != 0:", "case false:", "TestMisplacedRange"},
	{"what comes before a range is passed over", "body.go", "if n := b.off - part.Offset; n > 0 {", "if n := b.off - part.Offset - 1; n > 0 {", downloadTests},
	{"a blob has its size", "body.go", "case p.Size != Unknown && b.size != Unknown && p.Size != b.size:", "case false:", "TestRangeOfAnotherBlob"},
	{"an answer that ends early is not the end", "body.go", "\t\t\tif limit == Unknown {\n\t\t\t\treturn 0, io.EOF", "\t\t\tif true {\n\t\t\t\treturn 0, io.EOF", downloadTests},
	{"a blob ends where it should", "body.go", "\tif n > 0 {\n\t\treturn fmt.Errorf", "\tif n > 1 {\n\t\treturn fmt.Errorf", "TestBlobGoesOn"},
	{"a connection that is silent is replaced", "body.go", "func() { cancel(wait.ErrStalled) }", "func() {}", "TestStall|TestDownloadProperty"},
	{"ranges are written where they belong", "parallel.go", "j.off+int64(done))", "j.off)", "TestLargeRanges"},
	{"ranges are hashed in order", "parallel.go", "\t\t\t_, _ = r.d.h.Write(scratch[:n])\n", "", downloadTests},
	{"a short write is an error", "download.go", "if err := writeError(n, len(p), err); err != nil {", "if err := writeError(n, n, err); err != nil {", downloadTests},
	{"what was wrong is not resumed", "download.go", "\t\tdst.Written(0) //", "\t\t//", "TestWrongContentIsWithdrawn"},
	{"a refused digest is an error", "commit.go", "return fmt.Errorf(\"%w: the registry refused %s for what it received: %w\", ErrDigestMismatch, dgst, f.Err)", "_ = fmt.Errorf(\"%w\", f.Err)\n\treturn nil", uploadTests},
	{"an upload that failed is canceled", "upload.go", "if err == nil || !u.checkpointed || !Resumable(err) {", "if err == nil {", uploadTests},
	{"an upload that can be resumed is left open", "upload.go", "if err == nil || !u.checkpointed || !Resumable(err) {", "if true {", "TestFailedUploadStaysOpen"},
	{"new beginnings are bounded in number", "uploader.go", "if u.restarts >= maxRestarts {", "if u.restarts >= 50 {", "TestNewBeginnings"},
	{"the end of the context is the reason", "fault.go", "\treturn wait.Cause(ctx)\n}", "\treturn err\n}", "TestContextIsTheReason"},
	{"a long wait is the caller's to decide", "patience.go", "p.tries >= maxTries, f.After > maxAfter:", "p.tries >= maxTries:", uploadTests},
	{"tries are bounded in number", "patience.go", "p.tries >= maxTries, f.After > maxAfter:", "p.tries >= 10*maxTries, f.After > maxAfter:", uploadTests},
})
