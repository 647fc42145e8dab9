package guides_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
)

func pingOnce(ctx context.Context, client *acr.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1}) // not even one
	return client.Ping(ctx)
}

func withTrace(ctx context.Context, repository *acr.Repository, id string) error {
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {id}})
	_, err := repository.Properties(ctx)
	return err
}

func correlationID(ctx context.Context, repository *acr.Repository) (string, error) {
	var response *http.Response
	_, err := repository.Properties(policy.WithCaptureResponse(ctx, &response))
	if err != nil {
		return "", err
	}
	return response.Header.Get("X-Ms-Correlation-Request-Id"), nil
}

type counter struct{ requests atomic.Int64 }

func (c *counter) Do(req *policy.Request) (*http.Response, error) {
	c.requests.Add(1)
	return req.Next()
}

func counted(endpoint string, cred azcore.TokenCredential, opts acr.ClientOptions) (*acr.Client, *counter, error) {
	c := new(counter)
	opts.PerRetryPolicies = append(opts.PerRetryPolicies, c) // once for each try; PerCallPolicies: once for each request
	client, err := acr.NewClient(endpoint, cred, &opts)
	return client, c, err
}

func nextTags(ctx context.Context, repository *acr.Repository, after string, n int) ([]string, error) {
	var tags []string
	for tag, err := range repository.Tags(ctx, &acr.ListTagsOptions{After: after, PageSize: n}) {
		if err != nil {
			return tags, err
		}
		if tags = append(tags, tag.Name); len(tags) == n {
			break
		}
	}
	return tags, nil
}

// What a context can change for one call, and what comes back.
func Example_perCall() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	srv.SeedTags(nil, "shop/many", 5)

	srv.On("CheckSupport").Always().Status(503)
	fmt.Println(pingOnce(ctx, client) != nil, srv.Ledger().Count("CheckSupport"))
	check(withTrace(ctx, client.Repository("shop/web"), "request-7"))
	fmt.Println(srv.Ledger().Requests("GetRepositoryProperties")[0].Header.Get("X-Ms-Client-Request-Id"))
	id, err := correlationID(ctx, client.Repository("shop/web"))
	check(err)
	fmt.Println(id != "")

	second, c, err := counted(srv.Endpoint(), srv.Credential(), *reach(srv))
	check(err)
	defer second.CloseIdleConnections()
	first, err := nextTags(ctx, second.Repository("shop/many"), "", 3)
	check(err)
	rest, err := nextTags(ctx, second.Repository("shop/many"), first[2], 3)
	check(err)
	fmt.Println(first, rest, c.requests.Load())
	// Output:
	// true 1
	// request-7
	// true
	// [t000000 t000001 t000002] [t000003 t000004] 4
}
