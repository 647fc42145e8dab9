package login_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A program that runs for half a day stays signed in: its clients ask the adapters again when their tokens have expired. A login that is
// taken once ends after three hours.
func TestLoginsAreRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := acrtest.New(t, acrtest.WithoutAnonymousPull(), acrtest.WithMemoryNetwork())
		s.SeedImage(t, "library/hello:v1")
		client, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{ClientOptions: s.ClientOptions(), AllowedHosts: []string{s.Host()}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		web := s.HTTPClient()
		defer web.CloseIdleConnections()

		of := func(credential auth.CredentialFunc) *remote.Repository {
			r, err := remote.NewRepository(s.Host() + "/library/hello")
			if err != nil {
				t.Fatal(err)
			}
			r.Client = &auth.Client{Client: web, Cache: auth.NewCache(), Credential: credential, BlockedRealmPrefixes: []netip.Prefix{}}
			return r
		}
		renewed := of(orasCredential(client, s.Host()))
		login, err := client.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		once := of(auth.StaticCredential(s.Host(), auth.Credential{Username: login.Username, Password: login.Password()}))
		tag, err := name.NewTag(s.Host() + "/library/hello:v1")
		if err != nil {
			t.Fatal(err)
		}
		puller, err := ggcr.NewPuller(ggcr.WithTransport(web.Transport), ggcr.WithAuthFromKeychain(keychain{client, s.Host()}))
		if err != nil {
			t.Fatal(err)
		}
		for hour := range 12 {
			if _, err := renewed.Resolve(t.Context(), "v1"); err != nil {
				t.Errorf("oras-go after %d hours: %v", hour, err)
			}
			if _, err := puller.Head(t.Context(), tag); err != nil {
				t.Errorf("go-containerregistry after %d hours: %v", hour, err)
			}
			time.Sleep(time.Hour)
		}
		if _, err := once.Resolve(t.Context(), "v1"); err == nil {
			t.Error("a login of twelve hours ago is accepted: this test shows nothing")
		}
		if n := s.Ledger().Count("ExchangeEntraToken"); n < 3 || n > 6 {
			t.Errorf("%d exchanges in twelve hours", n)
		}
	})
}
