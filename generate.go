// Package acrkit is the root of the module; the library is in facade/acr.
package acrkit
