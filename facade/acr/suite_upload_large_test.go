package acr_test

import (
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

func testTooLarge(t *testing.T) {
	uploads(t, everySource, func(u *upload) {
		const most = 20_000
		u.arrives()
		largest := int64(0)
		for _, q := range u.srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
			if q.Status < 300 {
				largest = max(largest, q.BytesIn)
			}
		}
		if largest > most || largest < most/2 {
			u.errorf("after the refusal a request had %d bytes, at most %d are taken", largest, most)
		}
		refused := len(tooLarge(u))
		if refused == 0 || refused > 3 {
			u.errorf("%d refusals", refused)
		}
		u.source = nil // the client has learned
		u.srv.Ledger().Reset()
		u.fill(rowSize + 1)
		u.arrives()
		if n := len(tooLarge(u)); n > 0 {
			u.errorf("%d refusals again", n)
		}
	}, acrtest.WithMaxBody(20_000))
	for _, how := range onePerKind[:2] { // as a Basic registry does, with default sizes
		uploads(t, []string{how}, func(u *upload) {
			u.tune, u.opts.ChunkSize = nil, 0
			u.fill(24 << 20)
			u.arrives()
			if n := len(tooLarge(u)); n > 0 {
				u.errorf("%d refusals", n)
			}
		}, acrtest.WithMaxBody(20<<20))
		uploads(t, []string{how}, func(u *upload) { // of what was to go with the first request
			u.tune, u.opts.ChunkSize = nil, 0
			u.fill(3 << 20)
			u.arrives()
		}, acrtest.WithMaxBody(1<<20))
		uploads(t, []string{how}, func(u *upload) { // the connection is closed in place of a 413
			u.tune, u.opts.ChunkSize = nil, 16<<20
			u.fill(20 << 20)
			u.srv.On("UploadChunk", "CompleteUpload").Always().When(func(r *http.Request) bool { return r.ContentLength > 5<<20 }).Do(forget(1 << 20))
			u.arrives()
		})
	}
	uploads(t, everySource, func(u *upload) { // whatever its size
		u.srv.On("UploadChunk", "CompleteUpload").Always().Status(413).Body("text/plain", "413 Request Entity Too Large\n")
		u.fails(errStatus(413))
		if n := u.srv.Ledger().Count("UploadChunk", "CompleteUpload"); n > 10 {
			u.errorf("tried %d times", n)
		}
	})
	uploads(t, onePerKind, func(u *upload) { // larger than the least that it demands
		u.srv.On("StartUpload").Header("OCI-Chunk-Min-Length", "40000")
		u.fails(errStatus(413))
	}, acrtest.WithMaxBody(30_000))
}

func tooLarge(u *upload) (out []acrtest.Request) {
	for _, q := range u.srv.Ledger().Requests("UploadChunk", "CompleteUpload", "StartUpload") {
		if q.Status == http.StatusRequestEntityTooLarge {
			out = append(out, q)
		}
	}
	return out
}
