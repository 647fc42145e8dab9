package retention_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// The oracle decides by brute force what rules delete. It shares no code with the package: rules are its own type, the graph
// is read from what the test pushed, and sets are grown until nothing changes.

// oracleRules are the rules of one policy.
type oracleRules struct {
	keep   []oracleKeep
	delete []oracleDelete
	grace  time.Duration
	leave  int
	used   map[string]bool // tags and digests

	countTags bool
	refused   bool // the repository is locked
}

type oracleKeep struct {
	letters string // the first letters of the tags that it selects
	newest  int
	within  time.Duration
	created bool // newest goes by the time when the tag was first pushed
	grouped bool // newest counts for each first letter
}

type oracleDelete struct {
	what    string // tags, untag, untagged, orphans or types
	letters string
	types   string
	older   time.Duration
}

// oracle judges one repository.
type oracle struct {
	shot
	made  map[digest.Digest]*manifest
	rules oracleRules
	now   time.Time
}

// belongs returns the manifest that a tag belongs to by its name.
func (o *oracle) belongs(tag string) digest.Digest {
	for d := range o.manifests {
		if strings.HasPrefix(tag, "sha256-"+d.Encoded()) && o.tags[tag].digest != d {
			return d
		}
	}
	return ""
}

// isCosign reports whether a tag is named as those are that belong to another manifest.
func (o *oracle) isCosign(tag string) bool {
	return strings.HasPrefix(tag, "sha256-") && !strings.HasPrefix(tag, "sha256-"+o.tags[tag].digest.Encoded())
}

func (o *oracle) exists(d digest.Digest) bool { _, ok := o.manifests[d]; return ok }

func (o *oracle) tagsOf(d digest.Digest) (tags []string) {
	for name, t := range o.tags {
		if t.digest == d {
			tags = append(tags, name)
		}
	}
	return tags
}

func (o *oracle) hasParent(d digest.Digest) bool {
	for p := range o.manifests {
		if p != d && slices.Contains(o.made[p].needs(), d) {
			return true
		}
	}
	return false
}

// isRefused reports whether the repository cannot be read completely.
func (o *oracle) isRefused() bool {
	for d, m := range o.manifests {
		if (m.held || !m.attributes.Read) && o.made[d].mediaType != dockerManifest || !m.attributes.List {
			return true
		}
	}
	for _, t := range o.tags {
		if !t.attributes.List {
			return true
		}
	}
	return o.rules.refused
}

// owners returns the manifest, then what it is for: its subject, or the one that all of its tags belong to, and so on.
func (o *oracle) owners(d digest.Digest) (owners []digest.Digest) {
	for o.exists(d) && !slices.Contains(owners, d) {
		owners = append(owners, d)
		owner := o.made[d].subject
		if !o.exists(owner) {
			owner = ""
			for i, tag := range o.tagsOf(d) {
				if i > 0 && owner != o.belongs(tag) {
					owner = ""
					break
				}
				owner = o.belongs(tag)
			}
		}
		d = owner
	}
	return owners
}

// following returns what must not be deleted before the manifest: its parts, its referrers, what its cosign tags are on, and
// everything with which these would be deleted. It itself may be deleted after its owners, though they are parts of it.
func (o *oracle) following(d digest.Digest) (following []digest.Digest) {
	owners := o.owners(d)
	for other := range o.manifests {
		part := slices.Contains(o.made[d].needs(), other) && !slices.Contains(owners, other)
		cosigns := slices.ContainsFunc(o.tagsOf(other), func(tag string) bool { return o.belongs(tag) == d }) && other != d
		if o.made[other].subject == d {
			following = append(following, other)
		}
		if !part && !cosigns {
			continue
		}
		following = append(following, other)
		for _, v := range o.owners(other)[1:] {
			if slices.Contains(owners, v) {
				break
			}
			following = append(following, v)
		}
	}
	return following
}

// circular returns the manifests that cannot be deleted one after another, because they have to follow themselves, or follow
// one that has to.
func (o *oracle) circular() map[digest.Digest]bool {
	following := map[digest.Digest][]digest.Digest{}
	for d := range o.manifests {
		following[d] = o.following(d)
	}
	behind := func(start digest.Digest) map[digest.Digest]bool {
		seen := map[digest.Digest]bool{}
		for todo := slices.Clone(following[start]); len(todo) > 0; todo = todo[1:] {
			if !seen[todo[0]] {
				seen[todo[0]] = true
				todo = append(todo, following[todo[0]]...)
			}
		}
		return seen
	}
	circular := map[digest.Digest]bool{}
	for d := range o.manifests {
		if seen := behind(d); seen[d] {
			circular[d] = true
			maps.Copy(circular, seen)
		}
	}
	return circular
}

// tagMatches reports whether a Delete rule of one kind selects a tag: with its manifest, or the tag only.
func (o *oracle) tagMatches(name, what string) bool {
	age := o.now.Sub(o.tags[name].updated)
	return slices.ContainsFunc(o.rules.delete, func(d oracleDelete) bool {
		if o.isCosign(name) {
			return what == "tags" && d.what == "orphans" && age > d.older
		}
		return d.what == what && strings.Contains(d.letters, name[:1]) && age > d.older
	})
}

// keptTags returns the tags that Keep rules protect.
func (o *oracle) keptTags() map[string]bool {
	kept := map[string]bool{}
	for _, k := range o.rules.keep {
		groups := []string{k.letters}
		if k.grouped {
			groups = strings.Split(k.letters, "")
		}
		for _, letters := range groups {
			o.keepGroup(k, letters, kept)
		}
	}
	return kept
}

func (o *oracle) keepGroup(k oracleKeep, letters string, kept map[string]bool) {
	newestOf := map[string]time.Time{} // of each image, or tag
	unit := func(name string) string {
		if o.rules.countTags {
			return name
		}
		return string(o.tags[name].digest)
	}
	var selected []string
	for name, t := range o.tags {
		if o.isCosign(name) || !strings.Contains(letters, name[:1]) {
			continue
		}
		selected = append(selected, name)
		at := t.updated
		if k.created {
			at = t.created
		}
		if at.After(newestOf[unit(name)]) {
			newestOf[unit(name)] = at
		}
		if k.within > 0 && o.now.Sub(t.updated) < k.within {
			kept[name] = true
		}
	}
	for _, name := range selected {
		newer := 0
		for _, other := range newestOf {
			if other.After(newestOf[unit(name)]) {
				newer++
			}
		}
		if newer < k.newest {
			kept[name] = true
		}
	}
}

// lastTags returns the newest tags that always stay.
func (o *oracle) lastTags() []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(o.tags)), o.isCosign)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(o.tags[b].updated.Compare(o.tags[a].updated), strings.Compare(a, b))
	})
	return names[:min(o.rules.leave, len(names))]
}

// roots returns what stays for its own sake: tags by name, manifests by digest.
func (o *oracle) roots() map[string]bool {
	roots := map[string]bool{}
	kept := o.keptTags()
	for name, t := range o.tags {
		young := o.now.Sub(t.updated) < o.rules.grace
		bySelf := o.belongs(name) == "" && !o.tagMatches(name, "tags") && !o.tagMatches(name, "untag")
		if t.locked || young || bySelf || kept[name] || o.rules.used[name] {
			roots[name] = true
		}
		if o.belongs(name) == "" && !o.tagMatches(name, "tags") && o.tagMatches(name, "untag") {
			roots[string(t.digest)] = true
		}
	}
	for _, name := range o.lastTags() {
		roots[name] = true
	}
	circular := o.circular()
	for d, m := range o.manifests {
		made := o.made[d]
		if m.locked || m.held || !m.attributes.Read || o.rules.used[string(d)] || o.now.Sub(m.updated) < o.rules.grace || strings.Contains(made.mediaType, "example.new") {
			roots[string(d)] = true
		}
		if circular[d] {
			roots[string(d)] = true
		}
		if m.locked || m.held || !m.attributes.Read || circular[d] {
			for _, name := range o.tagsOf(d) {
				roots[name] = true
			}
		}
		if len(o.tagsOf(d)) == 0 && !o.hasParent(d) && !o.exists(made.subject) {
			what := "untagged"
			if made.subject != "" {
				what = "orphans"
			}
			if !slices.ContainsFunc(o.rules.delete, func(r oracleDelete) bool { return r.what == what && o.now.Sub(m.updated) > r.older }) {
				roots[string(d)] = true
			}
		}
	}
	return roots
}

// mayLose reports whether a referrer may go although its subject stays.
func (o *oracle) mayLose(d digest.Digest) bool {
	return slices.ContainsFunc(o.rules.delete, func(r oracleDelete) bool {
		return r.what == "types" && o.made[d].artifact == r.types && o.now.Sub(o.manifests[d].updated) > r.older
	})
}

// needs returns everything that must exist for the manifest to be whole, as far as it exists.
func (o *oracle) needs(d digest.Digest) (needs []string) {
	for _, c := range o.made[d].needs() {
		if o.exists(c) {
			needs = append(needs, string(c))
		}
	}
	if s := o.made[d].subject; o.exists(s) {
		needs = append(needs, string(s))
	}
	for r := range o.manifests {
		if o.made[r].subject == d && !o.mayLose(r) {
			needs = append(needs, string(r))
		}
	}
	for name := range o.tags {
		if o.belongs(name) == d {
			needs = append(needs, name)
		}
	}
	return needs
}

// stays returns everything that stays.
func (o *oracle) stays() map[string]bool {
	stays := o.roots()
	for more := true; more; {
		o.grow(stays)
		more = false
		led := o.led(stays)
		for d := range o.manifests {
			if !stays[string(d)] && !led[d] {
				stays[string(d)], more = true, true
			}
		}
	}
	return stays
}

// led returns the manifests that a rule selects, of those that do not stay, and what goes along with them.
func (o *oracle) led(stays map[string]bool) map[digest.Digest]bool {
	led := map[digest.Digest]bool{}
	for d := range o.manifests {
		alone := len(o.tagsOf(d)) == 0 && !o.hasParent(d) && !o.exists(o.made[d].subject)
		tagged := slices.ContainsFunc(o.tagsOf(d), func(tag string) bool { return o.belongs(tag) == "" })
		led[d] = alone || tagged || o.exists(o.made[d].subject) && o.mayLose(d)
	}
	for grown := true; grown; {
		grown = false
		for d := range o.manifests {
			along := func(of digest.Digest) bool {
				return led[of] && !stays[string(of)] && o.exists(of) && (o.made[d].subject == of || slices.Contains(o.made[of].needs(), d) ||
					slices.ContainsFunc(o.tagsOf(d), func(tag string) bool { return o.belongs(tag) == of }))
			}
			for of := range o.manifests {
				if !led[d] && along(of) {
					led[d], grown = true, true
				}
			}
		}
	}
	return led
}

// grow adds what anything in the set needs.
func (o *oracle) grow(stays map[string]bool) {
	for grown := true; grown; {
		grown = false
		for _, v := range slices.Collect(maps.Keys(stays)) {
			var needs []string
			if t, ok := o.tags[v]; ok {
				needs = []string{string(t.digest)}
			} else {
				needs = o.needs(digest.Digest(v))
			}
			for _, n := range needs {
				if !stays[n] {
					stays[n], grown = true, true
				}
			}
		}
	}
}

// verdict returns the manifests that are deleted, and the tags that are deleted while their manifest stays.
func (o *oracle) verdict() (gone []digest.Digest, untag []string) {
	if o.isRefused() {
		return nil, nil
	}
	stays := o.stays()
	for d := range o.manifests {
		if !stays[string(d)] {
			gone = append(gone, d)
		}
	}
	for name, t := range o.tags {
		if !stays[name] && stays[string(t.digest)] {
			untag = append(untag, name)
		}
	}
	slices.Sort(gone)
	slices.Sort(untag)
	return gone, untag
}
