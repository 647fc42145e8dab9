// Package acrkit is the root of the module and holds no code. The library is facade/acr; facade/doc.go names the rooms.
//
// The request code in gen is made from api/openapi.yaml:
//
//	go generate
//
// The generator's version is the one that go.mod requires by way of tools.go.
package acrkit

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config api/oapi-codegen.yaml api/openapi.yaml
