package signin_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestSilentSignIn: a transfer whose tokens are revoked in the middle, and whose sign-in then gets no answer, ends by itself although its
// context does not, and says why.
func TestSilentSignIn(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), 8<<20)
	for _, silent := range []string{"GetAccessToken", "ExchangeEntraToken"} {
		for _, tt := range []struct {
			name      string
			operation string // the third of these finds the tokens revoked
			transfer  func(*testing.T, *acrtest.Server, *acr.Repository) error
		}{
			{"upload", "UploadChunk", func(t *testing.T, _ *acrtest.Server, r *acr.Repository) error {
				_, err := r.UploadBlob(t.Context(), bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 1 << 20})
				return err
			}},
			{"list", "ListTagNames", func(t *testing.T, srv *acrtest.Server, r *acr.Repository) error {
				srv.SeedTags(t, "samples/app", 10)
				_, err := acr.Collect(r.TagNames(t.Context(), &acr.ListOptions{PageSize: 2}))
				return err
			}},
		} {
			t.Run(tt.name+", "+silent, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
					srv.On(tt.operation).Nth(3).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						srv.RevokeAccessTokens()
						srv.RevokeRefreshTokens()
						srv.On(silent).Always().Stall()
						next.ServeHTTP(w, r)
					})
					c := acrsuite.NewClient(t, srv)
					began := time.Now()
					err := tt.transfer(t, srv, c.Repository("samples/app"))
					if took := time.Since(began); took > 3*time.Minute {
						t.Errorf("it took %v", took)
					}
					if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer within 2m") || !strings.Contains(err.Error(), silent) {
						t.Errorf("the error is %v", err)
					}
					c.CloseIdleConnections()
					srv.Close()
				})
			})
		}
	}
}
