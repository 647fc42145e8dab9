package upload_test

import (
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func testTooLarge(t *testing.T) {
	const small, large = 20_000, 300_000
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { learnsSize(u, small) }, acrtest.WithMaxBody(small))
	acrsuite.UploadsIn(t, []acrsuite.Setting{acrsuite.OnLoopback}, acrsuite.OnePerKind, func(u *acrsuite.Upload) { learnsSize(u, large) },
		acrtest.WithMaxBody(large))
	for _, how := range acrsuite.OnePerKind[:acrsuite.UnderRace(1, 2)] { // as a Basic registry does, with default sizes
		acrsuite.Uploads(t, []string{how}, func(u *acrsuite.Upload) {
			u.Tune, u.Opts.ChunkSize = nil, 0
			u.Fill(24 << 20)
			u.Arrives()
			if n := len(tooLarge(u)); n > 0 {
				u.Errorf("%d refusals", n)
			}
		}, acrtest.WithMaxBody(20<<20))
		acrsuite.Uploads(t, []string{how}, func(u *acrsuite.Upload) { // of what was to go with the first request
			u.Tune, u.Opts.ChunkSize = nil, 0
			u.Fill(3 << 20)
			u.Arrives()
		}, acrtest.WithMaxBody(1<<20))
		acrsuite.Uploads(t, []string{how}, func(u *acrsuite.Upload) { // the connection is closed in place of a 413
			u.Tune, u.Opts.ChunkSize = nil, 16<<20
			u.Fill(20 << 20)
			u.Srv.On("UploadChunk", "CompleteUpload").Always().When(func(r *http.Request) bool { return r.ContentLength > 5<<20 }).Do(acrsuite.Forget(1 << 20))
			u.Arrives()
		})
	}
	acrsuite.Uploads(t, acrsuite.EverySource, func(u *acrsuite.Upload) { // whatever its size
		u.Srv.On("UploadChunk", "CompleteUpload").Always().Status(413).Body("text/plain", "413 Request Entity Too Large\n")
		u.Fails(acrsuite.StatusError(413))
		if n := u.Srv.Ledger().Count("UploadChunk", "CompleteUpload"); n > 10 {
			u.Errorf("tried %d times", n)
		}
	})
	acrsuite.Uploads(t, acrsuite.OnePerKind, func(u *acrsuite.Upload) { // larger than the least that it demands
		u.Srv.On("StartUpload").Header("OCI-Chunk-Min-Length", "40000")
		u.Fails(acrsuite.StatusError(413))
	}, acrtest.WithMaxBody(30_000))
}

// learnsSize demands that the client finds out in a few tries how much the registry takes, and does not forget it.
func learnsSize(u *acrsuite.Upload, most int64) {
	u.T.Helper()
	u.Arrives()
	largest := int64(0)
	for _, q := range u.Srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
		if q.Status < 300 {
			largest = max(largest, q.BytesIn)
		}
	}
	if largest > most || largest < most/2 {
		u.Errorf("after the refusal a request had %d bytes, at most %d are taken", largest, most)
	}
	refused := len(tooLarge(u))
	if refused == 0 || refused > 3 {
		u.Errorf("%d refusals", refused)
	}
	u.Source = nil // the client has learned
	u.Srv.Ledger().Reset()
	u.Fill(len(u.Want) + 1)
	u.Arrives()
	if n := len(tooLarge(u)); n > 0 {
		u.Errorf("%d refusals again", n)
	}
}

func tooLarge(u *acrsuite.Upload) (out []acrtest.Request) {
	for _, q := range u.Srv.Ledger().Requests("UploadChunk", "CompleteUpload", "StartUpload") {
		if q.Status == http.StatusRequestEntityTooLarge {
			out = append(out, q)
		}
	}
	return out
}
