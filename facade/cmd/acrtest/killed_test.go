package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var kills = flag.Int("kills", 10, "how often TestKilled kills the program")

const (
	asProgram    = "ACRTEST_AS_PROGRAM" // in the environment: the test binary is the program
	writers      = 4
	perDirectory = 50 // kills: each looks through all that the earlier ones left, which at 200 took half as long again
)

// process is the program as a process of its own, so that it can be killed.
type process struct {
	t *testing.T
	started
	cmd    *exec.Cmd
	stderr strings.Builder
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.started)
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		t.Fatalf("the program did not come up: %v\n%s", err, p.stderr.String())
	}
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // "signal: killed"
}

// TestKilled kills the program with SIGKILL in the middle of writes, again and again on the same directory. Each time it must come
// up and have everything that a client was told of, and nothing that it was told is gone; a write that nobody was told of may
// have been made or not, but not by halves. Run it with -kills=1000.
func TestKilled(t *testing.T) {
	t.Parallel()
	var sum counts
	for killed := 0; killed < *kills && !t.Failed(); killed += perDirectory {
		killedOften(t, rand.New(rand.NewPCG(8, uint64(killed))), min(*kills-killed, perDirectory), &sum)
	}
	fmt.Fprintf(os.Stdout, "emulator: killed %d times: %d writes acknowledged, %d under way when killed (%d of them were made), %d uploads went on after it; "+
		"%d blobs, %d manifests and %d tags are all there\n", *kills, sum.acknowledged, sum.doubtful, sum.made, sum.resumed, sum.blobs, sum.manifests, sum.tags)
}

func killedOften(t *testing.T, random *rand.Rand, times int, sum *counts) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-dir", filepath.Join(dir, "data"), "-ca-file", filepath.Join(dir, "ca.pem")}
	var all [writers]*writer
	for i := range all {
		all[i] = newWriter(i)
	}
	for range times {
		p := startProcess(t, args...)
		c := clientOf(t, p.started)
		for _, w := range all {
			w.api = api{t, c, p.Endpoint, p.Username, p.Password}
			w.check()
		}
		if t.Failed() {
			p.kill()
			return
		}
		wrote := make(chan struct{}, 1)
		var group sync.WaitGroup
		for _, w := range all {
			group.Go(func() { w.write(wrote) })
		}
		<-wrote // a slow start is not what is tested
		<-time.After(time.Duration(random.IntN(25_000)) * time.Microsecond)
		p.kill()
		group.Wait()
		c.CloseIdleConnections()
	}
	p := startProcess(t, args...)
	defer p.kill()
	c := clientOf(t, p.started)
	for _, w := range all {
		w.api = api{t, c, p.Endpoint, p.Username, p.Password}
		w.check()
		w.checkBlobs(w.blobs)
		sum.add(w)
	}
}
