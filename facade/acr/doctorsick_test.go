package acr_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
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

// sickRights are identities that may not do all of it.
var sickRights = []sick{
	{
		id: "no catalog role", server: []acrtest.Option{acrtest.WithEntraActions("samples/* content/read,content/write,metadata/read")}, options: onApp,
		step: acr.DoctorCatalog, cause: acr.ErrCatalogRole, says: []string{"Catalog Lister"}, want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn},
	},
	{
		id: "may pull, not push", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")}, options: onApp,
		step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"not granted on samples/app", "AcrPush"}, want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorWarn},
	},
	{
		id: "is to push and may not", server: []acrtest.Option{acrtest.WithEntraActions("* content/read,metadata/read")},
		options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, cause: acr.ErrMissingAction, says: []string{"may not do this: push on samples/app", "AcrPush"},
		want: map[string]acr.DoctorStatus{acr.DoctorPush: acr.DoctorFailed, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "is to push and may", options: &acr.DoctorOptions{Repository: "samples/app", TryPush: true}, step: acr.DoctorPush, says: []string{"started and canceled"},
		want: map[string]acr.DoctorStatus{acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "may not pull", server: []acrtest.Option{acrtest.WithEntraActions("others/* content/read")}, options: onApp, step: acr.DoctorPull, cause: acr.ErrMissingAction, says: []string{"pull on samples/app"},
		want: map[string]acr.DoctorStatus{acr.DoctorCatalog: acr.DoctorWarn, acr.DoctorPull: acr.DoctorFailed, acr.DoctorPush: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
	{
		id: "no such repository", options: &acr.DoctorOptions{Repository: "not/there"}, step: acr.DoctorPull, cause: acr.ErrNotFound, says: []string{"there is no repository not/there"},
		want: map[string]acr.DoctorStatus{acr.DoctorPull: acr.DoctorWarn, acr.DoctorStorage: acr.DoctorSkipped},
	},
}

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

// sickSignIns are registries that give no access token, or a different one.
var sickSignIns = []sick{
	{
		id: "the credential gives no token", options: onApp, step: acr.DoctorCredential, says: []string{"GetEntraToken", "az login", "REDACTED"},
		want: but(but(notSignedIn, acr.DoctorExchange, acr.DoctorSkipped), acr.DoctorCredential, acr.DoctorFailed),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			c, err := acr.NewClient(srv.Endpoint(), failingCredential{errors.New("no account\nclient_secret=hunter2hunter2 " + fakeJWT)}, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	},
	{
		id: "the ARM audience is disabled", server: []acrtest.Option{acrtest.WithoutARMAudience()}, options: onApp, step: acr.DoctorExchange, cause: acr.ErrARMAudienceDisabled,
		says: []string{"authentication-as-arm"}, want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client {
			return acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
				o.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{acr.ServiceName: {Audience: "https://management.azure.com"}}
			})
		},
	},
	{
		id: "the firewall refuses the exchange", options: onApp, step: acr.DoctorExchange, cause: acr.ErrFirewall, says: []string{"403 DENIED", "203.0.113.9", "network-rule"},
		script: func(s *acrtest.Server) {
			s.On("ExchangeEntraToken").Always().Status(http.StatusForbidden).Code("DENIED", "client with IP '203.0.113.9' is not allowed access. Refer https://aka.ms/acr/firewall")
		},
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "no role", server: []acrtest.Option{acrtest.WithEntraActions()}, options: onApp, step: acr.DoctorExchange, cause: acr.ErrNoRole, says: []string{"AcrPull"},
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "the exchange breaks off", options: onApp, script: func(s *acrtest.Server) { s.On("ExchangeEntraToken").Always().DropReply() }, step: acr.DoctorExchange,
		want: but(notSignedIn, acr.DoctorExchange, acr.DoctorFailed),
	},
	{
		id: "grants by repository", server: []acrtest.Option{acrtest.WithABAC()}, options: onApp, step: acr.DoctorExchange, says: []string{"ABAC"},
	},
	{
		id: "anonymous pull is off", server: []acrtest.Option{acrtest.WithoutAnonymousPull()}, options: onApp, step: acr.DoctorAnonymous, says: []string{"off: callers must sign in"},
	},
	{
		id: "anonymous pull is on", options: onApp, step: acr.DoctorAnonymous, says: []string{"on: anyone may read"},
	},
	{
		id: "an anonymous client", options: onApp, step: acr.DoctorCredential, says: []string{"anonymous"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client { return acrsuite.NewAnonymousClient(t, srv) },
		want: map[string]acr.DoctorStatus{
			acr.DoctorCredential: acr.DoctorSkipped, acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorAnonymous: acr.DoctorSkipped, acr.DoctorPush: acr.DoctorWarn,
		},
	},
	{
		id: "an anonymous client that must sign in", server: []acrtest.Option{acrtest.WithoutAnonymousPull()}, options: onApp, step: acr.DoctorToken, cause: acr.ErrAnonymous, says: []string{"sign in"},
		client: func(t *testing.T, srv *acrtest.Server) *acr.Client { return acrsuite.NewAnonymousClient(t, srv) },
		want: but(but(but(but(notSignedIn, acr.DoctorToken, acr.DoctorFailed), acr.DoctorCredential, acr.DoctorSkipped),
			acr.DoctorExchange, acr.DoctorSkipped), acr.DoctorAnonymous, acr.DoctorSkipped),
	},
	{
		id: "a repository token", server: []acrtest.Option{acrtest.WithRepositoryToken("ci", "swordfish-swordfish", "samples/* content/read,metadata/read")}, options: onApp,
		client: withPassword("ci", "swordfish-swordfish"), step: acr.DoctorPull, says: []string{"granted: metadata_read pull"},
		want: map[string]acr.DoctorStatus{
			acr.DoctorCredential: acr.DoctorSkipped, acr.DoctorExchange: acr.DoctorSkipped, acr.DoctorCatalog: acr.DoctorWarn, acr.DoctorPush: acr.DoctorWarn,
		},
	},
	{
		id: "a wrong password", server: []acrtest.Option{acrtest.WithRepositoryToken("ci", "swordfish-swordfish", "samples/* content/read")}, options: onApp,
		client: withPassword("ci", "wrong-wrong-wrong"), step: acr.DoctorToken, says: []string{"password is wrong"},
		want: but(but(but(notSignedIn, acr.DoctorToken, acr.DoctorFailed), acr.DoctorCredential, acr.DoctorSkipped), acr.DoctorExchange, acr.DoctorSkipped),
	},
}
