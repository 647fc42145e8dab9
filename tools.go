//go:build tools

package acrkit

// The generator's version is whatever go.mod says: `go generate` runs the module required there, so that a checkout always
// regenerates with the version it was reviewed with.
import (
	_ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
)
