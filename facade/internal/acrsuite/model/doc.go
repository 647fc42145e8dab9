// Package model compares the library with a model: random sequences of calls by two clients, with random faults on the way, have to
// leave the registry as the model says, and to return what the model says. The model (registry_test.go) is a few maps.
package model
