package redact_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

// BenchmarkHide looks for the tokens of a client in the headers of a reply: what that costs with the index must not depend
// on how many tokens there are.
func BenchmarkHide(b *testing.B) {
	header := strings.Repeat("X-Ms-Correlation-Request-Id: 00000000-1111-2222-3333-444444444444\n", 6)
	for _, n := range []int{1, 50, 500} {
		var all []redact.Secret
		var index redact.Index
		for i := range n {
			s := redact.NewSecret(fmt.Sprintf("%d/eyJhbGciOiJSUzI1NiJ9.of-a-token", i))
			all = append(all, s)
			index.Add(s)
		}
		b.Run(fmt.Sprintf("each/%d", n), func(b *testing.B) {
			for b.Loop() {
				redact.Hide(header, slices.Values(all))
			}
		})
		b.Run(fmt.Sprintf("index/%d", n), func(b *testing.B) {
			for b.Loop() {
				if index.MayHold(header) {
					b.Fatal("there is none")
				}
			}
		})
	}
}
