// Package transfer moves blobs. It uploads over a [Session] of seven calls, and downloads from a
// [Blob] that can be opened at any offset: as a verifying reader, as an unverified range, or in
// parallel into a [Destination]. It knows no HTTP and no registry. A request that fails is reported
// to it as a [Fault], and everything it decides (ask the registry, continue, begin again, give up)
// can be tested without a server.
//
// # The states of an upload
//
// An upload session at the registry holds the bytes [0, acknowledged) of the blob. The two numbers
// that drive the loop are acked (what the registry has) and sent (the end of what any request of
// this session carried).
//
//	            Start                       every byte acknowledged
//	(none) -------------> OPEN ------------------------------------> COMMITTING ----> DONE
//	  |                   |  ^ Chunk succeeds: acked grows                |  ^          ^
//	  | Whole             |  |                                            |  |          |
//	  | (small blob,      |  | Status: adopt the registry's count         |  |          |
//	  |  one request)     v  |                                            v  |          |
//	  |                 UNSURE <- Chunk fails: nobody knows            UNSURE ----------+
//	  |                   |       what was applied                        |     Stat finds
//	  +-> DONE            |                                               |     the blob
//	                      | the session is gone, or its count is of no use|
//	                      v                                               v
//	                    LOST --- the source can be read again, and this happened less than three times ---> OPEN
//	                      |
//	                      +--- otherwise: LostError
//
// In UNSURE the loop waits (patience counts the failures since the last progress and gives up after
// five), then asks Status. After a commit of unknown outcome it asks Stat first: if the registry
// has the blob, the upload is complete.
//
// Two suspicions may send a refused digest back to LOST, once each, before it becomes
// ErrDigestMismatch:
//
//   - the registry ignored the last chunk in the body of the commit ([Limits] remembers that for later uploads), and
//
//   - the registry's count, believed against our own, was wrong. How far it is believed is the type trust:
//
//     believed ---- its count differs from ours ---> suspected ---- the session is lost or refused ---> ignored
package transfer
