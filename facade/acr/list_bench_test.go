package acr_test

import (
	"fmt"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// BenchmarkTags lists 1, 10 and 100 times a thousand tags with their properties. Time grows with them; what is held does not: KB-more is
// how much more memory is in use in the middle of the last page than in the middle of the first.
func BenchmarkTags(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := acrtest.New(b)
			srv.SeedTags(b, "library/many", n)
			r := acrsuite.NewClientVia(b, srv, srv.HTTPClient()).Repository("library/many")
			var held [2]uint64
			each(b, r, func(i int) {
				switch i {
				case 500:
					held[0] = acrsuite.InUse()
				case n - 500:
					held[1] = acrsuite.InUse()
				}
			})
			b.ReportAllocs()
			for b.Loop() {
				each(b, r, func(int) {})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/tag")
			if n > 1_000 {
				b.ReportMetric((float64(held[1])-float64(held[0]))/1024, "KB-more")
			}
		})
	}
}

// each calls f with the count of tags seen.
func each(b *testing.B, r *acr.Repository, f func(int)) {
	b.Helper()
	i := 0
	for _, err := range r.Tags(b.Context(), nil) {
		if err != nil {
			b.Fatal(err)
		}
		i++
		f(i)
	}
}
