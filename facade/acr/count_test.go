package acr_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// registryOf starts a registry of so many repositories with an image each.
func registryOf(t *testing.T, repositories int, opts ...acrtest.Option) (*acrtest.Server, []string) {
	t.Helper()
	srv := acrsuite.NewServer(t, opts...)
	names := make([]string, repositories)
	for i := range names {
		names[i] = fmt.Sprintf("count/r%02d", i)
		srv.SeedImage(t, names[i]+":v1")
	}
	return srv, names
}

// inParallel calls do for each number below n from so many goroutines.
func inParallel(t *testing.T, workers, n int, do func(i int) error) {
	t.Helper()
	numbers := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
}

// spent demands what a job may cost: so many requests in all, of which so many for tokens and exchanges; and not one that was refused.
func spent(t *testing.T, srv *acrtest.Server, requests, tokens, exchanges int) {
	t.Helper()
	l := srv.Ledger()
	l.AtMost(t, requests+tokens+exchanges)
	l.AtMost(t, tokens, "GetAccessToken", "GetAccessTokenWithBasic")
	l.AtMost(t, exchanges, "ExchangeEntraToken")
	l.None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
}

// TestCostOfReads counts at the registry what sign-in adds to the requests themselves.
func TestCostOfReads(t *testing.T) {
	t.Parallel()
	t.Run("200 reads over 8 repositories by 8 goroutines", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 8)
		client := acrsuite.NewClient(t, srv)
		inParallel(t, 8, 200, func(i int) error {
			_, err := client.Repository(names[i%len(names)]).GetManifest(t.Context(), "v1")
			return err
		})
		spent(t, srv, 200, 8, 1)
	})
	t.Run("1,000 property reads over 50 repositories", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50)
		readProperties(t, acrsuite.NewClient(t, srv), names)
		spent(t, srv, 1000, 50, 1)
	})
	t.Run("1,000 property reads with a registry-wide token", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50)
		readProperties(t, acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) { o.RegistryWideToken = true }), names)
		spent(t, srv, 1000, 1, 1)
	})
	t.Run("1,000 property reads with a registry-wide token that an ABAC registry does not give", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 50, acrtest.WithABAC())
		readProperties(t, acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) { o.RegistryWideToken = true }), names)
		spent(t, srv, 1000, 50, 1)
	})
	t.Run("50 cold calls at once", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		client := acrsuite.NewClient(t, srv)
		inParallel(t, 50, 50, func(int) error {
			_, err := client.Repository(names[0]).HeadManifest(t.Context(), "v1")
			return err
		})
		spent(t, srv, 50, 1, 1)
	})
	t.Run("a cold HEAD", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		if _, err := acrsuite.NewClient(t, srv).Repository(names[0]).HeadManifest(t.Context(), "v1"); err != nil {
			t.Error(err)
		}
		srv.Ledger().AtMost(t, 3)
	})
	t.Run("a cold HEAD by password, and anonymous", func(t *testing.T) {
		t.Parallel()
		srv, names := registryOf(t, 1)
		user, password := srv.Admin()
		byPassword, err := acr.NewClientWithPassword(srv.Endpoint(), user, password, acrsuite.ClientOptions(srv, acrsuite.Checked(t, srv)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(byPassword.CloseIdleConnections)
		for _, client := range []*acr.Client{byPassword, acrsuite.NewAnonymousClient(t, srv)} {
			srv.Ledger().Reset()
			if _, err := client.Repository(names[0]).HeadManifest(t.Context(), "v1"); err != nil {
				t.Error(err)
			}
			spent(t, srv, 1, 1, 0)
		}
	})
	t.Run("every call of the table on one repository", func(t *testing.T) {
		t.Parallel()
		// Each action is a scope of its own, a delete includes none of the others: no call is refused first.
		w := acrsuite.NewWorld(t)
		w.Over(acrsuite.SteadyCalls(), func(f *acrsuite.Fixture) {
			f.MustWork(f.Run())
			f.AtMost(1, "ExchangeEntraToken")
			tokens := 2
			if f.Call.Method == "Artifact.Delete" { // resolves the tag, asks about referrers, deletes
				tokens = 3
			}
			f.AtMost(tokens, "GetAccessToken")
			f.Srv.Ledger().None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
		})
	})
}

// TestUsageIsExact: whatever fails and is repeated, and however many calls run at once, the usage of the calls, the metrics of the
// client and the registry's ledger say the same, and each fault costs one repetition.
func TestUsageIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		srv.SeedImage(t, "samples/app:v1")
		blob := srv.SeedBlob(t, "samples/app", make([]byte, 300_000))
		faults := []*acrtest.Fault{
			srv.On("GetAccessToken").Nth(1).Status(503), srv.On("ExchangeEntraToken").Nth(1).DropReply(),
			srv.On("ListTags").Nth(2).Status(429, time.Second), srv.On("ListTags").Nth(5).TruncateClean(20),
			srv.On("HeadManifest").Nth(3).Status(401).Header("WWW-Authenticate", `Bearer realm="x",service="x",error="invalid_token"`),
			srv.On("PutManifest").Nth(2).DropReply(),
			srv.On("GetBlob").Nth(2).Status(502), srv.On("GetBlobContent").Nth(2).Truncate(100_000), srv.On("GetBlobContent").Nth(5).Status(403),
			srv.On("StartUpload").Nth(2).Status(503), srv.On("UploadChunk").Nth(4).ResetRequestAfter(10_000), srv.On("UploadChunk").Nth(9).Status(500),
		}
		var mu sync.Mutex
		var seen []acr.RequestMetrics
		client := acrsuite.NewClientVia(t, srv, srv.HTTPClient(), func(o *acr.ClientOptions) {
			o.OnRequest = func(_ context.Context, m acr.RequestMetrics) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, m)
			}
		})
		repository := client.Repository("samples/app")
		ctx, usage := acr.WithUsage(t.Context())
		inParallel(t, 8, 40, func(i int) (err error) {
			switch i % 5 {
			case 0:
				_, err = acr.Collect(repository.Tags(ctx, nil))
			case 1:
				_, err = repository.HeadManifest(ctx, "v1")
			case 2:
				_, err = repository.Tag(ctx, "v1", fmt.Sprintf("copy-%d", i), nil)
			case 3:
				_, err = repository.DownloadBlob(ctx, blob, nowhere{}, &acr.DownloadOptions{Concurrency: 1})
			default:
				content := make([]byte, 100_000+i)
				_, err = repository.UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 40_000})
			}
			return err
		})
		client.CloseIdleConnections()
		var want acr.Usage
		for _, m := range seen {
			want.Requests, want.BytesSent, want.BytesReceived = want.Requests+1, want.BytesSent+m.BytesSent, want.BytesReceived+m.BytesReceived
			if m.Status == http.StatusOK && (m.Operation == "GetAccessToken" || m.Operation == "ExchangeEntraToken") {
				want.Tokens++
			}
			if m.Operation == "" || m.Try < 1 || m.Host != srv.Host() && m.Host != srv.StorageHost() {
				t.Errorf("%+v", m)
			}
		}
		for _, f := range faults {
			if want.Retries += int64(f.Hits()); f.Hits() != 1 {
				t.Errorf("a fault was met %d times", f.Hits())
			}
		}
		got := usage()
		if want.Waited = got.Waited; got != want || int(got.Requests) != srv.Ledger().Count() || got.Waited < time.Second {
			t.Errorf("usage %+v\nmetrics and faults %+v\n%d requests at the registry", got, want, srv.Ledger().Count())
		}
	})
}

// TestSpansCountBodies: what the spans of calls say of bytes and requests is what the usage says, to the last byte of the body.
func TestSpansCountBodies(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	d := srv.SeedImage(t, "samples/app:v1")
	srv.SeedReferrer(t, "samples/app", d, "application/x")
	blob := srv.SeedBlob(t, "samples/app", make([]byte, 300_000))
	var mu sync.Mutex
	var spans acr.Usage
	client := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
		o.TracingProvider = spansThatEnd(func(_ string, attributes map[string]any) {
			number := func(key string) int64 { n, _ := attributes[key].(int64); return n }
			mu.Lock()
			defer mu.Unlock()
			spans.Requests += number("acr.requests")
			spans.BytesSent += number("acr.bytes_sent")
			spans.BytesReceived += number("acr.bytes_received")
		})
	})
	repository := client.Repository("samples/app")
	for name, call := range map[string]func(ctx context.Context) error{
		"Tags":         func(ctx context.Context) error { _, err := acr.Collect(repository.Tags(ctx, nil)); return err },
		"Manifests":    func(ctx context.Context) error { _, err := acr.Collect(repository.Manifests(ctx, nil)); return err },
		"Repositories": func(ctx context.Context) error { _, err := acr.Collect(client.Repositories(ctx, nil)); return err },
		"Referrers":    func(ctx context.Context) error { _, err := acr.Collect(repository.Referrers(ctx, d, nil)); return err },
		"GetManifest":  func(ctx context.Context) error { _, err := repository.GetManifest(ctx, "v1"); return err },
		"Properties":   func(ctx context.Context) error { _, err := repository.Properties(ctx); return err },
		"Tag":          func(ctx context.Context) error { _, err := repository.Tag(ctx, "v1", "v2", nil); return err },
		"DownloadBlob": func(ctx context.Context) error {
			_, err := repository.DownloadBlob(ctx, blob, nowhere{}, nil)
			return err
		},
		"UploadBlob": func(ctx context.Context) error {
			_, err := repository.UploadBlob(ctx, strings.NewReader("some content"), nil)
			return err
		},
	} {
		mu.Lock()
		spans = acr.Usage{}
		mu.Unlock()
		ctx, usage := acr.WithUsage(t.Context())
		if err := call(ctx); err != nil {
			t.Fatal(name, err)
		}
		mu.Lock()
		if u := usage(); spans.Requests != u.Requests || spans.BytesSent != u.BytesSent || spans.BytesReceived != u.BytesReceived || u.Requests == 0 {
			t.Errorf("%s: usage %+v, spans %+v", name, u, spans)
		}
		mu.Unlock()
	}
}

// TestSpanOfAPanic: the span of a call ends even if a policy panics.
func TestSpanOfAPanic(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	ended := 0
	client := acrsuite.NewClient(t, srv, func(o *acr.ClientOptions) {
		o.TracingProvider = spansThatEnd(func(string, map[string]any) { ended++ })
		o.PerCallPolicies = append(o.PerCallPolicies, panics{})
	})
	for want, call := range []func(){
		func() { _ = client.Ping(t.Context()) },
		func() { _, _ = client.Repository("samples/app").GetManifest(t.Context(), "v1") },
	} {
		func() {
			defer func() {
				if recover() == nil || ended != want+1 {
					t.Errorf("%d spans have ended after call %d", ended, want+1)
				}
			}()
			call()
		}()
	}
}

type panics struct{}

func (panics) Do(*policy.Request) (*http.Response, error) { panic("on purpose") }

// TestUsageOfCanceled: a repetition that a canceled call was waiting for did not happen.
func TestUsageOfCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
		srv.SeedImage(t, "samples/app:v1")
		srv.On("ListTags").Always().Status(429, 50*time.Second)
		ctx, usage := acr.WithUsage(t.Context())
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(20*time.Second, cancel)
		_, err := acr.Collect(acrsuite.NewClient(t, srv).Repository("samples/app").Tags(ctx, nil))
		if u := usage(); err == nil || u.Retries != 0 || u.Requests != 3 || u.Waited != 20*time.Second {
			t.Errorf("%v, %+v", err, u)
		}
	})
}

// readProperties reads the properties of the repositories a thousand times, from a hundred goroutines.
func readProperties(t *testing.T, client *acr.Client, names []string) {
	t.Helper()
	inParallel(t, 100, 1000, func(i int) error {
		p, err := client.Repository(names[i%len(names)]).Properties(context.WithoutCancel(t.Context()))
		if err == nil && p.Name != names[i%len(names)] {
			err = fmt.Errorf("properties of %s", p.Name)
		}
		return err
	})
}

// What is left of a token's life when the registry issues it: nbf lies 15 minutes back. See
// https://learn.microsoft.com/azure/container-registry/container-registry-authentication.
const (
	refreshLife   = 11700*time.Second - 900*time.Second
	accessLife    = 4500*time.Second - 900*time.Second
	anonymousLife = 1200*time.Second - 900*time.Second
)

// renewals is how many tokens of a life a job of the given length needs, when each is renewed at 80 % of its life.
func renewals(job, life time.Duration) int { return int(job/(life*4/5)) + 1 }

// TestThreeDays makes a call every few minutes for 72 hours (30 under the race detector): none fails or is refused, and no token is
// renewed sooner than its life asks for.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	job := time.Duration(acrsuite.UnderRace(30, 72)) * time.Hour
	for _, sign := range []acrsuite.SignIn{acrsuite.ByEntra, acrsuite.ByPassword, acrsuite.ByAnonymous} {
		t.Run(string(sign), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := acrsuite.NewWorld(t, acrtest.WithMemoryNetwork())
				w.Sign = sign
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
				pauses := []time.Duration{20 * time.Second, 2 * time.Minute, 7 * time.Minute, 13 * time.Minute}
				if sign == acrsuite.ByAnonymous {
					pauses = []time.Duration{20 * time.Second, 4 * time.Minute, 5 * time.Minute}
				}
				n := 0
				for began := time.Now(); time.Since(began) < job; n++ {
					f.MustWork(f.Run())
					if n%50 == 0 {
						_, err := acr.Collect(f.Repository().TagNames(f.Ctx, nil)) // of the same scope
						f.MustWork(err)
					}
					time.Sleep(pauses[n%len(pauses)]) // of the bubble
				}
				l := f.Srv.Ledger()
				switch sign {
				case acrsuite.ByEntra:
					l.AtMost(t, renewals(job, refreshLife), "ExchangeEntraToken")
					l.AtMost(t, renewals(job, accessLife), "GetAccessToken")
				case acrsuite.ByPassword:
					l.AtMost(t, renewals(job, accessLife), "GetAccessTokenWithBasic")
				default:
					// The registry answers equal anonymous requests with the same token for a minute; what is left of it counts.
					l.AtMost(t, renewals(job, anonymousLife), "GetAccessToken")
				}
				l.None(t, func(r acrtest.Request) bool { return r.Status == http.StatusUnauthorized })
				if got := l.Count("HeadManifest"); got != n || n < int(job/(6*time.Minute)) {
					t.Errorf("%d calls, %d requests", n, got)
				}
			})
		})
	}
}
