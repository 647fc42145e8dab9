package fakeacr

import "github.com/acrkit/acrkit/testdata/bench/content"

// Config is one scenario. It is swapped as a whole between measurements, which
// also forgets all uploads, tokens and counters.
type Config struct {
	// LatencyMS delays every request by that much, and the first read of every
	// new connection by twice that (TCP and TLS handshakes).
	LatencyMS int `json:"latency_ms,omitempty"`
	// CapMBps limits every connection, in each direction, to that many MB/s.
	CapMBps int `json:"cap_mbps,omitempty"`
	// NoRedirect serves blobs from the registry itself. By default a blob GET is
	// answered by a 307 to the storage listener, as ACR does.
	NoRedirect bool `json:"no_redirect,omitempty"`
	// NoSinglePost refuses to take a blob in the POST that opens an upload: the
	// body is ignored and the upload left open.
	NoSinglePost bool `json:"no_single_post,omitempty"`
	// DefaultPage is the page size of lists when the client does not ask for one
	// (100 if zero); MaxPage caps what it may ask for (1000 if zero).
	DefaultPage int `json:"default_page,omitempty"`
	MaxPage     int `json:"max_page,omitempty"`
	// Tags and Manifests are the lengths of the lists of every repository; there
	// can be 50,000 manifests at most.
	Tags      int `json:"tags,omitempty"`
	Manifests int `json:"manifests,omitempty"`
	// Images makes every repository hold Manifests images that can be read, and Tags tags of them in turn.
	Images bool `json:"images,omitempty"`
	// Verify hashes uploaded bytes and refuses a wrong digest. Without it big
	// uploads are only counted, which keeps the server cheap.
	Verify bool `json:"verify,omitempty"`
	// Blobs are the blobs that the server can produce. Those with Exists can be
	// read from any repository from the start, the others after they were pushed.
	Blobs []Blob `json:"blobs,omitempty"`
	// Faults.
	DropGet   Drop              `json:"drop_get,omitzero"`
	DropPatch Drop              `json:"drop_patch,omitzero"`
	Reject    map[string]Reject `json:"reject,omitempty"` // by request kind
	// Partial says what becomes of an upload when a request that adds to it breaks
	// off: Cancel, Forget or Keep.
	Partial Partial `json:"partial,omitempty"`
	// MaxBody refuses upload requests with a longer body by a 413.
	MaxBody int64 `json:"max_body,omitempty"`
	// TokenTTLSeconds is the life of access tokens (one hour if zero).
	TokenTTLSeconds int `json:"token_ttl_seconds,omitempty"`
}

// Blob is a deterministic blob with its digest, if it has been computed already.
type Blob struct {
	content.Blob
	Digest string `json:"digest,omitempty"`
	Exists bool   `json:"exists,omitempty"`
}

// Drop breaks connections: Times times, when a blob transfer passes byte After.
type Drop struct {
	After int64 `json:"after,omitempty"`
	Times int64 `json:"times,omitempty"`
}

// Reject answers the first Times requests of a kind with Status.
type Reject struct {
	Status     int   `json:"status"`
	Times      int64 `json:"times"`
	RetryAfter int   `json:"retry_after,omitempty"` // seconds
}

// Stats are the counters since the last Config.
type Stats struct {
	Requests     int64            `json:"requests"`
	Kinds        map[string]int64 `json:"kinds"`
	RegistryConn int64            `json:"registry_conns"`
	StorageConn  int64            `json:"storage_conns"`
	Unauthorized int64            `json:"unauthorized"`
	BodyIn       int64            `json:"body_in"`  // blob bytes received
	BodyOut      int64            `json:"body_out"` // blob bytes sent
	Drops        int64            `json:"drops"`
	Rejects      int64            `json:"rejects"`
	BadDigests   int64            `json:"bad_digests"`
	Completed    int64            `json:"completed"` // finished uploads
	MaxInFlight  int64            `json:"max_in_flight"`
	CPUSeconds   float64          `json:"cpu_seconds"` // of the server process
}

// Partial is what a registry does with half a request.
type Partial string

const (
	// Cancel is what distribution 2.8 does, and all that is known of ACR points the
	// same way: the bytes stay, so that the state in the client's location is out of
	// date; the next request that uses it gets a 404 and ends the upload.
	Cancel Partial = ""
	// Forget drops the bytes: the request can be sent again.
	Forget Partial = "forget"
	// Keep keeps the bytes: the client can ask for the offset and go on from there.
	Keep Partial = "keep"
)
