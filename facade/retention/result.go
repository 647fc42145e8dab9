package retention

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// Result says what Apply or Undo did.
type Result struct {
	Plan         digest.Digest       `json:"plan,omitzero"`
	Repositories []*RepositoryResult `json:"repositories"`
}

// Complete reports whether everything was done: every repository is Done, and nothing was skipped.
// Skipping may be right, such as for an image that was tagged meanwhile; see the reasons in
// Skipped.
func (r *Result) Complete() bool {
	return !slices.ContainsFunc(r.Repositories, func(one *RepositoryResult) bool {
		return one.State != Done || len(one.Skipped) > 0
	})
}

// RepositoryResult is the part of a Result about one repository.
type RepositoryResult struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Detail   string    `json:"detail,omitzero"`   // Detail says why the State is not Done.
	Deleted  int       `json:"deleted"`           // Deleted is the number of manifests that were deleted, by Apply or by somebody else meanwhile.
	Untagged int       `json:"untagged"`          // Untagged is the number of tags that were deleted without their manifest.
	Restored int       `json:"restored,omitzero"` // Restored is the number of manifests and tags that Undo restored.
	Skipped  []Skipped `json:"skipped,omitzero"`
	Repaired []Skipped `json:"repaired,omitzero"` // Repaired were deleted, and restored because something needs them that was pushed meanwhile, or that stays after all.
}

// State is the result of Apply or Undo for a repository.
type State string

// The states.
const (
	Done        State = "done"
	Refused     State = "refused"     // it could not be read completely, its plan was refused, or the registry refuses deletions; see Deleted
	Stopped     State = "stopped"     // not all was deleted: too much had changed, or too much failed
	Interrupted State = "interrupted" // the context ended, or the journal failed
)

// Skipped is something that was planned and not done, or that is missing because it could not be
// put back.
type Skipped struct {
	What   string   `json:"what"` // a digest or tag
	Code   SkipCode `json:"code"`
	Detail string   `json:"detail"`
}

// SkipCode says why something was not done.
type SkipCode string

// The codes.
const (
	SkippedKept      SkipCode = "kept"      // the rules keep it now
	SkippedTagged    SkipCode = "tagged"    // a tag was put on it
	SkippedMoved     SkipCode = "moved"     // a tag of it was deleted or moved
	SkippedUpdated   SkipCode = "updated"   // it was pushed again
	SkippedLocked    SkipCode = "locked"    // it is locked or in quarantine
	SkippedNeeded    SkipCode = "needed"    // something that stays needs it
	SkippedGone      SkipCode = "gone"      // it does not exist any more
	SkippedFailed    SkipCode = "failed"    // the request failed
	SkippedBlobsGone SkipCode = "blobsGone" // its content is no longer in the registry
)
