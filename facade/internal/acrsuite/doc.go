// Package acrsuite is the harness of the suites: the tests that hold the library against attacks (rows A01 and on) and
// faults (rows F01 and on). The suites are the packages below it, by subject; each runs alone and beside the others:
//
//	attack     what has to be refused: origins, credentials, arguments, hostile replies
//	upload     blobs and manifests on their way to the registry
//	download   blobs on their way from it
//	content    lists, manifests, deletes, bounds of memory, calls whose context ends
//	signin     tokens, refusals, limits
//	model      random sequences of calls against a model
//
// Package mutate beside them breaks the guards that the tests are to miss.
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
//   - Children (child.go): the program of the test once more, to be killed or to have its memory measured.
//   - Row (book.go): a row of the list. Totals (totals.go): what a run has shown; Main (main.go) prints it.
//
// # Settings
//
// Uploads and Deliveries run in memory, in virtual time (testing/synctest), at small sizes: who runs when is known, so
// requests, bytes and waits can be counted. UploadsIn and DeliveriesIn run the same test on loopback too, at the sizes
// of production (setting.go).
//
// # How to add a row
//
//  1. Choose the next free id: A for an attack, F for a fault.
//  2. Add it to Rows (rows.go): id, outcome, test, one sentence. The test is package and function, as in
//     "upload.TestSuiteUploadChunk". A row that nothing shows yet has the outcome Open, and the reason in place of the
//     test.
//  3. Call Row from that function. It runs as a parallel sub-test; the first word of its name is the id.
//  4. Run make reliability-rows, which writes the table of facade/RELIABILITY.md.
//
// A row of the upload suite:
//
//	acrsuite.Row(t, "F22 reset in the middle of a chunk", func(t *testing.T) {
//		acrsuite.UploadsIn(t, acrsuite.Everywhere, acrsuite.EverySource, func(u *acrsuite.Upload) {
//			u.Srv.On("UploadChunk").Nth(2).ResetRequestAfter(10_000)
//			u.Arrives()
//			u.ResentAtMost(u.Opts.ChunkSize)
//		})
//	})
//
// TestRows fails if a row is missing, doubled, run by two functions or not in the list. A package outside of this one has
// rows too if its TestMain is acrsuite.Main; the list then names it by its path below facade ("images.TestLayout").
//
// One row runs alone with
//
//	go test ./facade/internal/acrsuite/upload -run '/F22'
package acrsuite
