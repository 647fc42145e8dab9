package transport

import "net/http"

// For tests of what has no face of its own.
var (
	NewStorageTransport = newStorageTransport
	StorageClone        = storageClone
	GuardDial           = guardDial
)

// Fork returns the body as one attempt gets it.
var Fork = (*Body).fork

// TrustForTest lets a transport of our own trust what the test server's client trusts.
func TrustForTest(t *Transport, client *http.Client) {
	roots := client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, tr := range t.own {
		tr.TLSClientConfig.RootCAs = roots
	}
}
