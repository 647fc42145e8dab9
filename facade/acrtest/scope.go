package acrtest

import (
	"net/http"
	"slices"
	"strings"
)

// access is one entry of an access token's claims, and one scope: what may be done to what. The
// keys are capitalised on the wire.
type access struct {
	Type    string   `json:"Type"`
	Name    string   `json:"Name"`
	Actions []string `json:"Actions"`
}

func (a access) String() string { return a.Type + ":" + a.Name + ":" + strings.Join(a.Actions, ",") }

// scopeOf returns the scopes that a request needs; none if any valid token may make it.
func scopeOf(rt route, r *http.Request) []access {
	op := operationByID(rt.op)
	if op == nil {
		return nil
	}
	scopes := parseScopes([]string{strings.ReplaceAll(op.scope, "{name}", rt.name)})
	if op.id == "StartUpload" { // a mount reads from another repository too
		query := r.URL.Query()
		if from := query.Get("from"); from != "" && from != rt.name && query.Get("mount") != "" && isName(from) {
			scopes = append(scopes, access{Type: "repository", Name: from, Actions: []string{"pull"}})
		}
	}
	return scopes
}

// parseScopes reads the scope parameters of a token request: repeated, or several in one separated
// by blanks. What cannot be read is left out, as the service issues a token all the same.
func parseScopes(values []string) []access {
	var out []access
	for _, value := range values {
		for field := range strings.FieldsSeq(value) {
			kind, rest, ok := strings.Cut(field, ":")
			i := strings.LastIndexByte(rest, ':')
			if !ok || i < 0 {
				continue
			}
			out = append(out, access{Type: kind, Name: rest[:i], Actions: strings.Split(rest[i+1:], ",")})
		}
	}
	return out
}

func scopeText(scopes []access) string {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = scope.String()
	}
	return strings.Join(texts, " ")
}

// covers tells whether the granted entries allow all that is needed.
func covers(granted, needed []access) bool {
	for _, n := range needed {
		for _, action := range n.Actions {
			if !slices.ContainsFunc(granted, func(g access) bool {
				return g.Type == n.Type && matchName(g.Name, n.Name) && (slices.Contains(g.Actions, action) || slices.Contains(g.Actions, "*"))
			}) {
				return false
			}
		}
	}
	return true
}

// matchName matches a repository name with a pattern of a scope map: a name, "*", or a prefix that
// ends in "/*".
func matchName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// grant gives the part of the asked scopes that the rights allow. A wildcard asks for all rights
// there are; under ABAC it is dropped without a word.
func grant(rights, asked []access, abac bool) []access {
	out := []access{}
	for _, ask := range asked {
		if ask.Type == "repository" && strings.HasSuffix(ask.Name, "*") {
			if abac {
				continue
			}
			for _, right := range rights {
				if right.Type == "repository" && (ask.Name == "*" || matchName(right.Name, ask.Name)) {
					if actions := both(right.Actions, ask.Actions); len(actions) > 0 {
						out = append(out, access{Type: "repository", Name: narrower(right.Name, ask.Name), Actions: actions})
					}
				}
			}
			continue
		}
		actions := []string{}
		for _, right := range rights {
			if right.Type == ask.Type && matchName(right.Name, ask.Name) {
				actions = append(actions, both(right.Actions, ask.Actions)...)
			}
		}
		if len(actions) > 0 {
			slices.Sort(actions)
			out = append(out, access{Type: ask.Type, Name: ask.Name, Actions: slices.Compact(actions)})
		}
	}
	return out
}

func narrower(right, ask string) string {
	if right == "*" {
		return ask
	}
	return right
}

// both intersects two lists of actions, either of which may be "*".
func both(right, ask []string) []string {
	switch {
	case slices.Contains(ask, "*"):
		return slices.Clone(right)
	case slices.Contains(right, "*"):
		return slices.Clone(ask)
	}
	var out []string
	for _, action := range ask {
		if slices.Contains(right, action) {
			out = append(out, action)
		}
	}
	return out
}
