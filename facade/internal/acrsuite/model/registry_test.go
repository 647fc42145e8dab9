package model_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

// retention is how long the registry keeps what was deleted.
const retention = 7 * 24 * time.Hour

// status is the error of a response that has only its status code.
type status int

func (s status) Error() string { return fmt.Sprintf("status %d", int(s)) }

// registry is the model.
type registry struct {
	now          time.Time // set before each step
	ticks        int       // grows with each change: the time that lists by time go by
	repositories [2]*repository
}

// repository is one of its repositories. Tags, items and blobs are known by their numbers.
type repository struct {
	attributes acr.Attributes
	blobs      map[int]bool
	manifests  map[int]manifest
	tags       map[int]tag
	bin        map[int]binned
	binTags    []binnedTag
}

type manifest struct {
	updated     int
	attributes  acr.Attributes
	quarantined bool
}

type tag struct {
	item       int
	updated    int
	attributes acr.Attributes
}

// binned is a manifest in the recycle bin.
type binned struct {
	manifest
	at   time.Time
	tags []int // that it had
}

// binnedTag is a tag in the recycle bin.
type binnedTag struct {
	tag, item int
	at        time.Time
}

var enabled = acr.Attributes{DeleteEnabled: true, WriteEnabled: true, ListEnabled: true, ReadEnabled: true}

func newRegistry() *registry {
	g := &registry{}
	for i := range g.repositories {
		g.repositories[i] = &repository{attributes: enabled, blobs: map[int]bool{}, manifests: map[int]manifest{}, tags: map[int]tag{}, bin: map[int]binned{}}
	}
	return g
}

func (g *registry) clone() *registry {
	c := *g
	for i, r := range g.repositories {
		c.repositories[i] = &repository{
			attributes: r.attributes, blobs: maps.Clone(r.blobs), manifests: maps.Clone(r.manifests), tags: maps.Clone(r.tags),
			bin: maps.Clone(r.bin), binTags: slices.Clone(r.binTags),
		}
	}
	return &c
}

func (g *registry) tick() int {
	g.ticks++
	return g.ticks
}

// exists reports whether the repository can be seen: while it has a manifest.
func (r *repository) exists() bool { return len(r.manifests) > 0 }

// known reports whether there is anything left of it.
func (r *repository) known() bool {
	return r.exists() || len(r.blobs)+len(r.bin)+len(r.binTags) > 0
}

func locked(a acr.Attributes) bool { return !a.DeleteEnabled || !a.WriteEnabled }

// tagged returns the tags of an item, in order.
func (r *repository) tagged(item int) (all []int) {
	for _, t := range slices.Sorted(maps.Keys(r.tags)) {
		if r.tags[t].item == item {
			all = append(all, t)
		}
	}
	return all
}

// referrers returns the items whose subject is an item, in the order of their digests.
func (r *repository) referrers(subject int) (all []int) {
	for i := range r.manifests {
		if items[i].subject == subject {
			all = append(all, i)
		}
	}
	return byDigest(all)
}

func byDigest(all []int) []int {
	slices.SortFunc(all, func(a, b int) int { return cmp.Compare(items[a].descriptor.Digest, items[b].descriptor.Digest) })
	return all
}

// has reports whether the item or blob of that name is there, and on the tag if one is given.
func (r *repository) has(name string, tag int) bool {
	for n, b := range blobs {
		if b.name == name {
			return r.blobs[n]
		}
	}
	for item := range r.manifests {
		if items[item].name == name {
			t, tagged := r.tags[tag]
			return tag == none || tagged && t.item == item
		}
	}
	return false
}

// resolve returns the item of a tag or digest as a pull sees it.
func (r *repository) resolve(tag, item int) (int, error) {
	blocked := !r.attributes.ReadEnabled
	if tag != none {
		t, ok := r.tags[tag]
		if !ok || r.manifests[t.item].quarantined {
			return none, acr.ErrManifestUnknown
		}
		item = t.item
		blocked = blocked || !t.attributes.ReadEnabled
	}
	m, ok := r.manifests[item]
	switch {
	case !ok:
		return none, acr.ErrManifestUnknown
	case blocked || !m.attributes.ReadEnabled || m.quarantined:
		return none, acr.ErrLocked
	}
	return item, nil
}

// mayTag reports whether no lock keeps a tag from being set.
func (r *repository) mayTag(name int) bool {
	t, ok := r.tags[name]
	return r.attributes.WriteEnabled && (!ok || t.attributes.WriteEnabled)
}

// put stores a manifest, under a tag unless that is none.
func (g *registry) put(r *repository, item, tag int) error {
	_, deleted := r.bin[item]
	if !r.attributes.WriteEnabled || tag != none && !r.mayTag(tag) || deleted {
		return acr.ErrLocked
	}
	for _, b := range items[item].blobs {
		if !r.blobs[b] {
			return acr.ErrManifestBlobUnknown
		}
	}
	for _, p := range items[item].parts {
		if _, ok := r.manifests[p]; !ok {
			return acr.ErrManifestBlobUnknown
		}
	}
	m, ok := r.manifests[item]
	if !ok {
		m.attributes = enabled
	}
	if m.attributes.WriteEnabled {
		m.updated = g.tick()
	}
	r.manifests[item] = m
	if tag != none {
		g.setTag(r, tag, item)
	}
	return nil
}

func (g *registry) setTag(r *repository, name, item int) {
	t, ok := r.tags[name]
	if !ok {
		t.attributes = enabled
	}
	t.item, t.updated = item, g.tick()
	r.tags[name] = t
}

// absent is the option IfAbsent: it reports whether the tag is on the item already.
func (r *repository) absent(tag, item int) (there bool, err error) {
	on, err := r.resolve(tag, none)
	if t, ok := r.tags[tag]; ok && r.manifests[t.item].quarantined {
		on, err = t.item, nil // its properties say so
	}
	switch {
	case err == acr.ErrManifestUnknown: //nolint:errorlint // the very value
		return false, nil
	case err != nil:
		return false, status(405) // asked by HEAD, whose responses have no document
	case on != item:
		return false, acr.ErrTagExists
	}
	return true, nil
}

// untag deletes a tag.
func (g *registry) untag(r *repository, name int) (int, error) {
	t, ok := r.tags[name]
	switch {
	case !ok:
		return none, acr.ErrTagUnknown
	case locked(t.attributes) || !r.attributes.WriteEnabled:
		return none, acr.ErrLocked
	}
	delete(r.tags, name)
	r.binTags = append(r.binTags, binnedTag{name, t.item, g.now})
	return t.item, nil
}

// delete deletes a manifest with what refers to it.
func (g *registry) delete(r *repository, item int) error {
	if _, ok := r.manifests[item]; !ok {
		return acr.ErrManifestUnknown
	}
	gone, free := r.cascade(item)
	if !free || !r.attributes.WriteEnabled {
		return acr.ErrLocked
	}
	for _, i := range gone {
		g.throwAway(r, i)
	}
	r.settle()
	return nil
}

// cascade returns what goes with an item, and whether none of it is locked.
func (r *repository) cascade(item int) (gone []int, free bool) {
	if locked(r.manifests[item].attributes) {
		return nil, false
	}
	for _, t := range r.tagged(item) {
		if locked(r.tags[t].attributes) {
			return nil, false
		}
	}
	gone = []int{item}
	for _, i := range r.referrers(item) {
		more, free := r.cascade(i)
		if !free {
			return nil, false
		}
		gone = append(gone, more...)
	}
	return gone, true
}

// throwAway puts a manifest with its tags into the recycle bin.
func (g *registry) throwAway(r *repository, item int) {
	had := r.tagged(item)
	for _, t := range had {
		delete(r.tags, t)
		r.binTags = append(r.binTags, binnedTag{t, item, g.now})
	}
	r.bin[item] = binned{r.manifests[item], g.now, had}
	delete(r.manifests, item)
}

// settle forgets the attributes of a repository that can no longer be seen.
func (r *repository) settle() {
	if !r.exists() {
		r.attributes = enabled
	}
}

// drop deletes the repository. Blobs stay that a manifest in the recycle bin needs.
func (g *registry) drop(r *repository) (manifests, names []int, err error) {
	if !r.exists() {
		return nil, nil, acr.ErrNameUnknown
	}
	free := !locked(r.attributes)
	for i, m := range r.manifests {
		free = free && !locked(m.attributes)
		manifests = append(manifests, i)
	}
	for t, properties := range r.tags {
		free = free && !locked(properties.attributes)
		names = append(names, t)
	}
	if !free {
		return nil, nil, acr.ErrLocked
	}
	for _, i := range manifests {
		g.throwAway(r, i)
	}
	needed := map[int]bool{}
	for i := range r.bin {
		for _, b := range items[i].blobs {
			needed[b] = true
		}
	}
	maps.DeleteFunc(r.blobs, func(b int, _ bool) bool { return !needed[b] })
	r.settle()
	slices.Sort(names)
	return byDigest(manifests), names, nil
}

// restore brings a manifest back.
func (g *registry) restore(r *repository, item, tag int, force bool) error {
	was, deleted := r.bin[item]
	_, live := r.manifests[item]
	if !deleted && (tag == none || !live) {
		return acr.ErrManifestUnknown
	}
	if tag != none {
		if on, ok := r.tags[tag]; ok && on.item != item && !force {
			return status(409)
		}
		if !r.mayTag(tag) {
			return acr.ErrLocked
		}
	}
	if deleted {
		delete(r.bin, item)
		r.manifests[item] = was.manifest
	}
	if tag != none {
		g.setTag(r, tag, item)
		r.binTags = slices.DeleteFunc(r.binTags, func(t binnedTag) bool { return t.tag == tag && t.item == item })
	}
	return nil
}

// expire empties the recycle bins of what they have kept long enough.
func (g *registry) expire() {
	until := g.now.Add(-retention)
	for _, r := range g.repositories {
		maps.DeleteFunc(r.bin, func(_ int, b binned) bool { return b.at.Before(until) })
		r.binTags = slices.DeleteFunc(r.binTags, func(t binnedTag) bool { return t.at.Before(until) })
	}
}

// listed returns the tags that lists show: by name, or by time.
func (r *repository) listedTags(order acr.Order) []int {
	shown := slices.DeleteFunc(slices.Sorted(maps.Keys(r.tags)), func(t int) bool { return !r.tags[t].attributes.ListEnabled })
	return inOrder(shown, order, func(t int) int { return r.tags[t].updated })
}

// listedManifests returns the items that lists show: by digest, or by time.
func (r *repository) listedManifests(order acr.Order) []int {
	shown := slices.DeleteFunc(slices.Collect(maps.Keys(r.manifests)), func(i int) bool { return !r.manifests[i].attributes.ListEnabled })
	return inOrder(byDigest(shown), order, func(i int) int { return r.manifests[i].updated })
}

func inOrder(all []int, order acr.Order, updated func(int) int) []int {
	switch order {
	case acr.OrderByUpdateAscending:
		slices.SortFunc(all, func(a, b int) int { return updated(a) - updated(b) })
	case acr.OrderByUpdateDescending:
		slices.SortFunc(all, func(a, b int) int { return updated(b) - updated(a) })
	}
	return all
}

// What calls return is compared as text.

func showAttributes(a acr.Attributes) string {
	var b strings.Builder
	for letter, on := range map[string]bool{"d": a.DeleteEnabled, "l": a.ListEnabled, "r": a.ReadEnabled, "w": a.WriteEnabled} {
		if !on {
			b.WriteString(letter)
		}
	}
	letters := []byte(b.String())
	slices.Sort(letters)
	return "-" + string(letters)
}

func (r *repository) showTag(t int) string {
	return tags[t] + "=" + items[r.tags[t].item].name + showAttributes(r.tags[t].attributes)
}

func (r *repository) showManifest(i int) string {
	m := r.manifests[i]
	text := items[i].name + tagNames(r.tagged(i)) + showAttributes(m.attributes)
	if m.quarantined {
		text += "q"
	}
	return text
}

func tagNames(all []int) string {
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = tags[t]
	}
	return "[" + strings.Join(names, ",") + "]"
}

func itemNames(all []int) string {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = items[v].name
	}
	return strings.Join(names, " ")
}
