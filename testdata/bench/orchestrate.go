package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/content"
	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

type options struct {
	out, dir, disk, peers, only, label, profile string
	rounds, timeout, settle                     int
	noise                                       float64
	http2                                       bool
}

// result is one line of the result file.
type result struct {
	Time     time.Time `json:"time"`
	Label    string    `json:"label,omitempty"`
	Round    int       `json:"round"`
	Workload string    `json:"workload"`
	Peer     string    `json:"peer"`
	Size     int64     `json:"size,omitempty"`
	measured
	Server fakeacr.Stats `json:"server"`
	// OtherCores is how many cores were busy, on average, with neither the client
	// nor the server.
	OtherCores float64 `json:"other_cores"`
}

// bench is a running server and what the workloads need.
type bench struct {
	o      options
	self   string
	dir    string
	server address
}

// image returns the layers of the image that a workload moves.
func (b *bench) image(w workload) []content.Blob {
	var image []content.Blob
	for i := range cmp.Or(w.layers, layers) {
		image = append(image, content.Blob{Seed: int64(1000 + i), Size: layerLen})
	}
	return image
}

// orchestrate runs the workloads, rounds times, each round over all libraries.
func orchestrate(o options, ws []workload) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "acrbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{o: o, self: self, dir: dir}

	// The server is a child, so that its CPU time and memory are not the client's.
	srv := exec.Command(self, "serve", "-dir", dir, fmt.Sprintf("-http2=%v", o.http2))
	srv.Env = append(os.Environ(), "GOGC=400")
	pipe, err := srv.StdoutPipe()
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	defer srv.Wait()
	defer srv.Process.Kill()
	if err := json.NewDecoder(pipe).Decode(&b.server); err != nil {
		return fmt.Errorf("server did not start: %w", err)
	}

	out, err := os.OpenFile(o.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	peers := strings.Split(o.peers, ",")
	unsupported := map[string]bool{}
	for round := 1; round <= o.rounds; round++ {
		for _, w := range ws {
			list := peers
			if w.limit {
				list = []string{"raw"}
			}
			// Start each round with another library, so that none is always first.
			for i := range list {
				p := list[(i+round-1)%len(list)]
				if unsupported[w.name+p] {
					continue
				}
				r, err := b.quiet(w, p)
				if err != nil {
					return fmt.Errorf("%s %s: %w", w.name, p, err)
				}
				unsupported[w.name+p] = r.Unsupported
				r.Round, r.Label = round, o.label
				line, _ := json.Marshal(r)
				if _, err := out.Write(append(line, '\n')); err != nil {
					return err
				}
				fmt.Println(r.line())
			}
		}
	}
	return nil
}

func (r result) line() string {
	s := fmt.Sprintf("%d %-15s %-10s", r.Round, r.Workload, r.Peer)
	if r.Unsupported {
		return s + " not supported"
	}
	s += fmt.Sprintf(" %8.3f s  cpu %6.2f+%5.2f s  rss %6.1f MB  alloc %8.1f MB %9d  req %5d conn %3d+%3d tok %d+%d  srv %5.2f s  other %.2f",
		r.Wall, r.User, r.Sys, r.PeakRSS, r.AllocMB, r.Mallocs, r.Server.Requests, r.Server.RegistryConn, r.Server.StorageConn,
		r.Server.Kinds["exchange"], r.Server.Kinds["token"], r.Server.CPUSeconds, r.OtherCores)
	if r.Size > 0 {
		s += fmt.Sprintf("  %6.0f MB/s", float64(r.Size)/1e6/r.Wall)
	}
	if r.Err != "" {
		s += "  FAILED: " + r.Err
	}
	return s
}

// quiet runs a workload, again if the machine was busy with something else, and
// returns the least disturbed run.
func (b *bench) quiet(w workload, peer string) (result, error) {
	var best result
	for try := range 3 {
		b.settle()
		r, err := b.one(w, peer)
		if err != nil {
			return r, err
		}
		if try == 0 || r.OtherCores < best.OtherCores {
			best = r
		}
		if best.Unsupported || best.OtherCores <= b.o.noise {
			break
		}
	}
	return best, nil
}

// settle waits until the machine has been almost idle for a second, or for as
// long as the settle option says.
func (b *bench) settle() {
	for end := time.Now().Add(time.Duration(b.o.settle) * time.Second); time.Now().Before(end); {
		busy := busySeconds()
		time.Sleep(time.Second)
		if busySeconds()-busy < b.o.noise {
			return
		}
	}
}

// one runs a workload once.
func (b *bench) one(w workload, peer string) (result, error) {
	cfg, blob := w.withBlobs(b.image(w))
	info, err := b.configure(cfg)
	if err != nil {
		return result{}, err
	}
	dir := b.dir
	if w.disk {
		if dir, err = os.MkdirTemp(b.o.disk, "acrbench"); err != nil {
			return result{}, err
		}
		defer os.RemoveAll(dir)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(tmp)
	j := job{
		Op: w.op, Peer: peer, Repo: "bench/" + nonce(), Blob: blob, Known: w.known, Page: w.page,
		Target: adapter.Target{
			Endpoint: "https://" + info.Registry, Host: info.Registry, Chunk: w.chunk, TempDir: tmp, Concurrency: w.lanes,
			EntraToken: info.EntraToken, RefreshToken: info.RefreshToken, AccessToken: info.AccessToken,
		},
	}
	if b.o.profile != "" {
		j.Profile = filepath.Join(b.o.profile, w.name+"-"+peer+".pprof")
	}
	if w.size > 0 && !w.sparse {
		j.Desc = adapter.Descriptor{Digest: info.Digests[0], Size: w.size}
	}
	switch w.op {
	case "upload", "fileread", "rawpatchfile":
		if j.File, err = b.source(blob, w.sparse); err != nil {
			return result{}, err
		}
	case "download", "filewrite", "rawgetfile":
		j.File = filepath.Join(tmp, "out")
	case "push", "pull", "copy":
		if j.Dir, err = b.layout(b.image(w)); err != nil {
			return result{}, err
		}
	case "head":
		j.Repo = "canned/app"
	case "props":
		j.Repo, j.Calls, j.Repos = "canned/app", cmp.Or(w.calls, 1000), cmp.Or(w.repos, 50)
	case "props-turns":
		j.Repo, j.Calls, j.Repos, j.InTurn = "canned/app", 200, 4, true
	}
	if w.seeded {
		// Put the image there first, not measured, and count from then on.
		if err := b.seed(info, j.Repo, j.Dir); err != nil {
			return result{}, err
		}
	}
	if w.op == "pull" {
		j.Dir = filepath.Join(tmp, "pulled")
	}
	before, err := b.stats()
	if err != nil {
		return result{}, err
	}
	busy0, t0 := busySeconds(), time.Now()
	r := result{Time: t0, Workload: w.name, Peer: peer, Size: w.size}
	var childCPU float64
	r.measured, childCPU = b.work(j)
	elapsed := time.Since(t0).Seconds()
	busy1 := busySeconds()
	if r.Server, err = b.stats(); err != nil {
		return r, err
	}
	r.Server = since(r.Server, before)
	r.OtherCores = max(0, (busy1-busy0-childCPU-r.Server.CPUSeconds)/elapsed)
	if r.Err == "" && !r.Unsupported {
		if err := b.check(w, j, blob, r); err != nil {
			r.Err = "wrong result: " + err.Error()
		}
	}
	return r, nil
}

// check looks at what the client left behind.
func (b *bench) check(w workload, j job, blob content.Blob, r result) error {
	switch w.op {
	case "download", "rawgetfile":
		return blob.CheckFile(j.File)
	case "upload", "stream", "rawpatch", "rawpatchfile":
		if r.Server.Completed != 1 {
			return fmt.Errorf("server has %d finished uploads", r.Server.Completed)
		}
	case "copy":
		if r.Server.BodyIn+r.Server.BodyOut > 4*layerLen {
			return errors.New("blobs were moved instead of mounted")
		}
	case "push":
		if w.seeded {
			if r.Server.Completed > 0 {
				return fmt.Errorf("%d blobs were sent again", r.Server.Completed)
			}
			return nil
		}
		if r.Server.Completed != int64(len(b.image(w)))+1 || r.Server.Kinds["put_manifest"] == 0 {
			return fmt.Errorf("server has %d blobs", r.Server.Completed)
		}
	case "pull":
		for _, l := range b.image(w) {
			if err := l.CheckFile(filepath.Join(j.Dir, "blobs", "sha256", strings.TrimPrefix(l.Digest(), "sha256:"))); err != nil {
				return err
			}
		}
	case "tags", "manifests":
		if want := cmp.Or(w.cfg.Manifests, w.cfg.Tags); r.N != want {
			return fmt.Errorf("%d entries, want %d", r.N, want)
		}
	case "mirror":
		if n := r.Server.Kinds["put_manifest"] + r.Server.Kinds["post_upload"]; r.N != w.cfg.Tags || n > 0 {
			return fmt.Errorf("%d tags, want %d, and %d writes", r.N, w.cfg.Tags, n)
		}
	case "plan":
		if r.N != w.cfg.Manifests {
			return fmt.Errorf("%d manifests, want %d", r.N, w.cfg.Manifests)
		}
	}
	return nil
}

// work runs a worker process; it also returns the CPU time of the whole process.
func (b *bench) work(j job) (measured, float64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(b.o.timeout)*time.Second)
	defer cancel()
	in, _ := json.Marshal(j)
	cmd := exec.CommandContext(ctx, b.self, "worker")
	cmd.Stdin = bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = workerEnv(b.server.Cert)
	err := cmd.Run()
	total := 0.0
	if ps := cmd.ProcessState; ps != nil {
		total = (ps.UserTime() + ps.SystemTime()).Seconds()
	}
	var m measured
	if err != nil {
		msg := strings.TrimSpace(stderr.String())
		if ctx.Err() != nil {
			msg = fmt.Sprintf("killed after %d s", b.o.timeout)
		}
		m.Err = fmt.Sprintf("%v: %.300s", err, msg)
		return m, total
	}
	if err := json.Unmarshal(stdout.Bytes(), &m); err != nil {
		m.Err = fmt.Sprintf("worker printed %.200q", stdout.String())
	}
	return m, total
}

// workerEnv is our environment without proxies, and with trust in one
// certificate only.
func workerEnv(cert string) []string {
	var env []string
	for _, kv := range os.Environ() {
		k, _, _ := strings.Cut(kv, "=")
		if up := strings.ToUpper(k); strings.HasSuffix(up, "_PROXY") || strings.HasPrefix(up, "SSL_CERT_") || strings.HasPrefix(up, "DOCKER_") {
			continue
		}
		env = append(env, kv)
	}
	return append(env, "SSL_CERT_FILE="+cert, "SSL_CERT_DIR="+filepath.Dir(cert)+"/none")
}

// source makes the file to upload, once. A sparse file takes no memory.
func (b *bench) source(blob content.Blob, sparse bool) (string, error) {
	if sparse {
		path := filepath.Join(b.dir, "sparse")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return "", err
		}
		return path, os.Truncate(path, blob.Size)
	}
	path := filepath.Join(b.dir, fmt.Sprintf("source-%d-%d", blob.Seed, blob.Size))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, blob.WriteFile(path)
}

// layout makes the OCI layout of the image to push, once.
func (b *bench) layout(image []content.Blob) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("layout-%d", len(image)))
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
		return dir, nil
	}
	return dir, content.WriteLayout(dir, "v1", image)
}

// seed pushes the image, with the prototype client of this harness.
func (b *bench) seed(info fakeacr.Info, repo, dir string) error {
	m, _ := b.work(job{Op: "push", Peer: "ideal", Repo: repo, Dir: dir, Target: adapter.Target{
		Endpoint: "https://" + info.Registry, Host: info.Registry, EntraToken: info.EntraToken, TempDir: b.dir}})
	if m.Err != "" {
		return fmt.Errorf("seeding the image: %s", m.Err)
	}
	return nil
}
