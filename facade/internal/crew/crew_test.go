package crew_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/acrkit/acrkit/facade/internal/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a function panics with is raised where its group is waited for, when all others have ended.
func TestGroupRaisesPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g crew.Group
		var ended atomic.Int64
		for i := range 4 {
			g.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if i == 1 {
					panic("cry")
				}
				ended.Add(1)
			})
		}
		defer func() {
			if v := recover(); v != "cry" || ended.Load() != 3 {
				t.Errorf("recovered %v, %d others ended", v, ended.Load())
			}
		}()
		g.Wait()
		t.Error("no panic")
	})
}
