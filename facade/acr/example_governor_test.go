package acr_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/acrkit/acrkit/facade/acr"
)

// Keep a job within the budgets of its registry, and see what it spent.
func ExampleNewGovernor() {
	srv, _, done := exampleRegistry()
	defer done()

	governor, err := acr.NewGovernor(&acr.GovernorOptions{Tier: acr.TierPremium, Share: 0.5, BytesPerSecond: 50 << 20})
	if err != nil {
		log.Fatal(err)
	}
	opts := exampleOptions(srv)
	opts.Governor = governor
	client, err := acr.NewClient(srv.Endpoint(), srv.Credential(), opts)
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	if err := client.Repository("samples/app").Artifact("v1").Delete(context.Background()); err != nil {
		log.Fatal(err)
	}
	usage := governor.Usage(srv.Host())[acr.BudgetDelete]
	fmt.Println(usage.Requests, "of", usage.PerMinute, "deletions a minute")
	// Output:
	// 1 of 1000 deletions a minute
}

// Read what a Governor knows of a registry.
func ExampleGovernor_Usage() {
	governor, err := acr.NewGovernor(nil)
	if err != nil {
		log.Fatal(err)
	}
	usage := governor.Usage("myregistry.azurecr.io")
	fmt.Println(usage[acr.BudgetDelete].PerMinute, usage[acr.BudgetDelete].Throttled)
	// Output:
	// 475 0
}

// Pace the requests of another azcore client.
func ExampleGovernor_Do() {
	srv, _, done := exampleRegistry()
	defer done()

	governor, err := acr.NewGovernor(nil)
	if err != nil {
		log.Fatal(err)
	}
	pipeline := runtime.NewPipeline("job", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{governor}},
		&policy.ClientOptions{Transport: srv.HTTPClient()})
	req, err := runtime.NewRequest(context.Background(), http.MethodGet, srv.Endpoint()+"/v2/")
	if err != nil {
		log.Fatal(err)
	}
	resp, err := pipeline.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(governor.Usage(srv.Host())[acr.BudgetRead].Requests)
	// Output:
	// 1
}

// Give the registry's budgets yourself, for a registry with other limits or to leave room for others.
func ExampleGovernorOptions() {
	governor, err := acr.NewGovernor(&acr.GovernorOptions{
		PerMinute: map[acr.Budget]int{acr.BudgetRead: 600},
		OnWait:    func(budget acr.Budget, wait time.Duration) { log.Println("waiting", wait, "for", budget) },
	})
	if err != nil {
		log.Fatal(err)
	}
	usage := governor.Usage("myregistry.azurecr.io")
	fmt.Println(usage[acr.BudgetRead].PerMinute, usage[acr.BudgetDelete].PerMinute)
	// Output: 570 475
}
