// Package acrkit is the root of the module and holds no code. The library is [github.com/acrkit/acrkit/facade/acr], the emulator
// for tests [github.com/acrkit/acrkit/facade/acrtest]; [github.com/acrkit/acrkit/facade] names all the rooms.
//
// The request code in gen is made from api/openapi.yaml:
//
//	go generate
//
// The generator's version is the one that go.mod requires by way of tools.go.
package acrkit

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config api/oapi-codegen.yaml api/openapi.yaml
