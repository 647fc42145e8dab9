package retention

import "time"

// Rules say which tags and manifests may be deleted. A repository is governed by the first policy
// that names it, and left alone if none does.
//
// Within a policy a tag or manifest is deleted if a Delete rule selects it, no Keep rule does, and
// nothing that stays needs it. The order of the rules changes nothing except which of them is named
// as the reason.
type Rules struct {
	Version  int      `json:"version"` // Version is 1.
	Policies []Policy `json:"policies"`
}

// Policy holds the rules of some repositories.
type Policy struct {
	// Name stands in every reason. It is required, and unique.
	Name string `json:"name"`

	// Repositories selects the repositories. Required.
	Repositories Patterns `json:"repositories"`

	// Except takes repositories out of the selection; a later policy may govern them.
	Except *Patterns `json:"except,omitzero"`

	// Keep and Delete are the rules. At least one Delete rule is required.
	Keep   []Keep   `json:"keep,omitzero"`
	Delete []Delete `json:"delete"`

	// Limits refuse a plan that would delete too much.
	Limits Limits `json:"limits,omitzero"`

	// Grace protects everything that is younger, whatever the rules say. Default: 24 hours. To have
	// none, set NoGrace.
	Grace Age `json:"grace,omitzero"`

	// NoGrace allows the deletion of things of any age. Content that is being pushed is then
	// protected by nothing but the checks of Apply.
	NoGrace bool `json:"noGrace,omitzero"`

	// Unlock allows locked tags and manifests that a Delete rule selects to be unlocked and
	// deleted. Default: locked things, and all that they need, stay.
	Unlock bool `json:"unlock,omitzero"`

	// Count is what Keep.Newest counts. Default: Images.
	Count CountOf `json:"count,omitzero"`
}

// Patterns match whole names, never parts of them. A name matches if any one of the patterns does.
type Patterns struct {
	// Glob holds patterns in which "*" is any text without "/", "**" is any text and "?" is one
	// character.
	Glob []string `json:"glob,omitzero"`

	// Regexp holds regular expressions (RE2) that match as if they began with ^ and ended with $.
	Regexp []string `json:"regexp,omitzero"`
}

// Select says what a rule is about. A rule with several members is about all that any of them
// selects, except ExceptTags, which takes tags out.
type Select struct {
	// Tags selects tags by name. Tags that belong to an image by their name, such as cosign's
	// signatures (sha256-....sig), are not selected by any pattern: they go and stay with their
	// image. A tag that names the very image that it points to is a tag like any other.
	Tags *Patterns `json:"tags,omitzero"`

	// ExceptTags takes tags out of Tags; without Tags, all other tags are selected.
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

// Keep protects what it selects. Each of its conditions is enough: with Newest 10 and Within 30
// days, the ten newest stay and all of the last month. Without a condition, all that it selects
// stays.
type Keep struct {
	// Name stands in the reason. It is required, and unique in the policy.
	Name string `json:"name"`

	Select

	// Newest is how many of the selected images stay: of all that are selected, not only of those
	// that would be deleted. Images that are equally new as the last of them stay too. If a regular
	// expression of Tags captures a group, such as "(v[0-9]+)\\..*", it counts for each value of
	// the group apart. 0: no condition.
	Newest int `json:"newest,omitzero"`

	// Order says what Newest means. Default: ByUpdated.
	Order OrderBy `json:"order,omitzero"`

	// Within keeps what is younger. 0: no condition.
	Within Age `json:"within,omitzero"`

	// Since keeps what is not older than this moment. Zero: no condition.
	Since time.Time `json:"since,omitzero"`
}

// Delete selects what may be deleted. It counts nothing, so that a second run deletes nothing that
// the first one kept.
type Delete struct {
	// Name stands in the reason. It is required, and unique in the policy.
	Name string `json:"name"`

	Select

	// OlderThan, Before or Any is required. Any selects things of any age beyond the policy's
	// Grace.
	OlderThan Age       `json:"olderThan,omitzero"`
	Before    time.Time `json:"before,omitzero"`
	Any       bool      `json:"any,omitzero"`

	// By says which time counts as the age. Default: Updated.
	By Clock `json:"by,omitzero"`

	// UntagOnly deletes the selected tags and leaves their manifests to a rule with Untagged.
	UntagOnly bool `json:"untagOnly,omitzero"`
}

// OrderBy is what makes one image newer than another.
type OrderBy string

// The orders.
const (
	ByUpdated OrderBy = "updated" // when the tag was last pushed
	ByCreated OrderBy = "created" // when the tag was first pushed
	BySemver  OrderBy = "semver"  // the tag as a semantic version; selected tags that are no version stay, with a Finding
)

// CountOf is what Keep.Newest counts.
type CountOf string

// The units.
const (
	Images CountOf = "images" // distinct manifests: three tags on one image count once
	Tags   CountOf = "tags"
)

// Clock is the time that counts as the age of a tag or manifest.
type Clock string

// The clocks.
const (
	Updated   Clock = "updated"  // of a tag: when it was last pushed; of a manifest: its own last update, whatever its tags
	Created   Clock = "created"  // when it was first pushed
	Untagging Clock = "untagged" // of an untagged manifest: when a run with the same Cache last saw a tag on it, or first saw it
)

// Limits bound what a plan deletes of one repository. A plan that exceeds a limit is refused for
// the repository, not cut.
type Limits struct {
	// Manifests is the largest number of deleted manifests. 0: no limit.
	Manifests int `json:"manifests,omitzero"`

	// Percent is the largest part of the repository's manifests that may be deleted. 0: 90.
	Percent float64 `json:"percent,omitzero"`

	// LeaveTags is how many of the newest tags stay, whatever the rules say. 0: 1. -1: a repository
	// may lose all of its tags.
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

// KeepNewest returns rules for the common case: in each of the repositories the n newest tagged
// images stay, and everything that was pushed within age. Older images are deleted, and so are
// manifests that nothing needs. The patterns are globs, such as "apps/*"; "**" is every repository.
//
// Rules that cannot be used, such as with an n or age of 0, are reported by [Rules.Check] and
// [Make].
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
