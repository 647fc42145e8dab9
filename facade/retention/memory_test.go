package retention_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

var held = flag.Int("retention.held", acrsuite.UnderRace(100, 1_000), "images, or tags of one image, in the registry that TestMemory reads")

// The memory that TestMemory permits: 64 MB for 50,000 manifests.
const (
	memoryOfAll = 10 << 20 // the program, its connections, and what is read at a time
	memoryOfOne = (64<<20 - memoryOfAll) / 50_000
)

// TestMemory measures what the package holds in memory at its largest. The registry is a process of its own.
func TestMemory(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	if os.Getenv(registryVariable) != "" {
		serveRegistry(t)
		return
	}
	half, most := *held/2, *held-*held/10
	for _, row := range []struct {
		name string
		size registrySize
		do   func(t *testing.T, c *acr.Client) (count int)
	}{
		{"a plan that deletes nothing", registrySize{Images: *held, Repositories: 1}, planThatDeletes(0, newest(*held))},
		{"a plan that deletes half", registrySize{Images: *held, Repositories: 1}, planThatDeletes(half, newest(*held-half))},
		{"a plan that deletes most", registrySize{Images: *held, Repositories: 1}, planThatDeletes(most, newest(*held-most))},
		{"a plan of one image with many tags", registrySize{Tags: *held}, planThatDeletes(half, `"tags":{"regexp":["t[0-9]*[02468]"]}`)},
		{"the storage of one repository", registrySize{Images: *held, Repositories: 1}, stored},
		{"the storage of ten", registrySize{Images: *held, Repositories: 10}, stored},
		{"a snapshot and its differences", registrySize{Images: *held, Repositories: 10}, compared},
	}[acrsuite.UnderRace(6, 0):] { // the race detector has a memory of its own
		t.Run(row.name, func(t *testing.T) {
			c := otherProcess(t, row.size)
			start := time.Now()
			count := 0
			peak := liveHeap(func() { count = row.do(t, c) })
			t.Logf("%d: %.1f MB; %.1f s", count, float64(peak)/(1<<20), time.Since(start).Seconds())
			if limit := int64(memoryOfAll + memoryOfOne**held); peak > limit || count != *held {
				t.Errorf("%d of %d: %d bytes, and %d are permitted", count, *held, peak, limit)
			}
		})
	}
}

// newest is a Keep rule for the n newest images.
func newest(n int) string { return fmt.Sprintf(`"tags":{"glob":["*"]},"newest":%d`, n) }

// planThatDeletes makes a plan by a Keep rule that leaves n tags to be deleted, and returns how many tags there are.
func planThatDeletes(n int, keep string) func(t *testing.T, c *acr.Client) (tags int) {
	return func(t *testing.T, c *acr.Client) int {
		t.Helper()
		r := rules(t, fmt.Sprintf(`{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"noGrace":true,
			"keep":[{"name":"k",%s}],"delete":[{"name":"d","tags":{"glob":["*"]},"any":true}]}]}`, keep))
		p, err := retention.Make(t.Context(), c, r, &retention.PlanOptions{Sizes: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WriteTable(io.Discard); err != nil {
			t.Error(err)
		}
		got := p.Repositories[0]
		if got.Tags.Delete != n {
			t.Errorf("%+v %+v", got.Refused, got.Tags)
		}
		return got.Tags.Total
	}
}

func stored(t *testing.T, c *acr.Client) (manifests int) {
	t.Helper()
	usage, err := retention.Storage(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range usage.Repositories {
		manifests += r.Manifests
	}
	return manifests
}

func compared(t *testing.T, c *acr.Client) (manifests int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := retention.Snapshot(t.Context(), c, path, nil); err != nil {
		t.Fatal(err)
	}
	var files [3]*os.File
	for i := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	for change, err := range retention.Diff(files[0], files[1]) {
		t.Fatal(change, err)
	}
	for lines := bufio.NewScanner(files[2]); lines.Scan(); {
		manifests += strings.Count(lines.Text(), `{"manifest":`)
	}
	return manifests
}

// liveHeap returns the largest number of bytes that were reachable while do ran, of the whole process.
func liveHeap(do func()) (peak int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // a peak that is higher by more than a tenth is seen
	debug.FreeOSMemory()
	ended, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for tick := time.NewTicker(time.Millisecond); ; {
			metrics.Read(sample)
			peak = max(peak, int64(sample[0].Value.Uint64()))
			select {
			case <-tick.C:
			case <-ended:
				tick.Stop()
				return
			}
		}
	}()
	do()
	close(ended)
	<-sampled
	return peak
}

const registryVariable = "RETENTION_REGISTRY"

// registrySize is what the registry of another process holds.
type registrySize struct {
	Images, Repositories int
	Tags                 int // of one image
}

// registryAddress is how it is reached.
type registryAddress struct {
	Endpoint, User, Password string
	CA                       []byte
}

// otherProcess returns a client of a registry in a process of its own.
func otherProcess(t *testing.T, size registrySize) *acr.Client {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemory$", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), registryVariable+"="+string(mustJSON(t, size)))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	var a registryAddress
	if err := json.NewDecoder(stdout).Decode(&a); err != nil {
		t.Fatal(err)
	}
	transport := trusting(t, a.CA)
	o := &acr.ClientOptions{AllowedHosts: []string{strings.TrimPrefix(a.Endpoint, "https://")}}
	o.Transport = transport
	c, err := acr.NewClientWithPassword(a.Endpoint, a.User, a.Password, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// serveRegistry is that process. Each image has a tag, nine layers that others have too, and one of its own.
func serveRegistry(t *testing.T) {
	t.Helper()
	var size registrySize
	if err := json.Unmarshal([]byte(os.Getenv(registryVariable)), &size); err != nil {
		t.Fatal(err)
	}
	srv := acrtest.New(t, acrtest.WithLedgerSize(100))
	for n := range size.Images {
		layers := make([][]byte, 10)
		for i := range layers {
			layers[i] = fmt.Appendf(nil, "layer %d of %d", i, n/100)
		}
		layers[9] = fmt.Appendf(nil, "layer of %d alone", n)
		srv.SeedImage(t, fmt.Sprintf("apps/r%d:v%d", n%size.Repositories, n), layers...)
	}
	if size.Tags > 0 {
		srv.SeedTags(t, "apps/tags", size.Tags)
	}
	user, password := srv.Admin()
	if err := json.NewEncoder(os.Stdout).Encode(registryAddress{srv.Endpoint(), user, password, srv.CA()}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
