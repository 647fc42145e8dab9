// Command bench measures Go clients of Azure Container Registry against a fake registry that runs
// as a separate process. See README.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/acrkit/acrkit/testdata/bench/adapters"
	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "acrbench:", err)
		os.Exit(1)
	}
}

const usage = `usage: bench COMMAND [flags]

  limits, w1 ... w10    run that group of workloads
  growth                run one thing at 1, 10 and 100 times the size
  all                   run all groups but growth
  list                  show the workloads and the libraries
  report FILE...        print a table of medians for each workload from result files
  summary FILE...       print one table of all workloads: wall times and our ratio to the best peer
  growth-table FILE...  print what grows: the cost of one more, and the peak memory
  serve                 run only the fake registry, for experiments

Flags of the runs:
`

func run(args []string) error {
	fs := flag.NewFlagSet("acrbench", flag.ExitOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage); fs.PrintDefaults() }
	var o options
	fs.StringVar(&o.out, "out", "results.jsonl", "append results to `file`")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "work in a new `directory` under this one; a tmpfs keeps the disk out of the figures")
	fs.StringVar(&o.disk, "disk", os.TempDir(), "`directory` on a real disk, for the disk limit only")
	fs.StringVar(&o.peers, "peers", "acrkit,azsdk,oras,ggcr,regclient,ideal", "comma-separated libraries, or all")
	fs.StringVar(&o.only, "only", "", "comma-separated workloads, by name or group")
	fs.IntVar(&o.rounds, "rounds", 3, "how many times to run everything, interleaved")
	fs.IntVar(&o.timeout, "timeout", 180, "seconds after which a worker is killed")
	fs.Float64Var(&o.noise, "noise", 0.25, "run again (twice at most) when other processes used more than this many cores meanwhile")
	fs.IntVar(&o.settle, "settle", 0, "before each run, wait up to this many seconds for the machine to be idle")
	fs.BoolVar(&o.http2, "http2", false, "let the registry speak HTTP/2")
	fs.StringVar(&o.label, "label", "", "`text` stored with every result")
	fs.StringVar(&o.profile, "profile", "", "write the CPU profile of each client's last run of a workload to this `directory`, as workload-client.pprof")
	if len(args) == 0 {
		fs.Usage()
		os.Exit(2)
	}
	cmd := args[0]
	fs.Parse(args[1:])
	if o.peers == "all" {
		o.peers = strings.Join(adapters.Names(), ",")
	}
	switch cmd {
	case "worker":
		return runWorker()
	case "serve":
		return serve(o.dir, o.http2)
	case "report":
		return report(os.Stdout, fs.Args())
	case "summary":
		return summary(os.Stdout, fs.Args())
	case "growth-table":
		return growthTable(os.Stdout, fs.Args())
	case "list":
		for _, w := range workloads() {
			fmt.Printf("%-16s %-7s %s\n", w.name, w.group, w.title)
		}
		fmt.Println("\nlibraries:", strings.Join(adapters.Names(), " "))
		return nil
	}
	var ws []workload
	only := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
	for _, w := range workloads() {
		if (cmd == "all" && w.group != "growth" || cmd == w.group) && (len(only) == 0 || slices.Contains(only, w.name) || slices.Contains(only, w.group)) {
			ws = append(ws, w)
		}
	}
	if len(ws) == 0 {
		fs.Usage()
		return fmt.Errorf("nothing to run for %q", cmd)
	}
	return orchestrate(o, ws)
}

// address is what serve prints for the process that started it.
type address struct {
	Control string `json:"control"`
	Cert    string `json:"cert"`
}

// serve runs the registry until it is told to stop or its parent goes away.
func serve(dir string, http2 bool) error {
	cert := dir + "/cert.pem"
	s, err := fakeacr.Start(fakeacr.Options{CertFile: cert, HTTP2: http2})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "registry %s, storage %s, control %s\n", s.RegistryHost, s.StorageHost, s.ControlHost)
	json.NewEncoder(os.Stdout).Encode(address{s.ControlHost, cert})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}
