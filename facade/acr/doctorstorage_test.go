package acr_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// sickStorage is what may be wrong with the way to the blobs.
var sickStorage = []sick{
	{
		id: "storage cannot be reached", options: onApp, step: acr.DoctorStorage, says: []string{"localhost:", "no route to host", "firewall"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			hc := srv.HTTPClient()
			tr, _ := hc.Transport.(*http.Transport)
			next := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == srv.StorageHost() {
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route to host")}
				}
				return next(ctx, network, address)
			}
			return acrsuite.NewClientVia(t, srv, hc)
		},
	},
	{
		id: "storage refuses the link", options: onApp, script: func(s *acrtest.Server) { s.On("GetBlobContent").Always().Status(http.StatusForbidden) },
		step: acr.DoctorStorage, says: []string{"returned 403 Forbidden\n"}, want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
	},
	{
		id: "the registry serves blobs itself", server: []acrtest.Option{acrtest.WithInlineBlobs()}, options: onApp, step: acr.DoctorStorage, says: []string{"by the registry itself"},
	},
	{
		id: "an index", options: &acr.DoctorOptions{Repository: "samples/app", Reference: "index"}, step: acr.DoctorStorage, says: []string{"blobs are served by localhost:"},
	},
	{
		id: "no such tag", options: &acr.DoctorOptions{Repository: "samples/app", Reference: "missing"}, step: acr.DoctorStorage, cause: acr.ErrManifestUnknown, says: []string{"check the tag or digest"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorFailed},
	},
}
