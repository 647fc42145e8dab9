package retention

import "time"

// Rules say which tags and manifests may be deleted. The first policy that selects a repository
// applies to it. If none does, nothing is deleted from it.
//
// Within a policy, a tag or manifest is deleted if a Delete rule selects it, no Keep rule selects
// it, and nothing that stays needs it. The order of the rules only decides which rule is given as
// the reason.
type Rules struct {
	Version  int      `json:"version"` // Version is 1.
	Policies []Policy `json:"policies"`
}

// Policy has the rules for some repositories.
type Policy struct {
	// Name is part of every reason. It is required and must be unique.
	Name string `json:"name"`

	// Repositories selects the repositories. Required.
	Repositories Patterns `json:"repositories"`

	// Except excludes repositories from the selection; a later policy may select them.
	Except *Patterns `json:"except,omitzero"`

	// Keep and Delete are the rules. At least one Delete rule is required.
	Keep   []Keep   `json:"keep,omitzero"`
	Delete []Delete `json:"delete"`

	// Limits are the maximum that a plan may delete in a repository. Default: see [Limits].
	Limits Limits `json:"limits,omitzero"`

	// Grace protects everything that is younger, whatever the rules say. Default: 24 hours; see
	// NoGrace.
	Grace Age `json:"grace,omitzero"`

	// NoGrace sets the grace period to zero, so that new content may be deleted. Then only the
	// checks of Apply protect content that is being pushed. Default: Grace applies.
	NoGrace bool `json:"noGrace,omitzero"`

	// Unlock allows locked tags and manifests that a Delete rule selects to be unlocked and
	// deleted. Default: locked tags and manifests stay, and everything that they need.
	Unlock bool `json:"unlock,omitzero"`

	// Count is what Keep.Newest counts. Default: Images.
	Count CountOf `json:"count,omitzero"`
}

// Patterns match whole names, never parts of them. A name matches if any of the patterns matches
// it.
type Patterns struct {
	// Glob lists patterns in which "*" matches any text without "/", "**" any text and "?" one
	// character.
	Glob []string `json:"glob,omitzero"`

	// Regexp lists regular expressions (RE2). Each must match the whole name, as with ^ and $.
	Regexp []string `json:"regexp,omitzero"`
}

// Select says which tags and manifests a rule selects. If several fields are set, the rule selects
// what any of them selects; only ExceptTags excludes.
type Select struct {
	// Tags selects tags by name. No pattern selects a tag that attaches its manifest to another
	// image by its name, such as a cosign signature (sha256-....sig): such a tag is kept or deleted
	// with that image. If it is named after its own image, it is selected like any other tag.
	Tags *Patterns `json:"tags,omitzero"`

	// ExceptTags excludes tags from Tags. Without Tags, all other tags are selected.
	ExceptTags *Patterns `json:"exceptTags,omitzero"`

	// Untagged selects manifests that stand alone: no tag points to them, no index contains them
	// and they have no subject.
	Untagged bool `json:"untagged,omitzero"`

	// Orphans selects signatures and other referrers whose subject does not exist, and cosign tags
	// of images that do not exist.
	Orphans bool `json:"orphans,omitzero"`

	// ArtifactTypes selects referrers of these types whose subject exists.
	ArtifactTypes []string `json:"artifactTypes,omitzero"`
}

// Keep protects what it selects. What meets one of its conditions stays: with Newest 10 and Within
// 30 days, the ten newest images and all of the last 30 days. Without a condition, everything that
// it selects stays.
type Keep struct {
	// Name is part of the reason. It is required and must be unique in the policy.
	Name string `json:"name"`

	Select

	// Newest is the number of newest images that stay, of all that the rule selects. Images as new
	// as the last of them stay too. If a regular expression of Tags has a group, such as
	// "(v[0-9]+)\\..*", Newest counts separately for each value of the group. Default: no
	// condition.
	Newest int `json:"newest,omitzero"`

	// Order decides which images are the newest. It requires Newest. Default: [ByUpdated].
	Order OrderBy `json:"order,omitzero"`

	// Within keeps what is younger than this. Default: no condition.
	Within Age `json:"within,omitzero"`

	// Since keeps what is from this time or later. Default: no condition.
	Since time.Time `json:"since,omitzero"`
}

// Delete selects what may be deleted. It has no condition that counts, so a second run does not
// delete what the first one kept.
type Delete struct {
	// Name is part of the reason. It is required and must be unique in the policy.
	Name string `json:"name"`

	Select

	// OlderThan selects what is older than this, Before what is from before this time, and Any
	// everything beyond the policy's Grace. Exactly one of the three is required.
	OlderThan Age       `json:"olderThan,omitzero"`
	Before    time.Time `json:"before,omitzero"`
	Any       bool      `json:"any,omitzero"`

	// By says which time the age is counted from. Default: [Updated].
	By Clock `json:"by,omitzero"`

	// UntagOnly deletes only the selected tags. Another rule with Untagged may delete their
	// manifests later. Default: the manifests are deleted too.
	UntagOnly bool `json:"untagOnly,omitzero"`
}

// OrderBy decides which of two images is newer.
type OrderBy string

// The orders.
const (
	ByUpdated OrderBy = "updated" // when the tag was last pushed
	ByCreated OrderBy = "created" // when the tag was first pushed
	BySemver  OrderBy = "semver"  // the higher semantic version is newer; selected tags that are not a version stay, with a Finding
)

// CountOf is what Keep.Newest counts.
type CountOf string

// The units.
const (
	Images CountOf = "images" // distinct manifests: three tags on one image count once
	Tags   CountOf = "tags"
)

// Clock is the time from which the age of a tag or manifest is counted.
type Clock string

// The clocks.
const (
	Updated   Clock = "updated"  // for a tag, when it was last pushed; for a manifest, its last update, regardless of its tags
	Created   Clock = "created"  // when it was first pushed
	Untagging Clock = "untagged" // for an untagged manifest, when a run with the same Cache last saw a tag on it, or first saw it
)

// Limits are the maximum that a plan may delete in one repository. If a limit is exceeded, the plan
// deletes nothing in the repository ([RefusedLimits]).
type Limits struct {
	// Manifests is the maximum number of deleted manifests. Default: no limit.
	Manifests int `json:"manifests,omitzero"`

	// Percent is the maximum percentage of the repository's manifests that may be deleted. Default:
	// 90.
	Percent float64 `json:"percent,omitzero"`

	// LeaveTags is the number of newest tags that stay, whatever the rules say. -1 means none.
	// Default: 1.
	LeaveTags int `json:"leaveTags,omitzero"`
}

const (
	rulesVersion   = 1
	defaultGrace   = Day
	defaultPercent = 90
)

// grace is the policy's grace period or its default.
func (p *Policy) grace() time.Duration {
	switch {
	case p.NoGrace:
		return 0
	case p.Grace > 0:
		return time.Duration(p.Grace)
	default:
		return time.Duration(defaultGrace)
	}
}

// leaveTags is how many tags always stay.
func (l Limits) leaveTags() int {
	switch {
	case l.LeaveTags < 0:
		return 0
	case l.LeaveTags == 0:
		return 1
	default:
		return l.LeaveTags
	}
}

func (l Limits) percent() float64 {
	if l.Percent == 0 {
		return defaultPercent
	}
	return l.Percent
}

// KeepNewest returns rules for the common case: in each of the repositories, the n newest tagged
// images stay, and everything that is not older than age. Other images are deleted, and so are
// untagged manifests that nothing needs. The patterns are globs, such as "apps/*"; "**" is every
// repository.
//
// Invalid rules, such as those with an n or age of 0, are reported by [Rules.Check] and [Make].
func KeepNewest(n int, age Age, repositories ...string) *Rules {
	all := &Patterns{Glob: []string{"*"}}
	return &Rules{Version: rulesVersion, Policies: []Policy{{
		Name:         "keep-newest",
		Repositories: Patterns{Glob: repositories},
		Keep:         []Keep{{Name: "newest", Select: Select{Tags: all}, Newest: n}},
		Delete: []Delete{
			{Name: "older", Select: Select{Tags: all}, OlderThan: age},
			{Name: "untagged", Select: Select{Untagged: true}, OlderThan: age},
		},
		Limits: Limits{Percent: 100}, // the newest always stay
	}}}
}
