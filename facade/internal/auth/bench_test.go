package auth_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// BenchmarkTokenLookup is what a signed request pays for its token, with all cores asking.
func BenchmarkTokenLookup(b *testing.B) {
	for _, repos := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("repositories=%d", repos), func(b *testing.B) {
			g := newRegistry()
			c := newClient(b, g, auth.Entra(&entra{}))
			scopes := make([]string, repos)
			for i := range scopes {
				scopes[i] = fmt.Sprintf("repository:r%d:pull", i)
				c.ok(b, scopes[i])
			}
			lookup := c.Lookup(scopes...)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := lookup(b.Context(), i%repos); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkSignedRequest is a whole request through the pipeline to a registry in memory.
func BenchmarkSignedRequest(b *testing.B) {
	g := newRegistry()
	c := newClient(b, g, auth.Entra(&entra{}))
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := c.do(b.Context(), http.MethodGet, "repository:a:pull"); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		g.log = g.log[:0]
	}
}
