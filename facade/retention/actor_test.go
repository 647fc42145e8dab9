package retention_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/retention"
)

// actor changes the registry between the requests of an apply.
type actor struct {
	*propertyCase
	judge    *oracle
	checked  map[digest.Digest]bool // looked at since the last deletion: in the window that nothing can close
	deleted  map[digest.Digest]bool // by the actor, with what went along
	tagAt    string                 // the tag that was looked at last, unless a deletion followed
	untagged map[string]bool        // tags that the actor deleted, or moved
	set      map[string]digest.Digest
	locked   map[string]bool
	parts    map[digest.Digest][]digest.Digest // what each manifest had when it was pushed
	story    []string
	requests []string        // deletions of the apply
	goes     []digest.Digest // what the plan deletes
}

// disturbed applies the plan beside an actor. Whatever the actor does, nothing that the rules keep is lost, nothing loses a
// part, and nothing is deleted that the plan did not delete.
func (c *propertyCase) disturbed(judge *oracle, plan *retention.Plan) {
	a := &actor{
		propertyCase: c, judge: judge, checked: map[digest.Digest]bool{}, deleted: map[digest.Digest]bool{}, untagged: map[string]bool{},
		set: map[string]digest.Digest{}, locked: map[string]bool{}, parts: map[digest.Digest][]digest.Digest{},
	}
	for d := range judge.manifests {
		a.parts[d] = slices.DeleteFunc(judge.made[d].needs(), func(n digest.Digest) bool { return !judge.exists(n) })
	}
	a.goes, _ = gone(plan)
	c.boundary, c.after = a.before, a.afterwards
	var journal bytes.Buffer
	result, err := c.apply(c.t.Context(), plan, &journal, 1)
	c.boundary, c.after = nil, nil
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range result.Repositories {
		c.Skipped += len(r.Skipped)
		c.Repaired += len(r.Repaired)
	}
	a.demandPlanned(plan)
	a.demandSafe(c.shoot(repository))
}

// before acts before a request, sometimes.
func (a *actor) before(r *http.Request) {
	path := r.URL.Path
	a.note("%s %s?%s", r.Method, path, r.URL.RawQuery)
	if r.Method == http.MethodDelete {
		a.requests = append(a.requests, path[strings.LastIndexByte(path, '/')+1:])
	}
	if strings.Contains(path, "/oauth2/") || a.IntN(6) != 0 {
		return
	}
	a.Actions++
	a.act()
}

// note remembers what happened, for a case that fails.
func (a *actor) note(format string, args ...any) {
	a.story = append(a.story, fmt.Sprintf(format, args...))
}

// fail fails the case and tells what happened.
func (a *actor) fail(format string, args ...any) {
	a.t.Helper()
	a.t.Fatalf(format+"\n%s", append(args, strings.Join(a.story, "\n"))...)
}

// afterwards notes what is being looked at.
func (a *actor) afterwards(r *http.Request) {
	path := r.URL.Path
	switch {
	case r.Method == http.MethodDelete:
		clear(a.checked)
		a.tagAt = ""
	case strings.Contains(path, "/_manifests/sha256:"):
		a.checked[digest.Digest(path[strings.LastIndexByte(path, '/')+1:])] = true
	case strings.Contains(path, "/_tags/"):
		a.tagAt = path[strings.LastIndexByte(path, '/')+1:]
	}
}

// inWindow reports whether the manifest, or one with which the registry would delete it, has just been looked at.
func (a *actor) inWindow(d digest.Digest) bool {
	for range 20 {
		if a.checked[d] {
			return true
		}
		m := a.made[d]
		if m == nil || m.subject == "" {
			return false
		}
		d = m.subject
	}
	return true
}

// isDoomed reports whether the actor has pushed the manifest as a referrer of something that is being deleted: until that is
// noticed, the registry deletes it along with its subject.
func (a *actor) isDoomed(d digest.Digest) bool {
	if a.judge.exists(d) {
		return false
	}
	for range 20 {
		if slices.Contains(a.goes, d) {
			return true
		}
		if d = a.made[d].subject; a.made[d] == nil {
			return false
		}
	}
	return true
}

// act does one random thing.
func (a *actor) act() {
	now := a.shoot(repository)
	there := slices.Sorted(maps.Keys(now.manifests))
	if len(there) == 0 {
		return
	}
	d := there[a.IntN(len(there))]
	if goes := slices.DeleteFunc(slices.Clone(a.goes), func(d digest.Digest) bool { _, ok := now.manifests[d]; return !ok }); len(goes) > 0 && a.IntN(2) == 0 {
		d = goes[a.IntN(len(goes))]
	}
	second := there[a.IntN(len(there))]
	if a.isDoomed(d) || a.isDoomed(second) {
		return
	}
	what := a.IntN(11)
	a.note("    actor does %d with %s", what, d)
	switch what {
	case 0, 1:
		a.setTag(now, a.randomTag(), d)
	case 2:
		a.pushed(a.index(d, second))
	case 3:
		if !a.inWindow(d) {
			a.pushed(a.referrer("x/sig", d))
		}
	case 4:
		m := a.image()
		a.pushed(m)
		a.setTag(now, a.randomTag(), m.digest)
	case 5:
		if !now.manifests[d].locked && !a.inWindow(d) {
			a.deleteManifest(d)
		}
	case 6:
		a.deleteTag(now)
	case 7:
		if !a.inWindow(d) {
			a.patch(repository, string(d), `{"quarantineState":"Quarantined"}`)
			a.locked[string(d)] = true
		}
	case 8:
		// What is pushed and hidden cannot be found: the documentation of Apply says so.
		if a.judge.exists(d) {
			a.patch(repository, string(d), `{"listEnabled":false}`) // after the last list it hides from every further one
		}
	case 9:
		if !a.inWindow(d) {
			a.patch(repository, string(d), locked)
			a.locked[string(d)] = true
		}
	default:
		a.pushAgain(now)
	}
}

// pushAgain pushes a manifest that the apply has deleted, if all that it needs is there.
func (a *actor) pushAgain(now shot) {
	there := func(d digest.Digest) bool { _, ok := now.manifests[d]; return ok }
	for _, d := range a.goes {
		m := a.made[d]
		lacks := slices.ContainsFunc(m.needs(), func(n digest.Digest) bool { return !there(n) })
		if there(d) || a.deleted[d] || lacks || m.subject != "" || slices.ContainsFunc(m.needs(), a.inWindow) {
			continue
		}
		a.pushed(m)
		return
	}
}

func (a *actor) pushed(m *manifest) {
	a.push(repository, "", m)
	a.note("    actor pushes %s, which needs %v", m.digest, m.needs())
	a.parts[m.digest] = slices.Clone(m.needs())
}

func (a *actor) setTag(now shot, tag string, d digest.Digest) {
	t, exists := now.tags[tag]
	if a.inWindow(d) || exists && (a.inWindow(t.digest) || !t.attributes.Write) {
		return
	}
	if exists && t.digest == d && tag == a.tagAt { // its deletion cannot tell that it was put there again
		return
	}
	a.tag(repository, tag, d)
	a.set[tag] = d
	delete(a.untagged, tag)
}

func (a *actor) deleteManifest(d digest.Digest) {
	before := a.shoot(repository)
	if status, _ := a.send("DELETE", "/v2/"+repository+"/manifests/"+string(d), "", nil); status != http.StatusAccepted {
		return
	}
	after := a.shoot(repository)
	for v := range before.manifests {
		if _, there := after.manifests[v]; !there {
			a.deleted[v] = true
		}
	}
	for name := range before.tags {
		if _, there := after.tags[name]; !there {
			a.untagged[name] = true
			delete(a.set, name)
		}
	}
}

func (a *actor) deleteTag(now shot) {
	names := slices.Sorted(maps.Keys(now.tags))
	if len(names) == 0 {
		return
	}
	name := names[a.IntN(len(names))]
	if now.tags[name].locked || a.inWindow(now.tags[name].digest) {
		return
	}
	if status, _ := a.send("DELETE", "/acr/v1/"+repository+"/_tags/"+name, "", nil); status == http.StatusAccepted {
		a.untagged[name] = true
		delete(a.set, name)
	}
}

// demandPlanned demands that the apply asked for no deletion that was not planned.
func (a *actor) demandPlanned(plan *retention.Plan) {
	manifests, tags := gone(plan)
	for _, what := range a.requests {
		if !slices.Contains(manifests, digest.Digest(what)) && !slices.Contains(tags, what) {
			a.fail("%s was deleted, and not planned", what)
		}
	}
}

// demandSafe demands that nothing was lost.
func (a *actor) demandSafe(now shot) {
	there := func(d digest.Digest) bool { _, ok := now.manifests[d]; return ok }
	for d := range now.manifests {
		for _, part := range a.parts[d] {
			if !there(part) && !a.deleted[part] {
				a.fail("%s lost its part %s", d, part)
			}
		}
	}
	for v := range a.judge.stays() {
		if t, isTag := a.judge.tags[v]; isTag {
			if _, ok := now.tags[v]; !ok && !a.untagged[v] && !a.deleted[t.digest] {
				a.fail("the tag %s was lost", v)
			}
		} else if !there(digest.Digest(v)) && !a.deleted[digest.Digest(v)] {
			a.fail("the manifest %s was lost", v)
		}
	}
	for tag, d := range a.set {
		if t, ok := now.tags[tag]; !ok && now.manifests[d].held { // nothing can be put back on what is in quarantine
			continue
		} else if !ok || t.digest != d {
			a.fail("the tag %s, which was put on %s during the apply, is on %q", tag, d, t.digest)
		}
	}
	for v := range a.locked {
		if !there(digest.Digest(v)) && !a.deleted[digest.Digest(v)] {
			a.fail("%s was deleted, though it was locked during the apply", v)
		}
	}
}
