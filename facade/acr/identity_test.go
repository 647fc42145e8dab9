package acr_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestIdentities: the ways to sign in, and what each may do.
func TestIdentities(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t, acrtest.WithRepositoryToken("reader", "sesame", "library/* content/read,metadata/read"))
	ctx := t.Context()
	entra := acrsuite.NewClient(t, srv)
	putIndex(t, entra.Repository("library/hello"), "v1", "x")
	login, err := entra.Login(ctx)
	if err != nil || login.Password() == "" || login.Server != srv.Host() || login.Username != "00000000-0000-0000-0000-000000000000" || time.Until(login.Expires) < time.Hour {
		t.Fatalf("%v %v", login, err)
	}
	made := func(c *acr.Client, err error) *acr.Client {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	user, password := srv.Admin()
	for _, who := range []struct {
		name     string
		client   *acr.Client
		mayWrite error
		mayList  error
	}{
		{"entra", entra, nil, nil},
		{"admin", made(acr.NewClientWithPassword(srv.Endpoint(), user, password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))), nil, nil},
		{"refresh token", made(acr.NewClientWithRefreshToken(srv.Endpoint(), login.Password(), acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))), nil, nil},
		{"login as password", made(acr.NewClientWithPassword(srv.Endpoint(), login.Username, login.Password(), acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))), nil, nil},
		{"repository token", made(acr.NewClientWithPassword(srv.Endpoint(), "reader", "sesame", acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))), acr.ErrMissingAction, acr.ErrCatalogRole},
		{"anonymous", acrsuite.NewAnonymousClient(t, srv), acr.ErrAnonymous, nil},
	} {
		t.Run(who.name, func(t *testing.T) {
			r := who.client.Repository("library/hello")
			if err := who.client.Ping(ctx); err != nil {
				t.Error(err)
			}
			if tags, err := acr.Collect(r.Tags(ctx, nil)); err != nil || len(tags) != 1 {
				t.Errorf("%v %v", tags, err)
			}
			if _, err := r.GetManifest(ctx, "v1"); err != nil {
				t.Error(err)
			}
			_, err := r.PutManifest(ctx, "v1", []byte(indexManifest), nil)
			if !errors.Is(err, who.mayWrite) || (who.mayWrite == nil) != (err == nil) {
				t.Errorf("write: got %v, want %v", err, who.mayWrite)
			}
			if err != nil {
				t.Log(err)
				acrsuite.OneLine(t, err)
				if !errors.Is(err, acr.ErrUnauthorized) {
					t.Error("no UNAUTHORIZED")
				}
			}
			_, err = acr.Collect(who.client.Repositories(ctx, nil))
			if !errors.Is(err, who.mayList) || (who.mayList == nil) != (err == nil) {
				t.Errorf("list: got %v, want %v", err, who.mayList)
			}
			if err != nil {
				t.Log(err)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		c := made(acr.NewClientWithPassword(srv.Endpoint(), user, "hunter2", acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv))))
		err := c.Ping(ctx)
		if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != 401 || e.Operation != "GetAccessTokenWithBasic" || !errors.Is(err, acr.ErrWrongPassword) {
			t.Errorf("%v", err)
		}
		t.Log(err)
		acrsuite.OneLine(t, err)
	})
	t.Run("an anonymous login", func(t *testing.T) {
		if _, err := acrsuite.NewAnonymousClient(t, srv).Login(ctx); !errors.Is(err, acr.ErrAnonymous) {
			t.Errorf("%v", err)
		} else {
			t.Log(err)
			acrsuite.OneLine(t, err)
		}
	})
	t.Run("A58 nothing prints a secret", func(t *testing.T) {
		c := made(acr.NewClientWithPassword(srv.Endpoint(), user, password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv))))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "client", c, "login", login)
		text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", c, c, c, c, login, login, login, &login) + log.String()
		for _, secret := range []string{password, login.Password()} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	})
}

// TestLog: a record for each exchange, and nothing in it that is secret.
func TestLog(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	var log bytes.Buffer
	c := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r := c.Repository("library/hello")
	putIndex(t, r, "v1", "x")
	if _, err := acr.Collect(r.Tags(t.Context(), &acr.ListTagsOptions{After: "hunter2"})); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{`"method":"PUT"`, `"status":201`, "/acr/v1/library/hello/_tags", "correlation_id"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	for _, secret := range []string{"hunter2", "eyJ", "Bearer"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
}

// TestSourceClient: who asks is said in each request.
func TestSourceClient(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
		if got := r.Header.Get("X-Meta-Source-Client"); got != "azure/aks/puller" {
			t.Errorf("%q", got)
		}
		return acrsuite.Answer(200, "{}")
	}}
	if err := s.Client(t, func(o *acr.ClientOptions) { o.SourceClient = "azure/aks/puller" }).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := acr.NewClient("r.azurecr.io", nil, &acr.ClientOptions{SourceClient: "a\r\nb"}); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
}

// TestConcurrentUse: 200 calls on one repository at the same time cost 200 requests, one exchange and one token.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	c := acrsuite.NewClient(t, srv)
	r := c.Repository("library/hello")
	putIndex(t, r, "v1", "x")
	srv.Ledger().Reset()
	c = acrsuite.NewClient(t, srv)
	r = c.Repository("library/hello")
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := r.Artifact("v1").TagProperties(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ledger := srv.Ledger()
	ledger.AtMost(t, 200, "GetTagProperties")
	ledger.AtMost(t, 1, "ExchangeEntraToken")
	ledger.AtMost(t, 1, "GetAccessToken")
	ledger.None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
}

// TestAccessTokenIsNarrow: a token that is handed on allows what was asked, although a wider one is at hand, and is fetched once.
func TestAccessTokenIsNarrow(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	srv.SeedImage(t, "library/app:v1")
	c := acrsuite.NewClient(t, srv)
	if _, err := c.Repository("library/app").PutManifest(t.Context(), "v2", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), nil); err != nil {
		t.Fatal(err) // with a token for pull and push
	}
	before := len(srv.Ledger().Requests("GetAccessToken"))
	for range 2 {
		token, err := c.AccessToken(t.Context(), "repository:library/app:pull")
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(token.Password(), ".")
		if len(parts) != 3 {
			t.Fatal("not a JWT")
		}
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || !strings.Contains(string(claims), `"pull"`) || strings.Contains(string(claims), `"push"`) {
			t.Errorf("%s, %v", claims, err)
		}
	}
	if n := len(srv.Ledger().Requests("GetAccessToken")) - before; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	for _, scopes := range [][]string{{}, {""}, {"repository:a"}, {"repository:a:"}, {"repository:a:pull repository:b:pull"}, {"repository:a:pull\n"}, {":a:pull"}} {
		if _, err := c.AccessToken(t.Context(), scopes...); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("%q: %v", scopes, err)
		}
	}
}
