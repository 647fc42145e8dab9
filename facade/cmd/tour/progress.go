package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far a transfer has got: on a terminal in one line that is written over, elsewhere at most every few seconds.
type progress struct {
	w        io.Writer
	terminal bool
	title    string
	column   int // width of the title
	total    int64
	began    time.Time
	shown    time.Time
}

const quietInterval = 5 * time.Second

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func newProgress(w io.Writer, title string, column int, total int64) *progress {
	now := time.Now()
	return &progress{w: w, terminal: isTerminal(w), title: title, column: column, total: total, began: now, shown: now}
}

// show is called as the transfer goes on.
func (p *progress) show(done int64) {
	switch {
	case p.terminal:
		const width = 24
		full := width
		if p.total > 0 {
			full = int(width * min(done, p.total) / p.total)
		}
		bar := strings.Repeat("=", full) + strings.Repeat(".", width-full)
		_, _ = fmt.Fprintf(p.w, "\r   %-*s [%s] %s of %s\x1b[K", p.column, p.title, bar, size(done), size(p.total))
	case time.Since(p.shown) >= quietInterval:
		p.shown = time.Now()
		_, _ = fmt.Fprintf(p.w, "   %-*s %s of %s\n", p.column, p.title, size(done), size(p.total))
	}
}

// done replaces the line by the result.
func (p *progress) done(remark string) {
	if p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
	took := time.Since(p.began)
	_, _ = fmt.Fprintf(p.w, "   %-*s %10s  %12s  %s\n", p.column, p.title, size(p.total), rate(p.total, took), remark)
}
