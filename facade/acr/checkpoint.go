package acr

import (
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// Checkpoint is what another process needs to go on with an upload: UploadOptions.Resume, or ResumeUpload. As JSON it has less than 1 KiB
// beside the Location, which is the registry's. It holds no credential, but anyone who may push to the repository could go on with it: keep
// it as you keep the content. It is of use as long as the registry keeps the unfinished upload; ACR does not say how long.
type Checkpoint struct {
	Repository string           `json:"repository"`
	Location   string           `json:"location"`
	Offset     int64            `json:"offset"`    // acknowledged by the registry
	Algorithm  digest.Algorithm `json:"algorithm"` // of HashState
	HashState  []byte           `json:"hashState"` // of the bytes before Offset
}

// check refuses a checkpoint that is not of an upload to the repository.
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

// checkpoint is the public form.
func checkpoint(repository string, cp transfer.Checkpoint) Checkpoint {
	return Checkpoint{Repository: repository, Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}

// transfer is the form of the loop.
func (cp *Checkpoint) transfer() *transfer.Checkpoint {
	return &transfer.Checkpoint{Location: cp.Location, Offset: cp.Offset, Algorithm: cp.Algorithm, HashState: cp.HashState}
}
