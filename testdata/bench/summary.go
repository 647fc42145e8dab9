package main

import (
	"fmt"
	"io"
	"strings"
)

// own is the library that the others are compared with; none are no libraries.
const own = "acrkit"

var (
	columns = []string{own, "azsdk", "oras", "ggcr", "regclient", "ideal"}
	none    = map[string]bool{own: true, "ideal": true, "raw": true}
)

// summary prints one line for each workload: the median wall time of every client, and for ours the
// ratio to the best peer, the peak memory and the number of requests.
func summary(out io.Writer, files []string) error {
	runs, err := read(files)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| workload | %s | to the best peer | CPU s, best peer's | peak MB | requests |\n", strings.Join(columns, " | "))
	fmt.Fprintf(out, "|---%s|---|---|---|---|\n", strings.Repeat("|---", len(columns)))
	for _, w := range workloads() {
		byPeer := runs[w.name]
		if len(byPeer[own]) == 0 {
			continue
		}
		fmt.Fprintf(out, "| %s: %s |", w.name, w.title)
		for _, peer := range columns {
			fmt.Fprintf(out, " %s |", cell(byPeer[peer]))
		}
		fmt.Fprintln(out, compare(byPeer))
	}
	return nil
}

// good returns the runs that came to an end with the right result.
func good(rs []result) (ok []result) {
	for _, r := range rs {
		if r.Err == "" && !r.Unsupported {
			ok = append(ok, r)
		}
	}
	return ok
}

func wall(r result) float64 { return r.Wall }
func busy(r result) float64 { return r.User + r.Sys }

// cell is the median wall time in seconds, or why there is none.
func cell(rs []result) string {
	ok := good(rs)
	switch {
	case len(ok) > 0 && isList(ok[0]) && !ok[0].Full:
		return fmt.Sprintf("%.2f (names)", median(ok, wall))
	case len(ok) > 0 && len(ok) < len(rs):
		return fmt.Sprintf("%.2f (%d of %d fail)", median(ok, wall), len(rs)-len(ok), len(rs))
	case len(ok) > 0:
		return fmt.Sprintf("%.2f", median(ok, wall))
	case len(rs) == 0 || rs[0].Unsupported:
		return "-"
	default:
		return "fails"
	}
}

// isList reports whether a result is that of a list, where some libraries return names only.
func isList(r result) bool { return strings.HasPrefix(r.Workload, "w6") }

// compare is the rest of a line. A list of names is no peer of one with properties.
func compare(byPeer map[string][]result) string {
	ours := good(byPeer[own])
	if len(ours) == 0 {
		return " | | | |"
	}
	var best []result
	for _, peer := range columns {
		rs := good(byPeer[peer])
		if none[peer] || len(rs) == 0 || isList(rs[0]) && !rs[0].Full {
			continue
		}
		if best == nil || median(rs, wall) < median(best, wall) {
			best = rs
		}
	}
	ratio, cpu := "alone", fmt.Sprintf("%.2f", median(ours, busy))
	if best != nil {
		ratio = fmt.Sprintf("%.2f", median(ours, wall)/median(best, wall))
		cpu += fmt.Sprintf(", %.2f", median(best, busy))
	}
	return fmt.Sprintf(" %s | %s | %.0f | %.0f |", ratio, cpu,
		median(ours, func(r result) float64 { return r.PeakRSS }),
		median(ours, func(r result) float64 { return float64(r.Server.Requests) }))
}
