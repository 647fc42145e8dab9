package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

// registry is where the tour goes.
type registry struct {
	client *acr.Client
	meter  *meter
	what   string // for the reader
	close  func()
}

// connect starts the emulator, or signs in to the registry at endpoint.
func connect(endpoint string) (*registry, error) {
	if endpoint == "" {
		return connectEmulator()
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, TLSHandshakeTimeout: 10 * time.Second}
	m := &meter{next: transport}
	client, err := acr.NewClient(endpoint, cred, &acr.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: m}},
	})
	if err != nil {
		return nil, err
	}
	m.login = strings.TrimPrefix(client.Endpoint(), "https://")
	return &registry{client: client, meter: m, what: "a registry in Azure", close: transport.CloseIdleConnections}, nil
}

func connectEmulator() (*registry, error) {
	s, err := acrtest.Start(acrtest.WithoutAnonymousPull())
	if err != nil {
		return nil, err
	}
	m := &meter{next: s.HTTPClient().Transport, login: s.Host()}
	options := s.ClientOptions()
	options.Transport = &http.Client{Transport: m}
	client, err := acr.NewClient(s.Endpoint(), s.Credential(), &acr.ClientOptions{ClientOptions: options, AllowedHosts: []string{s.Host()}})
	if err != nil {
		s.Close()
		return nil, err
	}
	what := "the emulator, in this process; REGISTRY_ENDPOINT=https://NAME.azurecr.io takes the tour there"
	return &registry{client: client, meter: m, what: what, close: s.Close}, nil
}
