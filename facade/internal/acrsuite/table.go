package acrsuite

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// The marks between which Table stands in a file.
const (
	tableBegin = "<!-- rows: made by `make reliability-rows`, do not edit -->\n"
	tableEnd   = "<!-- end of rows -->\n"
)

// Table returns the list of rows in Markdown.
func Table() string {
	var b strings.Builder
	attacks, faults, open := 0, 0, 0
	for _, e := range Rows {
		switch {
		case e.Want == Open:
			open++
		case e.ID[0] == 'A':
			attacks++
		default:
			faults++
		}
	}
	fmt.Fprintf(&b, "%d attacks and %d faults are tested; %d rows are open.\n\n", attacks, faults, open)
	b.WriteString("| Row | What happens | Outcome | Test |\n| --- | --- | --- | --- |\n")
	for _, e := range Rows {
		test := "open: " + e.Test
		if e.Want != Open {
			suite, function, _ := strings.Cut(e.Test, ".")
			test = fmt.Sprintf("[%s.%s](%s)", path.Base(suite), function, directory(suite))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.ID, e.Text, e.Want, test)
	}
	return b.String()
}

// directory is where the tests of a package of the list are, seen from facade.
func directory(suite string) string {
	switch suite {
	case "attack", "upload", "download", "content", "signin":
		return "internal/acrsuite/" + suite
	}
	return suite
}

// WithTable returns the text with the table between its marks.
func WithTable(text []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(text, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !begun || !ended {
		return nil, fmt.Errorf("there is no place for the rows: %q and, after it, %q", tableBegin, tableEnd)
	}
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, tableBegin, Table(), tableEnd, after), nil
}
