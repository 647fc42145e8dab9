package transfer

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Sizes of chunks.
const (
	DefaultChunk       = 16 << 20
	DefaultStreamChunk = 8 << 20
	maxGrownChunk      = 256 << 20
	maxMinChunk        = 64 << 20 // of what a registry may demand
	patientChunk       = 4 << 20  // above this size, requests that keep failing are made smaller

	// slowChunk is the least size of the chunks of a connection on which larger ones time out.
	slowChunk = 256 << 10

	// growBelow lets chunks double while one takes less time than this: few requests on a fast
	// line, little to lose on a slow one.
	growBelow = time.Second
)

// UploadOptions are the choices of an upload. Only Size, Meter and Limits are required. The loops
// never write to them.
type UploadOptions struct {
	ChunkSize int64            // size of a request body; 0: the default, growing while requests are fast
	Digest    digest.Digest    // expected digest, or empty
	Trust     bool             // leave the check of Digest to the registry and do not hash
	Algorithm digest.Algorithm // of the digest to compute if none is expected
	Size      int64            // expected size, or Unknown
	Meter     *Meter
	Limits    *Limits
	Reporter  *Reporter        // calls Acked; required if that is set
	Acked     func(Checkpoint) // called when the registry has acknowledged more, and after a resume

	Begin  *State      // a session that is already open
	Resume *Checkpoint // continue this upload

	// CommitTime is how long the registry may take to complete the upload: a commit without an answer is
	// not sent again, nor is anything else, before that time is over. 0 or less: DefaultCommitTime.
	CommitTime time.Duration

	// Check, if not nil, is called before the commit. It returns an error if the source is no
	// longer what it was.
	Check func() error

	// InPlace says that reading the source costs little more than a copy. If nothing is hashed either,
	// requests then read the source itself: reading it ahead of them would only copy every byte once more.
	InPlace bool

	Tune Tuning
}

// check calls Check.
func (o *UploadOptions) check() error {
	if o.Check != nil {
		return o.Check()
	}
	return nil
}

// hashing returns the algorithm to hash with.
func (o *UploadOptions) hashing() digest.Algorithm {
	if o.Digest != "" {
		return o.Digest.Algorithm()
	}
	return o.Algorithm
}
