package acrtest

import (
	"regexp"
	"strings"
)

// route is what a request asks for: which operation, and the path parameters, decoded.
type route struct {
	op        string // operation id, such as "GetManifest"
	name      string // repository
	reference string // tag or digest, as it stands in the path
	uuid      string // upload session, or an operation that goes on after its response
	path      string // the path as the caller spelled it, "%2F" and all: a Link repeats it
}

// The grammars that decide whether a path has a route at all. They are the ones of the distribution
// project, whose router ACR's answers match: a digest is any algorithm with at least 32 hexadecimal
// digits; whether the registry knows it, the handler says.
var (
	nameGrammar   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestGrammar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$`)
	// An ill-formed digest still has a route to a manifest: the OCI conformance program wants a 400
	// for it, not a 404.
	looseGrammar = regexp.MustCompile(`^[A-Za-z0-9_+.-]+:[A-Za-z0-9=_-]+$`)
	uuidGrammar  = regexp.MustCompile(`^[A-Za-z0-9-_.=]+$`)
)

const maxNameLength = 255

// set stores the value of a path parameter and reports whether it has the parameter's form. Other
// segments must be equal.
func (rt *route) set(parameter, value string) bool {
	switch parameter {
	case "{name}":
		rt.name = value
		return isName(value)
	case "{tag}":
		rt.reference = value
		return tagGrammar.MatchString(value)
	case "{digest}":
		rt.reference = value
		return digestGrammar.MatchString(value)
	case "{reference}":
		rt.reference = value
		return tagGrammar.MatchString(value) || looseGrammar.MatchString(value)
	case "{uuid}", "{id}":
		rt.uuid = value
		return uuidGrammar.MatchString(value)
	}
	if rest, verb, ok := strings.Cut(parameter, "}:"); ok { // a parameter and what is to be done with it
		value, ok := strings.CutSuffix(value, ":"+verb)
		return ok && rt.set(rest+"}", value)
	}
	return parameter == value // a literal
}

// findRoute returns the operations of a decoded path, by method: none if no row of the table has
// such a path. Repository names never have a segment that begins with an underscore, so no path
// matches two templates.
func findRoute(path string) (rt route, allowed map[string]*operation) {
	for i := range operationTable {
		op := &operationTable[i]
		var here route
		if !here.match(op.path, path) {
			continue
		}
		if allowed == nil {
			rt, allowed = here, make(map[string]*operation)
		}
		allowed[op.method] = op
	}
	return rt, allowed
}

// match compares a path with a template. It reads both from the right end, because {name} stands
// for any number of segments.
func (rt *route) match(template, path string) bool {
	prefix, rest, parameters := strings.Cut(template, "{name}")
	if !parameters {
		return template == path
	}
	path, ok := strings.CutPrefix(path, prefix)
	literal, _, _ := strings.Cut(rest, "{")
	ok = ok && strings.Contains(path, literal) // cheaper than the grammars, and false for most rows
	for ok && rest != "" {
		var segment, value string
		rest, segment = cutLast(rest)
		path, value = cutLast(path)
		ok = rt.set(segment, value)
	}
	return ok && rt.set("{name}", path)
}

// cutLast splits a path before its last slash.
func cutLast(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func isName(name string) bool {
	return len(name) <= maxNameLength && nameGrammar.MatchString(name)
}
