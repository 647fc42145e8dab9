package upload_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// The error of an upload, a download or any other call names what the last try failed with, whatever the verdict is: here the
// time limit that the caller gave the transport.
func TestVerdictNamesItsCause(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F85 time limit of the caller's transport", testVerdictNamesItsCause)
}

func testVerdictNamesItsCause(t *testing.T) {
	for way, upload := range uploadWays {
		if way == "small" {
			continue // it is there all the same, and asked for
		}
		for _, op := range []string{"StartUpload", "UploadChunk"} {
			t.Run(way+", "+op, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
					srv.On(op).Always().Delay(3 * time.Second)
					client := acrsuite.Checked(t, srv)
					client.Timeout = 2 * time.Second
					_, err := upload(t.Context(), acrsuite.NewClientVia(t, srv, client).Repository("samples/app"), acrsuite.Content(2*slowChunk+1000))
					saysTimeout(t, err)
				})
			})
		}
	}
	for _, op := range []string{"GetBlob", "GetBlobContent"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				d := srv.SeedBlob(t, "samples/app", acrsuite.Content(1000))
				srv.On(op).Always().Delay(3 * time.Second)
				client := acrsuite.Checked(t, srv)
				client.Timeout = 2 * time.Second
				_, err := acrsuite.NewClientVia(t, srv, client).Repository("samples/app").DownloadBlob(t.Context(), d, nowhere{}, nil)
				saysTimeout(t, err)
			})
		})
	}
}

func saysTimeout(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "Client.Timeout") {
		t.Errorf("the time limit is not named: %v", err)
	}
}

type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
