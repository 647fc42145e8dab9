// Package acrtest is an Azure Container Registry inside the test process.
package acrtest
