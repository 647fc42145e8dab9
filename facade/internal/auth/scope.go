package auth

import (
	"net/http"
	"slices"
	"strings"
)

const (
	maxScope  = 1 << 10 // bytes of a challenge's scope that are read
	maxScopes = 16      // scopes read of a challenge
)

// scope is one "type:name:actions", actions sorted.
type scope struct {
	typ, name string
	actions   []string
}

// parseScope reads one scope. Names may hold colons (a port), types and actions may not.
func parseScope(s string) (scope, bool) {
	typ, rest, ok := strings.Cut(s, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i <= 0 || typ == "" {
		return scope{}, false
	}
	out := scope{typ: typ, name: rest[:i]}
	for a := range strings.SplitSeq(rest[i+1:], ",") {
		if a != "" && !slices.Contains(out.actions, a) {
			out.actions = append(out.actions, a)
		}
	}
	slices.Sort(out.actions)
	return out, len(out.actions) > 0
}

func (s scope) String() string { return s.typ + ":" + s.name + ":" + strings.Join(s.actions, ",") }

// covers says whether whoever may s may also o.
func (s scope) covers(o scope) bool {
	if s.typ != o.typ || s.name != o.name && s.name != "*" {
		return false
	}
	if slices.Contains(s.actions, "*") {
		return true
	}
	for _, a := range o.actions {
		if !slices.Contains(s.actions, a) {
			return false
		}
	}
	return true
}

// scopeSet is what one token allows or one request needs. Immutable.
type scopeSet struct {
	scopes []scope // sorted; one per type and name
	key    string  // as sent: scopes joined by blanks
}

// newScopeSet merges scopes of the same type and name and brings them into order, so that equal sets have equal keys.
func newScopeSet(scopes ...scope) *scopeSet {
	set := &scopeSet{}
	for _, s := range scopes {
		i := slices.IndexFunc(set.scopes, func(o scope) bool { return o.typ == s.typ && o.name == s.name })
		if i < 0 {
			set.scopes = append(set.scopes, s)
			continue
		}
		actions := slices.Concat(set.scopes[i].actions, s.actions)
		slices.Sort(actions)
		set.scopes[i].actions = slices.Compact(actions)
	}
	slices.SortFunc(set.scopes, func(a, b scope) int { return strings.Compare(a.String(), b.String()) })
	words := make([]string, len(set.scopes))
	for i, s := range set.scopes {
		words[i] = s.String()
	}
	set.key = strings.Join(words, " ")
	return set
}

// parseScopeSet reads scopes, each of which may be several separated by blanks. What is no scope is left out.
func parseScopeSet(texts ...string) *scopeSet {
	var scopes []scope
	for _, text := range texts {
		for word := range strings.FieldsSeq(text) {
			if s, ok := parseScope(word); ok {
				scopes = append(scopes, s)
			}
		}
	}
	return newScopeSet(scopes...)
}

func (s *scopeSet) covers(o *scopeSet) bool {
	for _, want := range o.scopes {
		if !slices.ContainsFunc(s.scopes, func(have scope) bool { return have.covers(want) }) {
			return false
		}
	}
	return true
}

// wildcard says whether anything is allowed on all repositories.
func (s *scopeSet) wildcard() bool {
	return slices.ContainsFunc(s.scopes, func(have scope) bool { return have.typ == "repository" && have.name == "*" })
}

// readers, writers and deleters are the actions a challenge may add to a call's own scopes, by method: a server can correct our table, not make a reader ask for a right to delete.
var (
	readers  = []string{"pull", "metadata_read", "deleted_read"}
	writers  = append([]string{"push", "metadata_write", "deleted_restore"}, readers...)
	deleters = append([]string{"delete", "push"}, readers...)
)

// within returns the set, and what the challenge's scope adds to it that the call may need: known actions fit for its method, on the very repositories it is about. The result
// is the set itself where that is nothing.
func (s *scopeSet) within(challenge, method string) *scopeSet {
	if len(challenge) > maxScope {
		return s
	}
	asked := parseScopeSet(challenge)
	if len(asked.scopes) > maxScopes {
		return s
	}
	allowed := writers
	switch method {
	case http.MethodGet, http.MethodHead:
		allowed = readers
	case http.MethodDelete:
		allowed = deleters
	}
	scopes := slices.Clone(s.scopes)
	for _, more := range asked.scopes {
		if !slices.ContainsFunc(s.scopes, func(n scope) bool { return n.typ == more.typ && n.name == more.name }) {
			continue
		}
		more.actions = slices.DeleteFunc(more.actions, func(a string) bool { return !slices.Contains(allowed, a) })
		if len(more.actions) > 0 {
			scopes = append(scopes, more)
		}
	}
	set := newScopeSet(scopes...)
	if set.key == s.key {
		return s
	}
	return set
}
