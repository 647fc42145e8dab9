package acrtest_test

import (
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// An entry of the ledger outlives its connection, and must not keep it and its buffers in memory: a test may send a hundred
// thousand requests.
func TestLedgerLetsConnectionsGo(t *testing.T) {
	t.Parallel()
	s := acrtest.New(t)
	gone := make(chan struct{})
	s.On().Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		runtime.AddCleanup(r.TLS, func(gone chan struct{}) { close(gone) }, gone)
		next.ServeHTTP(w, r)
	})
	ask(s)
	s.Close()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); runtime.Gosched() { // a busy machine takes seconds
		runtime.GC()
		select {
		case <-gone:
			if n := s.Ledger().Count("CheckSupport"); n != 1 {
				t.Errorf("%d entries", n)
			}
			return
		default:
		}
	}
	t.Error("the connection is still in memory")
	runtime.KeepAlive(s)
}
