// Package kql runs queries over rows: the small part of the Kusto Query Language that is in the examples
// of Microsoft's command line.
//
//	Manifests | where os == 'linux' and imageSize > 1000 | order by imageSize desc | limit 10 | project digest, imageSize
//
// It knows where (with ==, !=, <, <=, >, >=, joined by and), order by and sort by, limit and take,
// project, and count. Everything else is an error.
package kql

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Row is one row. Its values are string, int64 or map[string]string.
type Row map[string]any

// Query is a query that has been read.
type Query struct {
	Table string
	steps []func([]Row) []Row
}

// Run returns what the query makes of the rows of its table.
func (q *Query) Run(rows []Row) []Row {
	for _, step := range q.steps {
		rows = step(rows)
	}
	return rows
}

// token is a name, with an index in brackets or without, a number, a text in quotes, or an operator.
var token = regexp.MustCompile(`\s*([A-Za-z_][A-Za-z0-9_]*(?:\[(?:'[^']*'|"[^"]*")\])?|[0-9]+|'[^']*'|"[^"]*"|==|!=|<=|>=|[<>|,])`)

// Parse reads a query.
func Parse(text string) (*Query, error) {
	var tokens []string
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		at := token.FindStringSubmatchIndex(rest)
		if at == nil || at[0] != 0 {
			return nil, fmt.Errorf("syntax error at %q", rest)
		}
		tokens = append(tokens, rest[at[2]:at[3]])
		rest = rest[at[1]:]
	}
	stages := [][]string{nil}
	for _, t := range tokens {
		if t == "|" {
			stages = append(stages, nil)
			continue
		}
		stages[len(stages)-1] = append(stages[len(stages)-1], t)
	}
	if len(stages[0]) != 1 {
		return nil, errors.New("a query begins with the name of a table")
	}
	q := &Query{Table: stages[0][0]}
	for _, stage := range stages[1:] {
		step, err := parseStage(stage)
		if err != nil {
			return nil, err
		}
		q.steps = append(q.steps, step)
	}
	return q, nil
}

func parseStage(stage []string) (func([]Row) []Row, error) {
	if len(stage) == 0 {
		return nil, errors.New("an operator is missing after '|'")
	}
	verb, rest := stage[0], stage[1:]
	switch {
	case verb == "where":
		return parseWhere(rest)
	case (verb == "limit" || verb == "take") && len(rest) == 1:
		n, err := strconv.Atoi(rest[0])
		return func(rows []Row) []Row { return rows[:min(n, len(rows))] }, err
	case (verb == "order" || verb == "sort") && len(rest) >= 2 && rest[0] == "by":
		return parseOrder(rest[1:])
	case verb == "project":
		return parseProject(rest)
	case verb == "count" && len(rest) == 0:
		return func(rows []Row) []Row { return []Row{{"Count": int64(len(rows))}} }, nil
	}
	return nil, fmt.Errorf("the operator %q is not known here", strings.Join(stage, " "))
}

func parseWhere(rest []string) (func([]Row) []Row, error) {
	var tests []func(Row) bool
	for {
		if len(rest) < 3 {
			return nil, errors.New("where wants a comparison")
		}
		column, operator, value := rest[0], rest[1], rest[2]
		holds, ok := operators[operator]
		if !ok {
			return nil, fmt.Errorf("the operator %q is not known here", operator)
		}
		var want any = strings.Trim(value, `'"`)
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			want = n
		}
		tests = append(tests, func(r Row) bool { return holds(compare(r.column(column), want)) })
		if rest = rest[3:]; len(rest) == 0 {
			break
		}
		if rest[0] != "and" {
			return nil, fmt.Errorf("%q instead of 'and'", rest[0])
		}
		rest = rest[1:]
	}
	return func(rows []Row) []Row {
		return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool {
			return slices.ContainsFunc(tests, func(holds func(Row) bool) bool { return !holds(r) })
		})
	}, nil
}

var operators = map[string]func(int) bool{
	"==": func(c int) bool { return c == 0 },
	"!=": func(c int) bool { return c != 0 },
	"<":  func(c int) bool { return c < 0 },
	"<=": func(c int) bool { return c <= 0 },
	">":  func(c int) bool { return c > 0 },
	">=": func(c int) bool { return c >= 0 },
}

func parseOrder(rest []string) (func([]Row) []Row, error) {
	column, direction := rest[0], 1
	switch {
	case len(rest) == 1, len(rest) == 2 && rest[1] == "desc": // descending unless said otherwise
		direction = -1
	case len(rest) == 2 && rest[1] == "asc":
	default:
		return nil, errors.New("order by wants one column, and asc or desc")
	}
	return func(rows []Row) []Row {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, func(a, b Row) int { return direction * compare(a.column(column), b.column(column)) })
		return rows
	}, nil
}

func parseProject(rest []string) (func([]Row) []Row, error) {
	var columns []string
	for i, t := range rest {
		if (t == ",") != (i%2 == 1) {
			return nil, errors.New("project wants columns, separated by commas")
		}
		if t != "," {
			columns = append(columns, t)
		}
	}
	if len(columns) == 0 || rest[len(rest)-1] == "," {
		return nil, errors.New("project wants columns, separated by commas")
	}
	return func(rows []Row) []Row {
		out := make([]Row, len(rows))
		for i, r := range rows {
			out[i] = Row{}
			for _, column := range columns {
				if v := r.column(column); v != nil {
					out[i][column] = v
				}
			}
		}
		return out
	}, nil
}

// column is a value of the row: name, or name['key'] for one of a map. It is nil if the row does not
// have it.
func (r Row) column(name string) any {
	name, key, indexed := strings.Cut(name, "[")
	value := r[name]
	if !indexed {
		return value
	}
	members, _ := value.(map[string]string)
	if v, ok := members[strings.Trim(key, `'"]`)]; ok {
		return v
	}
	return nil
}

// compare orders two values: nothing, then numbers, then texts.
func compare(a, b any) int {
	x, aNumber := a.(int64)
	y, bNumber := b.(int64)
	s, aText := a.(string)
	t, bText := b.(string)
	switch {
	case aNumber && bNumber:
		return cmp.Compare(x, y)
	case aText && bText:
		return cmp.Compare(s, t)
	}
	rank := func(number, text bool) int {
		switch {
		case number:
			return 1
		case text:
			return 2
		}
		return 0
	}
	return cmp.Compare(rank(aNumber, aText), rank(bNumber, bText))
}
