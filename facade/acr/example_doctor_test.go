package acr_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// Find out why a registry cannot be used. fmt.Println(report) prints what is put into a ticket; this example prints what does not
// differ from one run to the next.
func ExampleClient_Doctor() {
	_, client, done := exampleRegistry(acrtest.WithEntraActions("samples/* content/read,metadata/read"))
	defer done()

	report, err := client.Doctor(context.Background(), &acr.DoctorOptions{Repository: "samples/app", Reference: "v1"})
	if err != nil {
		log.Fatal(err) // bad options
	}
	for _, step := range report.Steps {
		fmt.Printf("%-11s %s\n", step.Name, step.Status)
	}
	fmt.Println(report.Status(), "-", report.Step(acr.DoctorPush).Seen)
	// Output:
	// name        ok
	// connection  ok
	// tls         ok
	// clock       ok
	// challenge   ok
	// credential  ok
	// exchange    ok
	// token       ok
	// catalog     warn
	// pull        ok
	// push        warn
	// anonymous   ok
	// storage     ok
	// warn - not granted on samples/app
}

// Act on what is wrong: the first step that failed is an error.
func ExampleDoctorReport_Err() {
	srv, _, done := exampleRegistry()
	defer done()
	client, err := acr.NewClientWithPassword(srv.Endpoint(), "ci", "not-the-password", exampleOptions(srv))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	report, err := client.Doctor(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(report.Err(), acr.ErrWrongPassword))
	fmt.Println(report.Step(acr.DoctorToken).Advice)
	// Output:
	// true
	// check both, that the admin user or token is enabled, and that the token's password has not expired
}
