package download_test

import (
	"context"
	"flag"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// manyTags is how many tags the row F77 lists.
var manyTags = flag.Int("download.tags", 100_000, "how many tags a list is shown to hold no memory for")

// childTags lists tags, and reports how much memory is held on the way.
func childTags(c *childTask) (r childReport) {
	client, err := c.client()
	if err != nil {
		return childReport{Error: err.Error()}
	}
	for _, err := range client.Repository(c.Name).Tags(context.Background(), nil) {
		if err != nil {
			r.Error = err.Error()
			break
		}
		if r.Count++; r.Count%(int(c.Options.Size)/10) == 500 {
			r.Held = append(r.Held, acrsuite.InUse())
		}
	}
	return r
}

// TestSuiteLongLists: the memory that a list takes does not grow with it.
func TestSuiteLongLists(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F77 a list of any length", func(t *testing.T) {
		r := newRemote(t, 1, acrtest.WithLedgerSize(10))
		r.task.Task, r.task.Name, r.task.Options.Size = "tags", "many/tags", int64(*manyTags)
		r.srv.SeedTags(t, r.task.Name, *manyTags)
		report := runChild(t, &r.task)
		if report.Error != "" || report.Count != *manyTags || len(report.Held) < 10 {
			t.Fatalf("%+v", report)
		}
		first, most := report.Held[0], uint64(0)
		for _, n := range report.Held {
			most = max(most, n)
		}
		t.Logf("%d tags: %d KiB held after the first 500, %d KiB at most", report.Count, first>>10, most>>10)
		if most > first+1<<20 {
			t.Errorf("%v bytes were held on the way", report.Held)
		}
	})
}
