package acr_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failingCredential gives no token.
type failingCredential struct{ err error }

func (c failingCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, c.err
}

const fakeJWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2lnbmF0dXJl"

// sick is a registry, or a way to it, with something wrong, and what a report has to say.
type sick struct {
	id      string
	server  []acrtest.Option
	script  func(*acrtest.Server)
	client  func(*testing.T, *acrtest.Server) *acr.Client // nil: signs in with an Entra credential
	options *acr.DoctorOptions
	want    map[string]acr.DoctorStatus // of the steps that are not ok
	step    string                      // the step that says why
	cause   error
	says    []string // in that step
}

func via(change func(*http.Client)) func(*testing.T, *acrtest.Server) *acr.Client {
	return func(t *testing.T, srv *acrtest.Server) *acr.Client {
		hc := acrsuite.Checked(t, srv)
		change(hc)
		return acrsuite.NewClientVia(t, srv, hc)
	}
}

func withPassword(user, password string) func(*testing.T, *acrtest.Server) *acr.Client {
	return func(t *testing.T, srv *acrtest.Server) *acr.Client {
		c, err := acr.NewClientWithPassword(srv.Endpoint(), user, password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
}

var (
	onApp       = &acr.DoctorOptions{Repository: "samples/app", Reference: "v1"}
	unreachable = map[string]acr.DoctorStatus{
		acr.DoctorConnection: acr.DoctorSkipped, acr.DoctorTLS: acr.DoctorSkipped, acr.DoctorClock: acr.DoctorSkipped, acr.DoctorChallenge: acr.DoctorSkipped,
		acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorToken: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorSkipped, acr.DoctorPull: acr.DoctorSkipped,
		acr.DoctorPush: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped,
	}
	notSignedIn = map[string]acr.DoctorStatus{
		acr.DoctorToken: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorSkipped, acr.DoctorPull: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped,
	}
)

// but is a copy of the map with one step changed.
func but(m map[string]acr.DoctorStatus, step string, status acr.DoctorStatus, without ...string) map[string]acr.DoctorStatus {
	m = maps.Clone(m)
	m[step] = status
	for _, w := range without {
		delete(m, w)
	}
	return m
}

// sicknesses are all that TestDoctor walks through.
var sicknesses = slices.Concat([]sick{
	{id: "healthy", options: onApp},
	{
		id: "nothing named", want: map[string]acr.DoctorStatus{acr.DoctorPull: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorSkipped, acr.DoctorStorage: acr.DoctorSkipped},
		step: acr.DoctorPull, says: []string{"DoctorOptions.Repository"},
	},
}, sickContacts, sickSignIns, sickRights, sickStorage)
