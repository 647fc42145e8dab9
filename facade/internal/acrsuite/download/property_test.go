package download_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// How TestDownloadProperty goes about it. It prints the seed; a case that failed runs again by its number alone:
//
//	go test ./facade/internal/acrsuite/download -run '^TestDownloadProperty$' -download.seed=7 -download.case=42
var (
	downloadCases = flag.Int("download.cases", acrsuite.UnderRace(40, 120), "random cases of TestDownloadProperty")
	downloadSeed  = flag.Uint64("download.seed", 0, "seed of TestDownloadProperty; 0: SEED of the environment, else another one each time")
	downloadCase  = flag.Int("download.case", -1, "the one case of TestDownloadProperty to run; -1: all")
	downloadAlone = flag.Bool("download.alone", false, "hold the memory of TestDownloadProperty against its bound, which takes a process without other tests")
)

// downloadTrick is something that an answer with a part of a blob can do.
type downloadTrick struct {
	name string
	soft bool // three of them in any order are survived, whatever the form
	play func(f *acrtest.Fault, at int64, rng *rand.Rand)
}

var downloadTricks = []downloadTrick{
	{"reset", true, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.ResetAfter(at) }},
	{"FIN", true, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.Truncate(at) }},
	{"clean end", true, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.TruncateClean(at) }},
	{"stall", true, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.StallAfter(at) }},
	{"no header", true, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Stall() }},
	{"no reply", true, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.DropReply() }},
	{"busy", true, func(f *acrtest.Fault, _ int64, rng *rand.Rand) {
		f.Status([]int{408, 429, 500, 502, 503, 504}[rng.IntN(6)], time.Duration(rng.IntN(5))*time.Second)
	}},
	{"range ignored", true, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.IgnoreRange() }},
	{"no length", true, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.WithoutHeader("Content-Length") }},
	{"slow", true, func(f *acrtest.Fault, _ int64, rng *rand.Rand) { f.Slow(int64(20_000 + rng.IntN(1_000_000))) }},
	{"closed behind it", true, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.CloseIdle() }},
	{"flipped byte", false, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.FlipByte(at) }},
	{"another range", false, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.RewriteHeader("Content-Range", shifted(at-1000)) }},
	{"another length", false, func(f *acrtest.Fault, at int64, _ *rand.Rand) { f.ContentLength(at) }},
	{"expired", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Status(http.StatusForbidden) }},
	{"gone", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Status(http.StatusNotFound) }},
	{"416", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Status(http.StatusRequestedRangeNotSatisfiable) }},
	{"compressed", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Header("Content-Encoding", "gzip") }},
	{"endless", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) { f.Endless() }},
	{"garbage", false, func(f *acrtest.Fault, _ int64, _ *rand.Rand) {
		f.Raw("HTTP/1.1 206 \r\n" + acrtest.FaultHeader + ": raw\r\nContent-Range: x\r\n\r\n????")
	}},
}

// downloadTry is one case: a download of random size by a random form, in which random things go wrong.
type downloadTry struct {
	*acrsuite.Delivery

	rng    *rand.Rand
	played []string
	soft   bool
	leave  time.Duration // when the caller leaves; 0: it does not
	left   atomic.Int64  // when it left, 0 before
	memory bool
}

// TestDownloadProperty: whatever happens, the blob is there, byte for byte, or it is not there and an error says why; what is left of a
// file is of use to the next call. No goroutine stays, a call that is left returns at once, and the memory is bounded.
func TestDownloadProperty(t *testing.T) { //nolint:paralleltest // alone when the memory is looked at
	if !*downloadAlone {
		t.Parallel()
	}
	seed := acrsuite.SeedOr(t, *downloadSeed)
	ended := map[string]int{}
	first, last := 0, *downloadCases
	if *downloadCase >= 0 {
		first, last = *downloadCase, *downloadCase+1
	}
	alone := ""
	if *downloadAlone {
		alone = " -download.alone"
	}
	for n := first; n < last; n++ {
		ok := t.Run(fmt.Sprintf("seed %d case %d", seed, n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { ended[tryDownload(t, seed, n)]++ })
		})
		if !ok {
			t.Errorf("again: go test ./facade/internal/acrsuite/download -run '^TestDownloadProperty$' -download.seed=%d -download.case=%d%s", seed, n, alone)
			break
		}
	}
	t.Logf("seed %d: %v", seed, ended)
	if most := last - first; most >= 40 && ended["whole"] < most/2 { // some 17 in 20 arrive
		t.Errorf("of %d downloads %d arrived: it is not faults alone that keep them", most, ended["whole"])
	}
}

// TestDownloadPropertyAlone runs some cases in a process of their own, so that their memory can be told from that of other tests.
func TestDownloadPropertyAlone(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), exe, "-test.run=^TestDownloadProperty$", "-test.v", "-download.alone", "-download.cases=40", "-download.seed="+fmt.Sprint(*downloadSeed)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("whole:")) {
		t.Errorf("no case went well:\n%s", out)
	}
}

// tryDownload makes case n of a seed. It gives how it ended.
func tryDownload(t *testing.T, seed uint64, n int) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	opts := []acrtest.Option{acrtest.WithBandwidth([]int64{0, 1 << 20, 4 << 20, 30 << 20}[rng.IntN(4)])}
	if rng.IntN(6) == 0 {
		opts = append(opts, acrtest.WithInlineBlobs())
	}
	p := &downloadTry{Delivery: acrsuite.NewDelivery(t, acrsuite.EveryForm[rng.IntN(len(acrsuite.EveryForm))], opts...), rng: rng, memory: *downloadAlone && n%4 == 0}
	p.choose()
	base := p.held()
	p.watch(base)
	ctx, cancel := context.WithCancel(p.Ctx)
	defer cancel()
	if p.leave > 0 {
		timer := time.AfterFunc(p.leave, func() {
			p.left.Store(time.Now().UnixNano())
			cancel()
		})
		defer timer.Stop()
	}
	err := p.FetchWith(ctx)
	if left := p.left.Load(); left != 0 && time.Since(time.Unix(0, left)) > acrsuite.Promptly {
		p.Errorf("returned %v after it was left", time.Since(time.Unix(0, left)))
	}
	if p.Took > time.Hour {
		p.Errorf("it took %v", p.Took)
	}
	end := p.verdict(err)
	p.Settled()
	if p.TT.Failed() {
		p.TT.Logf("%s, %d bytes, %+v, left after %v, played %q: %v%s", p.Form.Name, len(p.Want), p.Opts, p.leave, p.played, err, p.Requests())
	}
	return end
}

// choose draws the size, the options and what goes wrong.
func (p *downloadTry) choose() {
	part := int64(1<<10 + p.rng.IntN(1<<(10+p.rng.IntN(10))))
	size := []int{p.rng.IntN(300), p.rng.IntN(70_000), p.rng.IntN(3 << 20), p.rng.IntN(3 << 20), int(part) * p.rng.IntN(20)}[p.rng.IntN(5)]
	p.Fill(size)
	p.Opts.Concurrency, p.Opts.PartSize, p.Opts.NoResume = 1, part, p.rng.IntN(5) == 0
	if p.Form.Ranges {
		p.Opts.Concurrency = 2 + p.rng.IntN(7)
	}
	if p.rng.IntN(2) == 0 {
		p.Opts.Size = int64(size)
	}
	if p.rng.IntN(4) == 0 {
		p.leave = time.Duration(1 + p.rng.Int64N(int64(2*time.Second)))
	}
	p.Sink = &acrsuite.Sink{B: make([]byte, 0, size)}
	p.soft = true
	for range p.rng.IntN(9) {
		of := downloadTricks
		if p.rng.IntN(3) > 0 {
			of = of[:11] // soft ones
		}
		c := of[p.rng.IntN(len(of))]
		at, nth := p.rng.Int64N(int64(size)/(1+p.rng.Int64N(20))+1), 1+p.rng.IntN(1+p.rng.IntN(6))
		op := "GetBlobContent"
		if p.rng.IntN(6) == 0 {
			op = "GetBlob"
		}
		c.play(p.Srv.On(op).Nth(nth), at, p.rng)
		p.soft = p.soft && c.soft
		p.played = append(p.played, fmt.Sprintf("%s of %s %d at %d", c.name, op, nth, at))
	}
}

// verdict judges the outcome.
func (p *downloadTry) verdict(err error) string {
	switch {
	case err == nil:
		p.Arrived()
		return "whole"
	case errors.Is(err, context.Canceled) && p.left.Load() != 0:
	case p.soft && len(p.played) <= 3:
		p.Errorf("this can be survived: %v", err)
	case !acrsuite.Typed(err) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "connection reset") && !strings.Contains(err.Error(), "malformed") && !errors.Is(err, io.EOF):
		p.Errorf("an error that cannot be told from others: %T %v", err, err)
	}
	if p.Form.File {
		p.again(err)
	}
	if p.left.Load() != 0 {
		return "left"
	}
	return "error"
}

// again demands that the next call, with which nothing goes wrong, brings the file.
func (p *downloadTry) again(err error) {
	if _, there := os.Lstat(p.Path); !errors.Is(there, os.ErrNotExist) {
		p.Errorf("there is a file under the final name after %v", err)
	}
	if left := p.Partial(); p.Opts.NoResume && len(left) > 0 {
		p.Errorf("%q is left, though it was not to be", left)
	}
	p.Srv.ClearFaults()
	if err := p.Fetch(); err != nil {
		p.Errorf("the next call: %v", err)
		return
	}
	p.Arrived()
}

// held is how much memory is in use, where that is looked at.
func (p *downloadTry) held() uint64 {
	if !p.memory {
		return 0
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watch looks at the memory now and then while the download is under way.
func (p *downloadTry) watch(base uint64) {
	if !p.memory {
		return
	}
	bound := base + uint64(p.Opts.PartSize)*uint64(p.Opts.Concurrency) + 32<<20
	look := func() {
		if now := p.held(); now > bound {
			p.Errorf("%d bytes are held beyond those before, want at most %d", now-base, bound-base)
		}
	}
	looks := []int{1, 3, 10, 40, 150}
	writes := 0
	p.Sink.Hook = acrsuite.Locked(func(int64, int64) {
		if writes++; slices.Contains(looks, writes) {
			look()
		}
	})
	p.Opts.Progress = func(q acr.Progress) { // for files, too
		p.Progress = q
		if p.Form.File {
			look()
		}
	}
}

// TestDownloadIsLeftAtOnce leaves downloads over sockets whose storage falls silent. What waits for it waits for half a minute and more; a
// machine that is busy with other things takes seconds. How soon a call returns on an idle one is for TestDownloadProperty to tell, by
// the clock of a bubble.
func TestDownloadIsLeftAtOnce(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t)
	silentBehind(srv, 3<<20)
	r := acrsuite.NewClient(t, srv).Repository("a/b")
	dgst := srv.SeedBlob(t, "a/b", acrsuite.Content(4<<20))
	for _, workers := range []int{1, 4} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var left time.Time
		o := &acr.DownloadOptions{Concurrency: workers, PartSize: 256 << 10, Progress: func(p acr.Progress) {
			if p.Offset >= 1<<20 && left.IsZero() {
				left = time.Now()
				cancel()
			}
		}}
		_, err := r.DownloadBlob(ctx, dgst, &acrsuite.Sink{}, o)
		if took := time.Since(left); !errors.Is(err, context.Canceled) || took > 20*time.Second {
			t.Errorf("%v, %v after it was left", err, took)
		}
	}
}
