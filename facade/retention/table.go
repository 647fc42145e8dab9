package retention

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
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
// Lines with GOES begin with the youngest; those of one manifest stand together. Images of an index
// and signatures are counted with the image that they belong to. The last line has the ID of the
// plan.
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
	shown := newShown(r)
	var widths tableWidths
	shown.lines(p.Made, widths.add)
	shown.lines(p.Made, func(line tableLine) { line.write(w, &widths) })
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

// shown is what the lines of a repository show, in their order.
type shown struct {
	*RepositoryPlan
	gone  []*Manifest // those that have lines of their own, the youngest first
	along map[digest.Digest]goingAlong
	kept  []*Kept
}

// goingAlong counts what is deleted along with a manifest.
type goingAlong struct{ images, referrers int }

func newShown(r *RepositoryPlan) *shown {
	s := &shown{RepositoryPlan: r, along: map[digest.Digest]goingAlong{}}
	roots := make(map[digest.Digest]digest.Digest, len(r.Delete)) // with which each manifest is shown
	for i := range r.Delete {
		m := &r.Delete[i]
		root := m.Digest
		if code := m.Reason.Code; code == Unneeded || code == Follows {
			root = cmp.Or(roots[m.Reason.Via], root) // what it goes along with comes before it
		}
		if roots[m.Digest] = root; root == m.Digest {
			s.gone = append(s.gone, m)
			continue
		}
		n := s.along[root]
		if m.Reason.Code == Follows {
			n.referrers++
		} else {
			n.images++
		}
		s.along[root] = n
	}
	for i := range r.Keep {
		s.kept = append(s.kept, &r.Keep[i])
	}
	slices.SortStableFunc(s.gone, func(a, b *Manifest) int { return b.youngest().Compare(a.youngest()) })
	slices.SortStableFunc(s.kept, func(a, b *Kept) int { return slices.Compare(a.Tags, b.Tags) })
	return s
}

// youngest is the time of the manifest's youngest line.
func (m *Manifest) youngest() time.Time {
	if len(m.Tags) == 0 {
		return m.Updated
	}
	var at time.Time
	for _, t := range m.Tags {
		at = latest(at, t.Updated)
	}
	return at
}

// lines calls write for each line of the repository but the first.
func (s *shown) lines(made time.Time, write func(tableLine)) {
	line := func(columns ...string) {
		var l tableLine
		for i, c := range columns {
			l[i] = oneLine(c)
		}
		write(l)
	}
	for _, m := range s.gone {
		age := inDays(made.Sub(m.Updated))
		if len(m.Tags) == 0 {
			line("GOES", "-", m.Kind, short(m.Digest), age, reasonText(m.Reason)+s.along[m.Digest].text())
		}
		for _, tag := range slices.SortedStableFunc(slices.Values(m.Tags), func(a, b Tag) int { return b.Updated.Compare(a.Updated) }) {
			line("GOES", tag.Name, m.Kind, short(m.Digest), inDays(made.Sub(tag.Updated)), reasonText(tag.Reason)+s.along[m.Digest].text())
		}
	}
	for _, tag := range s.Untag {
		line("UNTAG", tag.Name, "tag", short(tag.Digest), inDays(made.Sub(tag.Updated)), reasonText(tag.Reason))
	}
	for _, k := range s.kept {
		line("STAYS", someOf(k.Tags), "", short(k.Digest), "", reasonText(k.Reason))
	}
	for _, f := range s.Findings {
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

func (n goingAlong) text() (text string) {
	for _, more := range []struct {
		n         int
		one, many string
	}{{n.images, "image of it", "images of it"}, {n.referrers, "referrer", "referrers"}} {
		switch more.n {
		case 0:
		case 1:
			text += " + 1 " + more.one
		default:
			text += fmt.Sprintf(" + %d %s", more.n, more.many)
		}
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
