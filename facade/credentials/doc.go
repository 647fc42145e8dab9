// Package credentials finds the credential that docker, podman, helm, oras or a credential helper
// has stored for a registry, and makes an acr.Client with it.
//
//	client, err := credentials.NewClient(ctx, "myregistry.azurecr.io", nil)
//
// The files have the format of docker's config.json. They are read, never written:
//
//   - auths: a user name and password, or an identity token
//   - credHelpers and credsStore: programs called docker-credential-NAME, which this package runs
//
// Only the entry of the registry is used. Credentials of other registries in the same file are not
// sent anywhere.
//
// To let oras-go, go-containerregistry or regclient sign in with an acr.Client, see the adapters in
// the folder testdata/interop/login of this module.
package credentials
