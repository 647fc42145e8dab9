// Package images moves whole images between OCI image layouts, the Azure Container Registry and other registries.
//
// A [Layout] is an OCI image layout: a directory, or a tar archive of one.
package images
