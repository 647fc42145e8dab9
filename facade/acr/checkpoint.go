package acr

import (
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Checkpoint is the state that another process needs to resume an upload, with
// [UploadOptions].Resume or [Repository.ResumeUpload]. Its JSON form has less than 1 KiB plus the
// Location. It contains no credential, but anyone who may push to the repository can continue the
// upload with it, so protect it like the content. It is valid while the registry keeps the
// unfinished upload; ACR does not document how long.
type Checkpoint struct {
	Repository string           `json:"repository"`
	Location   string           `json:"location"`
	Offset     int64            `json:"offset"`    // acknowledged by the registry
	Algorithm  digest.Algorithm `json:"algorithm"` // of HashState
	HashState  []byte           `json:"hashState"` // of the bytes before Offset
}

// check fails if the checkpoint does not belong to an upload to the repository.
func (cp *Checkpoint) check(r *Repository) error {
	switch {
	case cp.Repository == "":
		return badArgument("checkpoint", "", "it does not name a repository")
	case cp.Repository != r.name:
		return badArgument("checkpoint", cp.Repository, "it belongs to another repository")
	case cp.Offset < 0:
		return badArgument("checkpoint", strconv.FormatInt(cp.Offset, 10), "its offset must not be negative")
	}
	return nil
}

// checkpoint returns the public form.
func checkpoint(repository string, cp transfer.Checkpoint) Checkpoint {
	return Checkpoint{Repository: repository, Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}

// transfer returns the form of the loop.
func (cp *Checkpoint) transfer() *transfer.Checkpoint {
	return &transfer.Checkpoint{Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}
