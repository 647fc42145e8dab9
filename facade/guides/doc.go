// Package guides contains no code. It holds the guides, one page for each job:
//
//	authentication.md  every way to sign in; roles, ABAC, tokens for other tools
//	lists.md           list, lock, retag, delete
//	transfers.md       upload and download, with progress, resume and limits
//	images.md          push, pull, copy with signatures, attach, promote
//	retention.md       delete by rules: plan, approve, apply, undo
//	testing.md         test your own code with the emulator: time, faults, ledger
//	observability.md   logs, spans, metrics, and what calls cost
//	errors.md          I see ... -> it means ... -> do ...
//	per-call.md        retries, headers and deadlines of one call; the response behind a result
//	replication.md     geo-replicated registries
//	webassembly.md     programs under node
//	migrating.md       from azcontainerregistry, oras-go, go-containerregistry and acr-cli
//
// Each program in a guide is a function of the tests in this folder, or a program of testdata. They
// run it against the emulator.
package guides
