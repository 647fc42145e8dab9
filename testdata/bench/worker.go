package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/acrkit/acrkit/testdata/bench/adapter"
	"github.com/acrkit/acrkit/testdata/bench/adapters"
	"github.com/acrkit/acrkit/testdata/bench/content"
)

// job is what one worker process does and measures.
type job struct {
	Op     string             `json:"op"`
	Peer   string             `json:"peer"`
	Target adapter.Target     `json:"target"`
	Repo   string             `json:"repo"`
	Blob   content.Blob       `json:"blob"`
	Desc   adapter.Descriptor `json:"desc"`
	Known  bool               `json:"known"` // the digest is known before an upload
	File   string             `json:"file"`  // source or destination
	Dir    string             `json:"dir"`   // OCI layout, source or destination
	Page   int                `json:"page"`
	Calls  int                `json:"calls"`
	Repos  int                `json:"repos"`
	InTurn bool               `json:"in_turn"` // not all calls at once

	Profile string `json:"profile,omitempty"` // file for the CPU profile of the operation
}

// measured is what a worker prints.
type measured struct {
	Err         string  `json:"err,omitempty"`
	Unsupported bool    `json:"unsupported,omitempty"`
	Wall        float64 `json:"wall_s"`
	User        float64 `json:"user_s"`
	Sys         float64 `json:"sys_s"`
	BaseRSS     float64 `json:"base_rss_mb"` // before the operation
	PeakRSS     float64 `json:"peak_rss_mb"`
	AllocMB     float64 `json:"alloc_mb"`
	Mallocs     uint64  `json:"mallocs"`
	GCs         uint32  `json:"gcs"`
	N           int     `json:"n,omitempty"`    // entries listed
	Full        bool    `json:"full,omitempty"` // with their properties
}

// runWorker reads a job from stdin, runs it and prints its measurements.
func runWorker() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	var m measured
	op, err := prepare(j, &m)
	if err != nil {
		return err
	}
	runtime.GC()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // resets the peak RSS
	m.BaseRSS = rss("VmRSS:")
	var ms0, ms1 runtime.MemStats
	runtime.ReadMemStats(&ms0)
	stop, err := profile(j.Profile)
	if err != nil {
		return err
	}
	u0, s0 := cpu()
	t0 := time.Now()
	err = op()
	m.Wall = time.Since(t0).Seconds()
	u1, s1 := cpu()
	stop()
	runtime.ReadMemStats(&ms1)
	m.User, m.Sys = u1-u0, s1-s0
	m.PeakRSS = rss("VmHWM:")
	m.AllocMB = float64(ms1.TotalAlloc-ms0.TotalAlloc) / 1e6
	m.Mallocs = ms1.Mallocs - ms0.Mallocs
	m.GCs = ms1.NumGC - ms0.NumGC
	if errors.Is(err, adapter.ErrUnsupported) {
		m.Unsupported = true
	} else if err != nil {
		m.Err = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// profile begins to write a CPU profile to the file, unless that is empty.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

func cpu() (user, sys float64) {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	sec := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return sec(ru.Utime), sec(ru.Stime)
}

// rss reads a line of /proc/self/status in MB.
func rss(key string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

// prepare returns the operation to measure.
func prepare(j job, m *measured) (func() error, error) {
	ctx := context.Background()
	if op := limitOp(j); op != nil {
		return op, nil
	}
	f, ok := adapters.Lookup(j.Peer)
	if !ok {
		return nil, fmt.Errorf("no library %q", j.Peer)
	}
	// Making the client is part of the operation: some sign in then.
	with := func(do func(adapter.Client) error) func() error {
		return func() error {
			c, err := f(j.Target)
			if err != nil {
				return err
			}
			return do(c)
		}
	}
	switch j.Op {
	case "upload":
		d := adapter.Descriptor{}
		if j.Known {
			d = j.Desc
		}
		return with(func(c adapter.Client) error { return c.UploadFile(ctx, j.Repo, j.File, d) }), nil
	case "stream":
		return with(func(c adapter.Client) error { return c.UploadStream(ctx, j.Repo, j.Blob.Stream()) }), nil
	case "download":
		return with(func(c adapter.Client) error { return c.DownloadFile(ctx, j.Repo, j.Desc, j.File) }), nil
	case "tags":
		return with(func(c adapter.Client) (err error) {
			m.N, m.Full, err = c.ListTags(ctx, j.Repo, j.Page)
			return err
		}), nil
	case "manifests":
		return with(func(c adapter.Client) (err error) {
			m.N, m.Full, err = c.ListManifests(ctx, j.Repo, j.Page)
			return err
		}), nil
	case "push":
		return with(func(c adapter.Client) error { return c.PushImage(ctx, j.Repo, "v1", j.Dir) }), nil
	case "pull":
		return with(func(c adapter.Client) error { return c.PullImage(ctx, j.Repo, "v1", j.Dir) }), nil
	case "copy":
		return with(func(c adapter.Client) error { return c.CopyImage(ctx, j.Repo, j.Repo+"-copy", "v1") }), nil
	case "mirror":
		return with(func(c adapter.Client) (err error) {
			m.N, err = c.MirrorTags(ctx, j.Repo, j.Repo+"-copy")
			return err
		}), nil
	case "plan":
		return with(func(c adapter.Client) (err error) {
			m.N, err = c.PlanDeletions(ctx, j.Repo)
			return err
		}), nil
	case "head":
		return with(func(c adapter.Client) error {
			d, err := c.HeadManifest(ctx, j.Repo, "latest")
			if err == nil && !strings.HasPrefix(d, "sha256:") {
				err = fmt.Errorf("got digest %q", d)
			}
			return err
		}), nil
	case "props", "props-turns":
		return with(func(c adapter.Client) error { return properties(ctx, c, j, m) }), nil
	}
	return nil, fmt.Errorf("no operation %q", j.Op)
}

// properties makes calls that are spread over the repositories, all at once or
// one after the other.
func properties(ctx context.Context, c adapter.Client, j job, m *measured) error {
	var wg sync.WaitGroup
	errs := make([]error, j.Calls)
	for i := range j.Calls {
		wg.Add(1)
		call := func() {
			defer wg.Done()
			errs[i] = c.ManifestProperties(ctx, fmt.Sprintf("%s-%02d", j.Repo, i%j.Repos), fmt.Sprintf("sha256:%064x", i+1))
		}
		if j.InTurn {
			call()
		} else {
			go call()
		}
	}
	wg.Wait()
	var first error
	for _, err := range errs {
		if err == nil {
			m.N++
		} else if first == nil {
			first = err
		}
	}
	return first
}

// limitOp returns one of the operations that measure what the machine can do; nil
// if j is none of them. They use no library and verify nothing.
func limitOp(j job) func() error {
	size := j.Blob.Size
	switch j.Op {
	case "sha256": // one core
		return func() error {
			h := sha256.New()
			for off := int64(0); off < size; {
				b := j.Blob.Slice(off, 128<<10)
				h.Write(b)
				off += int64(len(b))
			}
			h.Sum(nil)
			return nil
		}
	case "filewrite":
		return func() error { return j.Blob.WriteFile(j.File) }
	case "fileread":
		return func() error {
			f, err := os.Open(j.File)
			if err != nil {
				return err
			}
			defer f.Close()
			buf := make([]byte, 256<<10)
			for {
				if _, err := f.Read(buf); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
			}
		}
	case "rawget": // to nowhere, on one connection
		return func() error {
			return rawGet(j, func(r io.Reader) error {
				_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10))
				return err
			})
		}
	case "rawgetfile":
		return func() error {
			return rawGet(j, func(r io.Reader) error {
				f, err := os.Create(j.File)
				if err != nil {
					return err
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, 256<<10)); err != nil {
					return err
				}
				return f.Close()
			})
		}
	case "rawpatch": // from memory, one request of known length
		return func() error { return rawPatch(j, j.Blob.Stream()) }
	case "rawpatchfile":
		return func() error {
			f, err := os.Open(j.File)
			if err != nil {
				return err
			}
			defer f.Close()
			return rawPatch(j, f)
		}
	}
	return nil
}

func rawDo(j job, method, url string, body io.Reader, length int64) (*http.Response, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = length
	req.Header.Set("Authorization", "Bearer "+j.Target.AccessToken)
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode >= 300 {
		b, _ := io.ReadAll(resp.Body)
		err = fmt.Errorf("%s: %s %s", method, resp.Status, bytes.TrimSpace(b))
	}
	return resp, err
}

func rawGet(j job, sink func(io.Reader) error) error {
	resp, err := rawDo(j, "GET", j.Target.Endpoint+"/v2/"+j.Repo+"/blobs/"+j.Desc.Digest, nil, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return sink(resp.Body)
}

func rawPatch(j job, body io.Reader) error {
	resp, err := rawDo(j, "POST", j.Target.Endpoint+"/v2/"+j.Repo+"/blobs/uploads/", nil, 0)
	if err != nil {
		return err
	}
	resp.Body.Close()
	resp, err = rawDo(j, "PATCH", j.Target.Endpoint+resp.Header.Get("Location"), body, j.Blob.Size)
	if err != nil {
		return err
	}
	resp.Body.Close()
	resp, err = rawDo(j, "PUT", j.Target.Endpoint+resp.Header.Get("Location")+"&digest="+j.Desc.Digest, nil, 0)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// nonce makes repository names that no run has used before.
func nonce() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
