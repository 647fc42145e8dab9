package retention

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// Plan says what would be deleted, and why. The same registry content, rules and time give the same
// plan, byte for byte.
type Plan struct {
	Version      int               `json:"version"`        // Version is 1.
	Registry     string            `json:"registry"`       // Registry is the endpoint, such as https://myregistry.azurecr.io.
	Made         time.Time         `json:"made"`           // Made is the registry's time before the first list was read.
	Rules        *Rules            `json:"rules"`          // Rules are those the plan was made with. Apply uses them again.
	InUse        int               `json:"inUse,omitzero"` // InUse is the number of PlanOptions.InUse. Apply needs at least as many.
	Repositories []*RepositoryPlan `json:"repositories"`

	own bool // made in this process, and not read from a file
}

// RepositoryPlan is the part of a plan about one repository.
type RepositoryPlan struct {
	Name      string     `json:"name"`
	Policy    string     `json:"policy"`
	Refused   *Refusal   `json:"refused,omitzero"` // Refused says why nothing is deleted in the repository; nil if it is not refused.
	Manifests Counts     `json:"manifests"`
	Tags      Counts     `json:"tags"`
	Bytes     *Bytes     `json:"bytes,omitzero"` // Bytes is nil unless PlanOptions.Sizes is set.
	Delete    []Manifest `json:"delete"`         // Delete is in order: at no time does a remaining manifest lack something that it needs.
	Untag     []Tag      `json:"untag"`          // Untag holds tags that are deleted while their manifest stays.
	Keep      []Kept     `json:"keep,omitzero"`
	Findings  []Finding  `json:"findings,omitzero"`

	why *explanation // of everything that stays; only in the process that made the plan
}

// Counts are the number of manifests or tags, and how many of them are deleted.
type Counts struct {
	Total  int `json:"total"`
	Delete int `json:"delete"`
}

// Bytes are the sizes of blobs (configs and layers), each blob counted once. The registry frees the
// space of deleted content some time later, and not at all if another repository has the same blob.
type Bytes struct {
	Total  int64 `json:"total"`  // of all manifests of the repository
	Freed  int64 `json:"freed"`  // of blobs that only deleted manifests name
	Shared int64 `json:"shared"` // of blobs that deleted manifests and others name
}

// Manifest is a manifest that is deleted, with its tags.
type Manifest struct {
	Digest    digest.Digest   `json:"digest"`
	MediaType string          `json:"mediaType"`
	Kind      string          `json:"kind"`            // Kind is image, index or referrer.
	Tags      []Tag           `json:"tags,omitzero"`   // Tags are deleted with the manifest.
	Needs     []digest.Digest `json:"needs,omitzero"`  // Needs are other entries of the list, which must stay if this one stays.
	With      digest.Digest   `json:"with,omitzero"`   // With is the subject of this referrer. The registry deletes both when it deletes the subject.
	Locked    bool            `json:"locked,omitzero"` // The manifest is unlocked first.
	Created   time.Time       `json:"created"`
	Updated   time.Time       `json:"updated"`
	Size      int64           `json:"size,omitzero"` // Size is the size of the layers that the registry reports.
	Reason    Reason          `json:"reason"`
}

// Tag is a tag that is deleted.
type Tag struct {
	Name    string        `json:"name"`
	Digest  digest.Digest `json:"digest,omitzero"` // Digest is the manifest it points to, in Untag.
	Updated time.Time     `json:"updated"`
	Locked  bool          `json:"locked,omitzero"` // The tag is unlocked first.
	Reason  Reason        `json:"reason"`
}

// Kept is a manifest that stays although a Delete rule selects it or one of its tags.
type Kept struct {
	Digest digest.Digest `json:"digest"`
	Tags   []string      `json:"tags,omitzero"`
	Reason Reason        `json:"reason"`
}

// Refusal says why nothing is deleted in a repository.
type Refusal struct {
	Code RefusalCode `json:"code"`
	Text string      `json:"text"`
}

// RefusalCode is the reason of a Refusal, for programs.
type RefusalCode string

// The reasons to refuse a repository.
const (
	RefusedCounts     RefusalCode = "counts"     // its lists show less than the repository counts: something is hidden, or a list was cut short
	RefusedChanging   RefusalCode = "changing"   // it changed each time while it was read
	RefusedUnreadable RefusalCode = "unreadable" // a manifest cannot be read, so what it needs is not known
	RefusedLimits     RefusalCode = "limits"     // the plan exceeds the policy's Limits
	RefusedLocked     RefusalCode = "locked"     // the repository is locked
	RefusedDenied     RefusalCode = "denied"     // the identity may not read it
	RefusedFailed     RefusalCode = "failed"     // a request failed
)

// Finding is something unusual that a person should know.
type Finding struct {
	Code   FindingCode `json:"code"`
	What   string      `json:"what"` // What is a tag, a digest or a reference.
	Detail string      `json:"detail"`
}

// FindingCode is the kind of a Finding, for programs.
type FindingCode string

// The findings.
const (
	FoundBrokenIndex FindingCode = "brokenIndex" // an index contains a manifest that does not exist
	FoundOrphan      FindingCode = "orphan"      // a referrer or cosign tag without its subject, which no rule deletes
	FoundUnknownKind FindingCode = "unknownKind" // a manifest of a media type that this package does not know; it stays
	FoundNoVersion   FindingCode = "noVersion"   // a tag that is not a version, in a Keep rule with BySemver; it stays
	FoundNotThere    FindingCode = "notThere"    // a reference in use that does not exist
	FoundCircle      FindingCode = "circle"      // a manifest that stays because of KeptCircle
)

const planVersion = 1

// maxPlan bounds a plan that is read.
const maxPlan = 256 << 20

// ReadPlan reads a plan that was written as JSON. It refuses a plan that does not match its ID,
// because it was edited. An attacker could change the ID as well, so set ApplyOptions.Approved to
// the ID that was approved.
//
// Errors:
//   - [ErrPlan] if the document is not a plan of this version, or was edited
//   - [ErrRules] if its rules are faulty
//   - the error of r if it fails
func ReadPlan(r io.Reader) (*Plan, error) {
	document, err := io.ReadAll(io.LimitReader(given(r), maxPlan+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("retention: read the plan: %w", err)
	case len(document) > maxPlan:
		return nil, fmt.Errorf("retention: %w: more than %d bytes", ErrPlan, maxPlan)
	}
	p := &Plan{}
	file := planFile{plainPlan: (*plainPlan)(p)}
	if err := decodeStrict(document, &file); err != nil {
		return nil, fmt.Errorf("retention: %w: %w", ErrPlan, err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if id := p.ID(); file.ID != id {
		return nil, fmt.Errorf("retention: %w: it was edited: its ID is %s, and it says %.80q", ErrPlan, id, file.ID)
	}
	return p, nil
}

// check finds contradictions.
func (p *Plan) check() error {
	switch {
	case p == nil:
		return fmt.Errorf("retention: %w: there is none", ErrPlan)
	case p.Version != planVersion:
		return fmt.Errorf("retention: %w: version %d is unknown", ErrPlan, p.Version)
	case p.Made.IsZero():
		return fmt.Errorf("retention: %w: it does not say when it was made", ErrPlan)
	}
	if err := p.Rules.Check(); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, r := range p.Repositories {
		if r == nil || names[r.Name] || !printable(r.Name) {
			return fmt.Errorf("retention: %w: a repository is missing, occurs twice, or has a control character in its name", ErrPlan)
		}
		names[r.Name] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("retention: %w: %s: %w", ErrPlan, r.Name, err)
		}
	}
	return nil
}

// isOf fails if the plan is of another registry than the client.
func (p *Plan) isOf(c *acr.Client) error {
	if p.Registry != c.Endpoint() {
		return fmt.Errorf("retention: %w: it is of %s, and the client is of %s", ErrPlan, p.Registry, c.Endpoint())
	}
	return nil
}

var errUnprintable = errors.New("a tag has a control character in its name")

func isUnprintable(t Tag) bool { return !printable(t.Name) }

func (r *RepositoryPlan) check() error {
	seen := map[digest.Digest]bool{}
	tags := len(r.Untag)
	if slices.ContainsFunc(r.Untag, isUnprintable) {
		return errUnprintable
	}
	for _, m := range r.Delete {
		if slices.ContainsFunc(m.Tags, isUnprintable) {
			return errUnprintable
		}
		if err := m.Digest.Validate(); err != nil || seen[m.Digest] {
			return fmt.Errorf("the digest %.80q is invalid or occurs twice", m.Digest)
		}
		seen[m.Digest] = true
		tags += len(m.Tags)
	}
	for _, m := range r.Delete {
		for _, need := range m.Needs {
			if !seen[need] {
				return fmt.Errorf("%s needs %s, which is not in the list", m.Digest, need)
			}
		}
	}
	switch {
	case r.Refused != nil && (len(r.Delete) > 0 || len(r.Untag) > 0):
		return fmt.Errorf("it is refused, and yet something is deleted")
	case r.Manifests.Delete != len(r.Delete) || r.Tags.Delete != tags:
		return fmt.Errorf("the totals do not match the lists")
	case slices.ContainsFunc(r.Untag, func(t Tag) bool { return seen[t.Digest] }):
		return fmt.Errorf("a tag in untag points to a manifest that is deleted")
	}
	return nil
}

// repository returns the part of one repository, nil if there is none.
func (p *Plan) repository(name string) *RepositoryPlan {
	if p == nil {
		return nil
	}
	i := slices.IndexFunc(p.Repositories, func(r *RepositoryPlan) bool { return r != nil && r.Name == name })
	if i < 0 {
		return nil
	}
	return p.Repositories[i]
}

// refused makes the plan one that deletes nothing.
func (r *RepositoryPlan) refused(refusal *Refusal) {
	r.Refused = refusal
	r.Delete, r.Untag, r.Keep = []Manifest{}, []Tag{}, nil
	r.Manifests.Delete, r.Tags.Delete = 0, 0
	r.Bytes, r.why = nil, nil
}

// short is a digest as tables show it.
func short(d digest.Digest) string {
	algorithm, hex, _ := strings.Cut(string(d), ":")
	if len(hex) > 12 {
		hex = hex[:12]
	}
	return algorithm + ":" + hex
}
