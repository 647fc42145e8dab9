package retention

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// WriteTable writes the plan for a person who has to approve it. Each repository has a line with
// its totals, and then these lines:
//
//   - GOES for a tag that is deleted, or a manifest that is deleted without a tag
//   - UNTAG for a tag that is deleted while its image stays
//   - STAYS for what stays although a Delete rule selects it
//   - ODD for a Finding
//
// Images of an index and signatures are counted with the image that they belong to. The last line
// has the ID of the plan.
func (p *Plan) WriteTable(w io.Writer) error {
	if p == nil {
		p = &Plan{}
	}
	b := bufio.NewWriter(w)
	for _, r := range p.Repositories {
		if r != nil {
			r.writeTable(b, p)
		}
	}
	if len(p.Repositories) == 0 {
		fmt.Fprintln(b, "no repository: the patterns of the rules match whole names, and no repository has such a name")
	}
	fmt.Fprintf(b, "plan %s\n", p.ID())
	return b.Flush()
}

func (r *RepositoryPlan) writeTable(w io.Writer, p *Plan) {
	if r.Refused != nil {
		fmt.Fprintf(w, "%s: left as it is (%s): %s\n", oneLine(r.Name), oneLine(string(r.Refused.Code)), oneLine(r.Refused.Text))
		return
	}
	fmt.Fprintf(w, "%s: %d of %d manifests, %d of %d tags", oneLine(r.Name), r.Manifests.Delete, r.Manifests.Total, r.Tags.Delete, r.Tags.Total)
	if r.Bytes != nil {
		fmt.Fprintf(w, ", %s freed (%s stay, shared)", inBytes(r.Bytes.Freed), inBytes(r.Bytes.Shared))
	}
	fmt.Fprintf(w, " (policy %s)\n", oneLine(r.Policy))
	roots, along := r.along()
	var widths tableWidths
	r.lines(p, roots, along, widths.add)
	r.lines(p, roots, along, func(line tableLine) { line.write(w, &widths) })
}

// tableLine is a line of a table by columns.
type tableLine [6]string

// tableWidths are the widths of the columns. They take a pass of their own over a plan: its lines
// would take more memory than itself.
type tableWidths [len(tableLine{})]int

func (w *tableWidths) add(line tableLine) {
	for i, column := range line {
		w[i] = max(w[i], utf8.RuneCountInString(column))
	}
}

func (line tableLine) write(w io.Writer, widths *tableWidths) {
	for i, column := range line[:len(line)-1] {
		fmt.Fprintf(w, "  %-*s", widths[i], column)
	}
	fmt.Fprintf(w, "  %s\n", line[len(line)-1])
}

// lines calls write for each line of the repository but the first.
func (r *RepositoryPlan) lines(p *Plan, roots map[digest.Digest]digest.Digest, along map[digest.Digest]goingAlong, write func(tableLine)) {
	line := func(columns ...string) {
		var l tableLine
		for i, c := range columns {
			l[i] = oneLine(c)
		}
		write(l)
	}
	for _, m := range r.Delete {
		if roots[m.Digest] != m.Digest {
			continue
		}
		age := inDays(p.Made.Sub(m.Updated))
		if len(m.Tags) == 0 {
			line("GOES", "-", m.Kind, short(m.Digest), age, reasonText(m.Reason)+along[m.Digest].text())
		}
		for _, tag := range m.Tags {
			line("GOES", tag.Name, m.Kind, short(m.Digest), inDays(p.Made.Sub(tag.Updated)), reasonText(tag.Reason)+along[m.Digest].text())
		}
	}
	for _, tag := range r.Untag {
		line("UNTAG", tag.Name, "tag", short(tag.Digest), inDays(p.Made.Sub(tag.Updated)), reasonText(tag.Reason))
	}
	for _, k := range r.Keep {
		line("STAYS", someOf(k.Tags), "", short(k.Digest), "", reasonText(k.Reason))
	}
	for _, f := range r.Findings {
		what := f.What
		if strings.HasPrefix(what, "sha256:") {
			what = short(digest.Digest(what))
		}
		line("ODD", what, "", "", "", string(f.Code)+": "+f.Detail)
	}
}

// shownTags is how many tags of one manifest a line shows: the longest line decides how wide all are.
const shownTags = 3

// someOf returns the first tags, and how many more there are.
func someOf(tags []string) string {
	switch n := len(tags) - shownTags; {
	case len(tags) == 0:
		return "-"
	case n > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(tags[:shownTags], ", "), n)
	default:
		return strings.Join(tags, ", ")
	}
}

// goingAlong counts what is deleted along with a manifest.
type goingAlong struct{ images, referrers int }

// along returns, for each deleted manifest, the one with which it is shown, and what is shown with
// that one.
func (r *RepositoryPlan) along() (roots map[digest.Digest]digest.Digest, along map[digest.Digest]goingAlong) {
	roots, along = make(map[digest.Digest]digest.Digest, len(r.Delete)), map[digest.Digest]goingAlong{}
	for _, m := range r.Delete {
		root := m.Digest
		if code := m.Reason.Code; code == Unneeded || code == Follows {
			root = cmp.Or(roots[m.Reason.Via], root) // what it goes along with comes before it
		}
		if roots[m.Digest] = root; root == m.Digest {
			continue
		}
		n := along[root]
		if m.Reason.Code == Follows {
			n.referrers++
		} else {
			n.images++
		}
		along[root] = n
	}
	return roots, along
}

func (n goingAlong) text() (text string) {
	if n.images > 0 {
		text += fmt.Sprintf(" + %d images of it", n.images)
	}
	if n.referrers > 0 {
		text += fmt.Sprintf(" + %d referrers", n.referrers)
	}
	return text
}

func reasonText(r Reason) string {
	if r.Rule == "" {
		return r.Text
	}
	return r.Rule + ": " + r.Text
}

// oneLine makes sure that nothing a registry said can write a line of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !printable(string(r)) {
			return '?'
		}
		return r
	}, s)
}

// inBytes is a number of bytes as a person reads it.
func inBytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit && prefix < 4 {
		size /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %cB", size, "kMGTP"[prefix])
}
