package retention

import (
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// Change is a difference between two snapshots.
type Change struct {
	Repository string     `json:"repository"`
	What       string     `json:"what,omitzero"` // tag or digest; empty for the repository itself
	Kind       ChangeKind `json:"kind"`
	From       string     `json:"from,omitzero"`
	To         string     `json:"to,omitzero"`
}

// ChangeKind is the kind of a Change.
type ChangeKind string

// The kinds. If the attributes and the time of a manifest or tag changed, Diff returns two Changes.
const (
	ChangeAdded      ChangeKind = "added"      // for a tag, To is its digest
	ChangeRemoved    ChangeKind = "removed"    // for a tag, From was its digest
	ChangeMoved      ChangeKind = "moved"      // a tag points to another manifest: From and To are digests
	ChangeUpdated    ChangeKind = "updated"    // its update time changed, for example because it was pushed again: From and To are times
	ChangeAttributes ChangeKind = "attributes" // From and To list what is not allowed, such as "delete, write"; empty if everything is
	ChangeReplaced   ChangeKind = "replaced"   // the repository was deleted and created again: From and To are times
	ChangeUnreadable ChangeKind = "unreadable" // the repository could not be read for one of the snapshots; there are no other changes of it
)

// Diff compares two snapshots and returns the differences, sorted by repository. It does not hold
// the snapshots in memory. An error ends the sequence.
//
// Errors:
//   - [ErrSnapshot] if a snapshot is cut short, was edited, or is of another version
//   - the errors of the readers if they fail
func Diff(before, after io.Reader) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		d := differ{yield: yield}
		var err error
		if d.before, err = openSnapshot(given(before), "first"); err == nil {
			d.after, err = openSnapshot(given(after), "second")
		}
		for err == nil && !d.stopped && !(d.before.ended && d.after.ended) {
			err = d.step()
		}
		if err != nil && !d.stopped {
			yield(Change{}, err)
		}
	}
}

// differ merges two snapshots.
type differ struct {
	before, after *snapshotReader
	yield         func(Change, error) bool
	stopped       bool
	unreadable    string // the repository of which nothing can be said
}

// step takes the first line of both, or of the one whose line comes first.
func (d *differ) step() error {
	order := 0
	switch {
	case d.before.ended:
		order = 1
	case d.after.ended:
		order = -1
	default:
		order = d.before.at.compare(d.after.at)
	}
	key := d.before.at
	var from, to *snapshotLine
	if order <= 0 {
		from = &d.before.line
	}
	if order >= 0 {
		key, to = d.after.at, &d.after.line
	}
	if key.repository != d.unreadable || key.kind == 0 {
		d.compare(key, from, to)
	}
	if from != nil {
		from := d.before
		if err := from.next(); err != nil {
			return err
		}
	}
	if to != nil {
		return d.after.next()
	}
	return nil
}

// compare yields the differences of one repository, manifest or tag.
func (d *differ) compare(key snapshotKey, from, to *snapshotLine) {
	c := Change{Repository: key.repository, What: key.name}
	for _, line := range []*snapshotLine{from, to} {
		if line != nil && line.Unreadable != "" {
			d.unreadable, c.Kind = key.repository, ChangeUnreadable
			d.tell(c)
			return
		}
	}
	switch {
	case from == nil:
		c.Kind, c.To = ChangeAdded, string(to.Digest)
		d.tell(c)
		return
	case to == nil:
		c.Kind, c.From = ChangeRemoved, string(from.Digest)
		d.tell(c)
		return
	case key.kind == 0 && !from.Created.Equal(to.Created):
		d.change(c, ChangeReplaced, from.Created.Format(time.RFC3339), to.Created.Format(time.RFC3339))
	case from.Digest != to.Digest:
		d.change(c, ChangeMoved, string(from.Digest), string(to.Digest))
	case !from.Updated.Equal(to.Updated):
		d.change(c, ChangeUpdated, from.Updated.Format(time.RFC3339Nano), to.Updated.Format(time.RFC3339Nano))
	}
	if a, b := from.forbidden(), to.forbidden(); a != b {
		d.change(c, ChangeAttributes, a, b)
	}
}

func (d *differ) change(c Change, kind ChangeKind, from, to string) {
	c.Kind, c.From, c.To = kind, from, to
	d.tell(c)
}

func (d *differ) tell(c Change) {
	d.stopped = d.stopped || !d.yield(c, nil)
}

// forbidden lists what the attributes forbid.
func (l *snapshotLine) forbidden() string {
	var list []string
	if a := l.Attributes; a != nil {
		for name, enabled := range map[string]bool{"delete": a.DeleteEnabled, "list": a.ListEnabled, "read": a.ReadEnabled, "write": a.WriteEnabled} {
			if !enabled {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	if l.Quarantined {
		list = append(list, "quarantined")
	}
	return strings.Join(list, ", ")
}
