package acr_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

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
