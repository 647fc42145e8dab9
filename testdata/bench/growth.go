package main

import (
	"fmt"
	"io"

	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

// growth are the workloads that show how costs and memory grow with the size.
func growth() (ws []workload) {
	add := func(name, unit string, sizes [3]int, with func(w *workload, n int)) {
		for _, n := range sizes {
			w := workload{name: fmt.Sprintf("g-%s-%d", name, n), group: "growth", title: unit, units: n}
			with(&w, n)
			ws = append(ws, w)
		}
	}
	lists := [3]int{10_000, 100_000, 1_000_000}
	add("tags", "tag listed", lists, func(w *workload, n int) { w.op, w.cfg = "tags", fakeacr.Config{Tags: n} })
	add("upload", "MiB uploaded from a file", [3]int{64, 640, 6400}, func(w *workload, n int) {
		w.op, w.size, w.sparse = "upload", int64(n)*mib, true
	})
	add("calls", "call at once, on one repository", [3]int{10, 100, 1000}, func(w *workload, n int) { w.op, w.calls, w.repos = "props", n, 1 })
	add("scopes", "call at once, each on a repository of its own", [3]int{1, 50, 5000}, func(w *workload, n int) { w.op, w.calls, w.repos = "props", n, n })
	images := [3]int{10, 100, 1000}
	add("push", "layer of 64 KiB pushed", images, func(w *workload, n int) { w.op, w.layers = "push", n })
	add("pull", "layer of 64 KiB pulled", images, func(w *workload, n int) { w.op, w.layers, w.seeded = "pull", n, true })
	add("plan", "manifest judged by a retention plan", [3]int{1000, 10_000, 100_000}, func(w *workload, n int) {
		w.op, w.cfg = "plan", fakeacr.Config{Images: true, Tags: n, Manifests: n}
	})
	return ws
}

// growthTable prints a line for each size.
func growthTable(out io.Writer, files []string) error {
	runs, err := read(files)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "| one | how many | wall s | CPU s | CPU for one, ms | requests | peak MB |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for _, w := range growth() {
		rs := good(runs[w.name][own])
		if len(rs) == 0 {
			continue
		}
		cpu := median(rs, busy)
		fmt.Fprintf(out, "| %s | %d | %.2f | %.2f | %.3g | %.0f | %.0f |\n", w.title, w.units, median(rs, wall), cpu, 1000*cpu/float64(w.units),
			median(rs, func(r result) float64 { return float64(r.Server.Requests) }), median(rs, func(r result) float64 { return r.PeakRSS }))
	}
	return nil
}
