package facade_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// publicDirs are the packages whose documentation users read.
var publicDirs = []string{"facade/acr", "facade/acrtest", "facade/credentials", "facade/images", "facade/retention"}

const (
	proseWidth = 100
	codeWidth  = 120
	tabWidth   = 4
)

// documented is an exported identifier with its comment.
type documented struct {
	name  string // without its type
	kind  string // func, type, value, option
	doc   *ast.CommentGroup
	where token.Position
}

// publicDocs yields the comments of all exported identifiers of the public packages, and their package comments.
func (tr tree) publicDocs(yield func(d documented)) {
	tr.goFiles("facade/", false, func(name string, f *ast.File) {
		if !slices.Contains(publicDirs, path.Dir(name)) {
			return
		}
		tell := func(name, kind string, doc *ast.CommentGroup, at token.Pos) {
			if doc == nil && kind == "option" {
				doc = &ast.CommentGroup{} // a comment behind the field does not say its default
			}
			if doc != nil && ast.IsExported(name) {
				yield(documented{name, kind, doc, tr.fset.Position(at)})
			}
		}
		tell("Package", "package", f.Doc, f.Package)
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if exportedReceiver(d) {
					tell(d.Name.Name, "func", d.Doc, d.Pos())
				}
			case *ast.GenDecl:
				tellSpecs(d, tell)
			}
		}
	})
}

func tellSpecs(d *ast.GenDecl, tell func(name, kind string, doc *ast.CommentGroup, at token.Pos)) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			doc := s.Doc
			if doc == nil {
				doc = d.Doc
			}
			tell(s.Name.Name, "type", doc, s.Pos())
			fields, _ := s.Type.(*ast.StructType)
			if fields == nil || !s.Name.IsExported() {
				continue
			}
			kind := "field"
			if strings.HasSuffix(s.Name.Name, "Options") {
				kind = "option"
			}
			for _, f := range fields.Fields.List {
				for _, n := range f.Names[:min(1, len(f.Names))] {
					tell(n.Name, kind, f.Doc, f.Pos())
				}
			}
		case *ast.ValueSpec:
			doc := s.Doc
			if doc == nil && !d.Lparen.IsValid() {
				doc = d.Doc
			}
			tell(s.Names[0].Name, "value", doc, s.Pos())
		}
	}
}

// notGodoc finds comments that do not begin with the name of what they describe: "Name verbs ...".
func (tr tree) notGodoc() (broken []string) {
	tr.publicDocs(func(d documented) {
		words := strings.Fields(d.doc.Text())
		if len(words) > 0 && (words[0] == "A" || words[0] == "An" || words[0] == "The") && d.kind == "type" {
			words = words[1:]
		}
		ok := len(words) > 1 && strings.TrimRight(words[0], ",") == d.name
		if ok && (d.kind == "func" || d.kind == "option") {
			verb := strings.TrimRight(words[1], ",.:")
			ok = strings.HasSuffix(verb, "s") && !unicode.IsUpper(rune(verb[0])) || d.kind == "option" && (verb == "are" || verb == "if")
		}
		if !ok && d.kind != "field" {
			broken = append(broken, fmt.Sprintf("%s: the comment has to begin %q and a verb", d.where, d.name))
		}
	})
	return broken
}

// wideComments finds lines of public comments that are too long.
func (tr tree) wideComments() (broken []string) {
	tr.publicDocs(func(d documented) {
		for _, c := range d.doc.List {
			column := tr.fset.Position(c.Pos()).Column - 1 // tabs, as gofmt indents
			limit := proseWidth
			if strings.HasPrefix(c.Text, "//\t") {
				limit = codeWidth
			}
			width := column*tabWidth + len([]rune(strings.ReplaceAll(c.Text, "\t", strings.Repeat(" ", tabWidth))))
			if width > limit {
				broken = append(broken, fmt.Sprintf("%s: %d columns, the limit is %d", tr.fset.Position(c.Pos()), width, limit))
			}
		}
	})
	return broken
}

var errorItem = regexp.MustCompile(`^//   - .*(\[[\w.*]+\]|\*?[\w.]*Error|error).*\b(if|when|for|unless|after)\b`)

// looseErrorLists finds lists of errors that are not of the form "Errors:", then "  - [ErrX] if ..." for each.
func (tr tree) looseErrorLists() (broken []string) {
	tr.publicDocs(func(d documented) {
		inList := false
		for i, c := range d.doc.List {
			line := strings.TrimPrefix(c.Text, "//")
			switch {
			case strings.Contains(line, "Errors:") && strings.TrimSpace(line) != "Errors:":
				broken = append(broken, fmt.Sprintf("%s: errors are a list: \"Errors:\" on a line of its own, then one \"  - [ErrX] if ...\" for each",
					tr.fset.Position(c.Pos())))
			case strings.TrimSpace(line) == "Errors:":
				inList = true
				if i+1 == len(d.doc.List) || !strings.HasPrefix(d.doc.List[i+1].Text, "//   - ") {
					broken = append(broken, fmt.Sprintf("%s: no list follows", tr.fset.Position(c.Pos())))
				}
			case inList && strings.HasPrefix(c.Text, "//   - "):
				item := c.Text
				for _, more := range d.doc.List[i+1:] {
					if !strings.HasPrefix(more.Text, "//     ") {
						break
					}
					item += " " + strings.TrimPrefix(more.Text, "//     ")
				}
				if !errorItem.MatchString(item) {
					broken = append(broken, fmt.Sprintf("%s: an error of a list has a condition: \"  - [ErrX] if ...\"", tr.fset.Position(c.Pos())))
				}
			case inList && !strings.HasPrefix(c.Text, "//     "):
				inList = false
			}
		}
	})
	return broken
}

// dialect is what documentation here used to say and nobody else does.
var dialect = []string{
	"is told", "are told", "is given up", "gives up on", "that is none", "which is none", "that are none", "what is asked for", "is asked for", "was asked for", "the road",
	"as a rule", "whoever", "goes on", "go on ", "where given", "comes back as", "is raised", "the registry's no", "lets go", "stands in for", "in earnest",
	"gives a", "gives the", "holds against", "is held against", "without a word", "is no error", "on its way", "has its say", "in passing",
}

// speaksDialect finds those words in public comments.
func (tr tree) speaksDialect() (broken []string) {
	tr.publicDocs(func(d documented) {
		text := strings.ToLower(strings.Join(strings.Fields(d.doc.Text()), " "))
		for _, words := range dialect {
			if strings.Contains(text, words) {
				broken = append(broken, fmt.Sprintf("%s: %s: say it plainly: %q", d.where, d.name, words))
			}
		}
	})
	return broken
}
