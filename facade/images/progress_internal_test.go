package images

import (
	"sync"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

// The last calls of the callback of an upload that was canceled may come after its end, from another goroutine. They count for nothing.
func TestLateProgress(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		end  func(*blobMeter)
		want Bytes
	}{
		"given up":    {(*blobMeter).abort, Bytes{}},
		"begun again": {(*blobMeter).restart, Bytes{Resent: 40}},
		"there":       {func(b *blobMeter) { b.end(b.outcome()) }, Bytes{Present: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMeter(nil)
			b := m.blob(100)
			b.progress(acr.Progress{Offset: 40, Skipped: true})
			var late sync.WaitGroup
			for n := range int64(20) {
				late.Go(func() { b.progress(acr.Progress{Offset: 40, Skipped: n%2 == 0}) })
			}
			row.end(b)
			late.Wait()
			b.progress(acr.Progress{Offset: 90, Resent: 7})
			b.read(5)
			if got := m.bytes(); got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
		})
	}
}
