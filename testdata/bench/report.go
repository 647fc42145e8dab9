package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
)

// read returns the results in the files by workload and library.
func read(files []string) (map[string]map[string][]result, error) {
	runs := map[string]map[string][]result{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var r result
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				f.Close()
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if runs[r.Workload] == nil {
				runs[r.Workload] = map[string][]result{}
			}
			runs[r.Workload][r.Peer] = append(runs[r.Workload][r.Peer], r)
		}
		f.Close()
		if err := sc.Err(); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// report prints one table per workload: medians over the rounds, per library.
func report(out io.Writer, files []string) error {
	runs, err := read(files)
	if err != nil {
		return err
	}
	limits := map[string]float64{} // median wall
	for _, w := range workloads() {
		if rs := runs[w.name]["raw"]; w.limit && len(rs) > 0 {
			limits[w.name] = median(rs, func(r result) float64 { return r.Wall })
		}
	}
	for _, w := range workloads() {
		byPeer := runs[w.name]
		if len(byPeer) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n### %s: %s\n\n", w.name, w.title)
		table(out, w, byPeer, limitFor(w, limits))
	}
	return nil
}

// limitFor is the wall time of the bare operation below a workload, 0 if there
// is no such thing.
func limitFor(w workload, limits map[string]float64) float64 {
	switch w.op {
	case "upload":
		return limits["lim-patchfile"]
	case "stream":
		return limits["lim-patch"]
	case "download":
		return limits["lim-getfile"]
	}
	return 0
}

func table(out io.Writer, w workload, byPeer map[string][]result, limit float64) {
	type row struct {
		peer string
		rs   []result
		wall float64
		fail string
		note string
	}
	var rows []row
	best := math.Inf(1)
	for peer, rs := range byPeer {
		r := row{peer: peer, rs: rs}
		var good []result
		for _, x := range rs {
			if x.Err == "" && !x.Unsupported {
				good = append(good, x)
			} else if x.Err != "" {
				r.fail = x.Err
			}
			if x.Unsupported {
				r.note = "not supported"
			}
		}
		if len(good) > 0 {
			r.rs = good
			if len(good) < len(rs) {
				r.note = fmt.Sprintf("%d of %d runs failed", len(rs)-len(good), len(rs))
			}
			r.wall = median(good, func(r result) float64 { return r.Wall })
			if peer != "ideal" && peer != "raw" {
				best = min(best, r.wall)
			}
		} else {
			r.wall = math.Inf(1)
			if r.note == "" {
				r.note = "FAILS: " + short(r.fail)
			}
		}
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].wall != rows[j].wall {
			return rows[i].wall < rows[j].wall
		}
		return rows[i].peer < rows[j].peer
	})
	fmt.Fprintln(out, "| client | runs | wall s (min–max) | rate | × best peer | × limit | CPU s (user+sys) | peak RSS MB | alloc MB | allocs | requests | conns | 401 / exchange / token | extra bytes | server CPU s |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		if math.IsInf(r.wall, 1) {
			fmt.Fprintf(out, "| %s | %d | %s |%s\n", r.peer, len(r.rs), r.note, strings.Repeat(" |", 12))
			continue
		}
		med := func(f func(result) float64) float64 { return median(r.rs, f) }
		walls := make([]float64, len(r.rs))
		for i, x := range r.rs {
			walls[i] = x.Wall
		}
		rate, times, lim, extra := "", "", "", ""
		switch {
		case w.size > 0:
			rate = fmt.Sprintf("%.0f MB/s", float64(w.size)/1e6/r.wall)
			moved := med(func(r result) float64 { return float64(max(r.Server.BodyIn, r.Server.BodyOut)) })
			if d := moved - float64(w.size); !w.limit && math.Abs(d) > 1e5 {
				extra = fmt.Sprintf("%+.1f MiB", d/mib)
			}
		case w.op == "tags" || w.op == "manifests":
			n := med(func(r result) float64 { return float64(r.N) })
			rate = fmt.Sprintf("%.0f k/s", n/1e3/r.wall)
			if !r.rs[0].Full {
				rate += " (names only)"
			}
		}
		if !math.IsInf(best, 1) && !w.limit {
			times = fmt.Sprintf("%.2f", r.wall/best)
		}
		if limit > 0 {
			lim = fmt.Sprintf("%.2f", r.wall/limit)
		}
		note := ""
		if r.note != "" {
			note = " (" + r.note + ")"
		}
		fmt.Fprintf(out, "| %s%s | %d | %.3f (%.2f–%.2f) | %s | %s | %s | %.2f (%.2f+%.2f) | %.0f | %.1f | %.0f | %.0f | %.0f+%.0f | %.0f / %.0f / %.0f | %s | %.2f |\n",
			r.peer, note, len(r.rs), r.wall, slices.Min(walls), slices.Max(walls), rate, times, lim,
			med(func(r result) float64 { return r.User + r.Sys }), med(func(r result) float64 { return r.User }), med(func(r result) float64 { return r.Sys }),
			med(func(r result) float64 { return r.PeakRSS }), med(func(r result) float64 { return r.AllocMB }), med(func(r result) float64 { return float64(r.Mallocs) }),
			med(func(r result) float64 { return float64(r.Server.Requests) }),
			med(func(r result) float64 { return float64(r.Server.RegistryConn) }), med(func(r result) float64 { return float64(r.Server.StorageConn) }),
			med(func(r result) float64 { return float64(r.Server.Unauthorized) }),
			med(func(r result) float64 { return float64(r.Server.Kinds["exchange"]) }), med(func(r result) float64 { return float64(r.Server.Kinds["token"]) }),
			extra, med(func(r result) float64 { return r.Server.CPUSeconds }))
	}
}

func short(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", "/")
	if len(s) > 160 {
		s = s[:160] + "…"
	}
	return s
}

func median(rs []result, f func(result) float64) float64 {
	v := make([]float64, len(rs))
	for i, r := range rs {
		v[i] = f(r)
	}
	slices.Sort(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
