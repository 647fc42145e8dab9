package store

import (
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// record is one change of the content. Every change goes through one: it is written to the journal,
// made in the state, and, with a replica that lags, made there later.
type record struct {
	Op         op              `json:"op"`
	Time       time.Time       `json:"time"`
	Repository string          `json:"repository"`
	Digest     digest.Digest   `json:"digest,omitzero"`
	Size       int64           `json:"size,omitzero"`
	Manifest   *Manifest       `json:"manifest,omitempty"`
	Tag        string          `json:"tag,omitzero"`
	Tags       []string        `json:"tags,omitempty"`
	Attributes *Attributes     `json:"attributes,omitempty"`
	Digests    []digest.Digest `json:"digests,omitempty"`
	// Times says which changes move the times of manifests.
	Times Times `json:"times,omitzero"`
	// Keep says that the repository stays when its last manifest goes.
	Keep bool `json:"keep,omitzero"`
	// Soft says that what is deleted can be restored.
	Soft bool `json:"soft,omitzero"`
	// Created is set in a compacted journal, where an object is one record; Updated where Time says
	// something else.
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

type op string

const (
	opLink       op = "link"       // Digest, Size
	opUnlink     op = "unlink"     // Digest
	opManifest   op = "manifest"   // Manifest, Tags
	opTag        op = "tag"        // Tag, Digest
	opUntag      op = "untag"      // Tag, Soft
	opDelete     op = "delete"     // Digests of manifests that go together, Soft
	opDrop       op = "drop"       // the whole repository, Soft
	opAttributes op = "attributes" // Tag or Digest or neither, Attributes
	opRestore    op = "restore"    // Digest, Tags
	opPurge      op = "purge"      // what was deleted at Time or before
	opRepository op = "repository" // Created, Attributes: in a compacted journal, after the repository's objects
	opDeleted    op = "deleted"    // Manifest, Tags, Created, Updated, Time of the deletion: in a compacted journal
	opDeletedTag op = "deletedTag" // Tag, Digest, Created, Time of the deletion: in a compacted journal
)

// records yields records that make the state from nothing.
func (s *state) records() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for r := range s.repositories.byKey.all() {
			if !r.records(yield) {
				return
			}
		}
	}
}

func (r *repository) records(yield func(*record) bool) bool {
	for d, l := range r.links {
		if !yield(&record{Op: opLink, Time: l.created, Repository: r.name, Digest: d, Size: l.blob.size}) {
			return false
		}
	}
	for m := range r.manifests.byKey.all() {
		rec := &record{Op: opManifest, Time: m.updated, Created: m.created, Repository: r.name, Manifest: m.m, Attributes: &m.attributes}
		if !yield(rec) {
			return false
		}
	}
	for t := range r.tags.byKey.all() {
		rec := &record{Op: opTag, Time: t.updated, Created: t.created, Repository: r.name, Tag: t.name, Digest: t.manifest.m.Digest, Attributes: &t.attributes}
		if !yield(rec) {
			return false
		}
	}
	for m := range r.deletedManifests.byTime.all() {
		rec := &record{Op: opDeleted, Time: m.deleted, Created: m.created, Updated: m.updated, Repository: r.name, Manifest: m.m, Attributes: &m.attributes, Tags: m.formerTags}
		if !yield(rec) {
			return false
		}
	}
	for t := range r.deletedTags.byTime.all() {
		rec := &record{Op: opDeletedTag, Time: t.deleted, Created: t.created, Repository: r.name, Tag: t.name, Digest: t.digest}
		if !yield(rec) {
			return false
		}
	}
	return yield(&record{Op: opRepository, Time: r.updated, Created: r.created, Repository: r.name, Attributes: &r.attributes, Keep: r.kept})
}
