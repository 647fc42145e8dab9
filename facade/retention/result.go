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

// Complete returns whether everything was done: every repository is Done, and nothing was skipped.
// What was skipped may be right, such as an image that was tagged meanwhile; the reasons are in
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
	Deleted  int       `json:"deleted"`           // Deleted counts manifests that were deleted, or were gone already.
	Untagged int       `json:"untagged"`          // Untagged counts tags that were deleted alone.
	Restored int       `json:"restored,omitzero"` // Restored counts what Undo put back.
	Skipped  []Skipped `json:"skipped,omitzero"`
	Repaired []Skipped `json:"repaired,omitzero"` // Repaired were deleted, then needed by something pushed in that moment, and put back.
}

// State is how far a repository got.
type State string

// The states.
const (
	Done        State = "done"
	Refused     State = "refused"     // it could not be judged, or refuses deletions
	Stopped     State = "stopped"     // too much had changed, or too much failed
	Interrupted State = "interrupted" // the context ended, or the journal failed
)

// Skipped is something that was planned and not done.
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
	SkippedMoved     SkipCode = "moved"     // a tag was taken away from it, or is elsewhere
	SkippedUpdated   SkipCode = "updated"   // it was pushed again
	SkippedLocked    SkipCode = "locked"    // it was locked or quarantined
	SkippedNeeded    SkipCode = "needed"    // something that stays needs it
	SkippedGone      SkipCode = "gone"      // it does not exist any more
	SkippedFailed    SkipCode = "failed"    // the request failed
	SkippedBlobsGone SkipCode = "blobsGone" // its content is no longer in the registry
)
