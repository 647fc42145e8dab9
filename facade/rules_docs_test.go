package facade_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	docLink     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docSpan     = regexp.MustCompile("`([^`\n]+)`")
	docPath     = regexp.MustCompile(`^(?:\./)?(?:api|facade|gen|testdata|\.ci|\.github)(?:/[\w.*-]+)*/?$`)
	docTest     = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`)
	docMake     = regexp.MustCompile("(?m)(?:^    |`)make ([a-z -]+)")
	docSelector = regexp.MustCompile(`^([a-z]+)\.([A-Za-z]\w+)`)
	docHeading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	docMember   = regexp.MustCompile(`^([A-Z]\w*)\.([A-Z]\w*)`)
	docCode     = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	docNotSlug  = regexp.MustCompile(`[^\w\- ]`)
)

// staleDocuments finds in the Markdown files what does not exist: targets of links, paths, tests, make targets, and names of this
// module's packages. Whoever moves or renames one is told which page speaks of it.
func (tr tree) staleDocuments() (broken []string) {
	members := tr.members()
	for _, name := range tr.files {
		if path.Ext(name) != ".md" || strings.Contains(name, "testdata/") {
			continue
		}
		text := tr.text[name]
		say := func(format string, args ...any) {
			broken = append(broken, name+" "+fmt.Sprintf(format, args...))
		}
		for _, m := range docLink.FindAllStringSubmatch(docCode.ReplaceAllString(text, ""), -1) {
			if !strings.Contains(m[1], "://") && !tr.linked(name, m[1]) {
				say("links to %s, which does not exist", m[1])
			}
		}
		for _, m := range docSpan.FindAllStringSubmatch(text, -1) {
			span := strings.TrimSuffix(m[1], "/...")
			if docPath.MatchString(span) && !tr.exists(span) {
				say("names %s, which does not exist", m[1])
			}
			if s := docSelector.FindStringSubmatch(span); s != nil && !tr.declares(s[1], s[2]) {
				say("names %s, which package %s does not have", m[1], s[1])
			}
			if s := docMember.FindStringSubmatch(span); s != nil && path.Base(name) != "CHANGELOG.md" && members[s[1]] != nil &&
				!slices.Contains(members[s[1]], s[2]) && !slices.Contains(members[s[1]], "*") {
				say("names %s, and there is no such method or field", m[1])
			}
		}
		for _, test := range docTest.FindAllString(text, -1) {
			if !slices.ContainsFunc(tr.files, func(f string) bool { return strings.Contains(tr.text[f], "func "+test+"(") }) {
				say("names %s, and there is no such test", test)
			}
		}
		for _, m := range docMake.FindAllStringSubmatch(text, -1) {
			for target := range strings.FieldsSeq(m[1]) {
				if !strings.Contains(tr.text["Makefile"], "\n"+target+": ##") {
					say("names make %s, which does not exist", target)
				}
			}
		}
	}
	return broken
}

// linked tells whether a link of a document leads somewhere, its heading included.
func (tr tree) linked(from, target string) bool {
	file, heading, _ := strings.Cut(target, "#")
	file = path.Join(path.Dir(from), file)
	if target[0] == '#' {
		file = from
	}
	if !tr.exists(file) {
		return false
	}
	return heading == "" || slices.ContainsFunc(docHeading.FindAllStringSubmatch(tr.text[file], -1), func(m []string) bool {
		return strings.ReplaceAll(docNotSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == heading
	})
}

// exists tells whether there is a file or folder of this name, which may have asterisks.
func (tr tree) exists(name string) bool {
	name = path.Clean(name)
	depth := strings.Count(name, "/") + 1
	return slices.ContainsFunc(tr.files, func(f string) bool {
		parts := strings.Split(f, "/")
		ok, err := path.Match(name, strings.Join(parts[:min(depth, len(parts))], "/"))
		return ok && err == nil
	})
}

var (
	typeStruct = regexp.MustCompile(`(?m)^type (\w+)(?:\[[^\]]*\])? (?:struct|interface) \{\n((?:\t.*\n|\n)*)`)
	typeMethod = regexp.MustCompile(`(?m)^func \(\w* ?\*?(\w+)(?:\[\w+\])?\) (\w+)\(`)
	typeField  = regexp.MustCompile(`(?m)^\t((?:\w+, )*\w+)\b`)
	typeEmbeds = regexp.MustCompile(`(?m)^\t\w+\.\w+$`)
)

// members are the methods and fields of the types of the public packages, by type. A type that embeds one of another module has the
// member "*".
func (tr tree) members() map[string][]string {
	of := map[string][]string{}
	for f, text := range tr.text {
		if !slices.Contains(publicDirs, path.Dir(f)) || strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range typeMethod.FindAllStringSubmatch(text, -1) {
			of[m[1]] = append(of[m[1]], m[2])
		}
		for _, m := range typeStruct.FindAllStringSubmatch(text, -1) {
			of[m[1]] = append(of[m[1]], "")
			for _, field := range typeField.FindAllStringSubmatch(m[2], -1) {
				of[m[1]] = append(of[m[1]], strings.Split(field[1], ", ")...)
			}
			if typeEmbeds.MatchString(m[2]) {
				of[m[1]] = append(of[m[1]], "*")
			}
		}
	}
	return of
}

// declares tells whether a package of this module has the name. What is no package of this module has every name.
func (tr tree) declares(pkg, name string) bool {
	word := regexp.MustCompile(`\b` + name + `\b`)
	found := false
	for _, f := range tr.files {
		if path.Base(path.Dir(f)) != pkg || path.Ext(f) != ".go" || !strings.HasPrefix(f, "facade/") {
			continue
		}
		if found = true; word.MatchString(tr.text[f]) {
			return true
		}
	}
	return !found
}
