// Package facade contains no code. These are its packages:
//
//	acr                           the library: Client -> Repository -> Artifact, blobs, manifests, lists, errors
//	acrtest                       an Azure Container Registry in the test process
//	retention                     what may be deleted: rules, a plan with reasons, an apply that fails closed, undo
//	credentials                   sign-ins from docker configurations, helpers and podman's files, for acr
//	guides                        one page for each job; their programs are tests
//	acrtest/internal/store        what that registry holds, in memory or in a directory
//	images                        whole images: layouts, archives, copies between registries, oras-go's interfaces
//	internal/auth                 tokens: challenge, scope, exchange, cache, as a policy of the request pipeline
//	internal/redact               what may be shown of a server's text, headers and URLs
//	internal/call                 what a request carries in its context
//	internal/wire                 what is believed of a server: origins, redirects, links, locations, headers, bounds
//	internal/transport            how a request is sent: connections, redirects, time limits, request bodies
//	internal/retry                when a request is sent again: policy, budget
//	internal/transfer             the loops of upload and download, over interfaces of a few methods, without HTTP
//	internal/route                how a connection was made, for the doctor: names, addresses, certificates
//	internal/version              the version of this module, from the build information
//	internal/graph                what a manifest needs: children, config, layers, subject, tags that belong to a digest
//	internal/match                patterns of names, groups, semantic versions
//	internal/crew                 goroutines whose panics reach the caller
//	internal/wait                 sleeping, why a context ended, back-off: shared by all that wait
//	internal/partial              files that are hidden until they are complete; those of downloads are continued after a failure
//	internal/keys                 where the entries of a sorted list are to be expected
//	internal/jsonscan             a JSON scanner without reflection, for long lists
//	internal/pace                 spaces requests so that they stay within budgets
//	internal/observe              counts what calls cost, and logs what delays them
//	internal/contract             compares each exchange of a test with api/openapi.yaml
//	internal/acrsuite             the suites of attacks and faults, by subject, and their harness
//	cmd/tour                      the demonstration
//	cmd/acrtest                   the emulated registry as a program
//	cmd/doctor                    says why a registry cannot be used
//	cmd/docker-credential-acrkit  signs docker and its kin in
//	cmd/retention                 deletes by rules: plan, apply, undo; storage, snapshot, diff
//	cmd/internal/azure            the credential of these programs, and the environment they read
//	cmd/internal/program          their frame: flags, -version, exit statuses, signals
//
// These are the rules of who may import whom. Each is enforced by a test in this folder:
//
//   - Only acr and internal/auth import the generated package gen, and none of its types is in an exported signature.
//   - acr imports neither oras-go nor kin-openapi nor azidentity.
//   - transfer knows no HTTP, and imports none of the packages that send requests. These are, each built on those before
//     it alone: redact, wire, transport, retry, auth. All but auth know no tokens, and auth knows no blobs.
//   - acrtest imports neither gen nor acr. Built from them it would share their mistakes; it is an independent witness.
//   - images uses acr's exported API, crew, graph and match. Of oras-go it takes interfaces and errors, nothing that opens a connection.
//   - credentials uses acr's exported API, and redact for what it shows. Of oras-go it takes what reads docker
//     configurations and runs helpers.
//   - contract, and with it the document in api, is reached from tests alone.
package facade
