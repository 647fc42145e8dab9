// Package acrsuite is the harness of the suites: the tests that hold the library against attacks (rows A01 and on) and
// faults (rows F01 and on). The suites are the packages below it, by subject; each runs alone and beside the others:
//
//	attack     what has to be refused: origins, credentials, arguments, hostile replies
//	upload     blobs and manifests on their way to the registry
//	download   blobs on their way from it
//	content    lists, manifests, deletes, bounds of memory, calls whose context ends
//	signin     tokens, refusals, limits
//
// This package is imported by tests alone. What it holds:
//
//   - World (world.go): an emulated registry of a test's own. The exchanges of its clients are held against the
//     document (package contract), and a Spy looks through what they send.
//   - Fixture (fixture.go): one call in a World: a repository prepared for it, a client without tokens. Its methods
//     judge what came of the call (MustWork, MustFail, Untouched, AtMost, ...).
//   - Calls (calls.go): the table of all calls of the library. World.Over makes a Fixture for each call of a list.
//   - Upload (upload.go): one upload, by each way to hand in content (Uploads), in virtual time.
//   - Delivery (delivery.go): one download, by each Form (form.go, Deliveries), in virtual time.
//   - Attacker (attacker.go), Mask (mask.go), Scripted (scripted.go): who answers in the registry's place.
//   - Secrets (secrets.go): every token, password and signature of the run, looked for wherever it has no business.
//   - Row (book.go): a row of the list, and the totals of a run.
package acrsuite
