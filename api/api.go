// Package api holds the contract of the data plane: an OpenAPI 3.0.3 document from which gen is generated, and to which the
// tests hold the client, the emulator and recorded traffic. Nothing but tests imports it.
package api

import _ "embed"

// Document is openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte
