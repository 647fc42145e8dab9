package main

import (
	"strings"

	"github.com/acrkit/acrkit/testdata/bench/content"
	"github.com/acrkit/acrkit/testdata/bench/fakeacr"
)

const (
	mib = 1 << 20
	gib = 1 << 30

	upSize   = 512 * mib
	downSize = gib
	layers   = 200
	layerLen = 64 << 10
)

// workload is one row of the tables.
type workload struct {
	name   string
	group  string // subcommand that includes it
	title  string
	op     string
	cfg    fakeacr.Config
	size   int64 // of the blob moved, if any
	chunk  int64 // upload chunk size, 0 is the library's default
	page   int
	units  int // how many of what the growth table counts
	calls  int // properties to ask for, and over how many repositories; 0 is 1,000 over 50
	repos  int
	layers int  // of the image that is moved, 0 is 200
	sparse bool // the file to upload has nothing but holes
	lanes  int  // pages of a list at a time, 0 is the library's default
	known  bool
	seeded bool // the image is in the registry
	limit  bool // runs without a library
	disk   bool // in the -disk directory instead of the -dir one
}

// lists are this long.
const (
	tagCount      = 100_000
	manifestCount = 50_000
)

func workloads() []workload {
	lat := fakeacr.Config{LatencyMS: 20}
	up := func(w workload) workload { w.op, w.size = "upload", upSize; return w }
	down := func(w workload) workload { w.op, w.size = "download", downSize; return w }
	rawLimit := func(name, title, op string, size int64) workload {
		return workload{name: name, group: "limits", title: title, op: op, size: size, limit: true}
	}
	fault := func(c fakeacr.Config) fakeacr.Config { c.Verify = true; return c }
	dropPatch := fakeacr.Drop{After: upSize/2 + 11*mib/2, Times: 1}
	return append([]workload{
		rawLimit("lim-sha256", "sha256, one core, from memory", "sha256", downSize),
		rawLimit("lim-write", "write a file", "filewrite", downSize),
		rawLimit("lim-read", "read a file", "fileread", upSize),
		{name: "lim-write-disk", group: "limits", title: "write a file on the -disk file system", op: "filewrite", size: downSize, limit: true, disk: true},
		rawLimit("lim-get", "bare GET to nowhere", "rawget", downSize),
		rawLimit("lim-getfile", "bare GET to a file, no digest", "rawgetfile", downSize),
		rawLimit("lim-patch", "bare PATCH from memory, no digest", "rawpatch", upSize),
		rawLimit("lim-patchfile", "bare PATCH from a file, no digest", "rawpatchfile", upSize),

		up(workload{name: "w1", group: "w1", title: "upload 512 MiB from a file, digest unknown, default chunk"}),
		up(workload{name: "w1-16m", group: "w1", title: "same, 16 MiB chunks", chunk: 16 * mib}),
		up(workload{name: "w1-known", group: "w1", title: "same, digest known beforehand", known: true}),

		{name: "w2", group: "w2", title: "upload 512 MiB from a stream, default chunk", op: "stream", size: upSize},
		{name: "w2-16m", group: "w2", title: "same, 16 MiB chunks", op: "stream", size: upSize, chunk: 16 * mib},

		down(workload{name: "w3", group: "w3", title: "download 1 GiB to a file, verified"}),
		down(workload{name: "w4", group: "w4", title: "same, 60 MB/s per connection", cfg: fakeacr.Config{CapMBps: 60}}),

		up(workload{name: "w5-up", group: "w5", title: "w1 with 20 ms latency", cfg: lat}),
		up(workload{name: "w5-up-16m", group: "w5", title: "w1-16m with 20 ms latency", cfg: lat, chunk: 16 * mib}),
		down(workload{name: "w5-down", group: "w5", title: "w3 with 20 ms latency", cfg: lat}),

		{name: "w6-tags", group: "w6", title: "list 100,000 tags, default page", op: "tags", cfg: fakeacr.Config{Tags: tagCount}},
		{name: "w6-tags-1000", group: "w6", title: "same, pages of 1000", op: "tags", page: 1000, cfg: fakeacr.Config{Tags: tagCount}},
		{name: "w6-tags-lat", group: "w6", title: "pages of 1000, 20 ms latency", op: "tags", page: 1000, cfg: fakeacr.Config{Tags: tagCount, LatencyMS: 20}},
		{name: "w6-man", group: "w6", title: "list 50,000 manifests with properties, default page", op: "manifests", cfg: fakeacr.Config{Manifests: manifestCount}},
		{name: "w6-man-1000", group: "w6", title: "same, pages of 1000", op: "manifests", page: 1000, cfg: fakeacr.Config{Manifests: manifestCount}},
		{name: "w6-man-lat", group: "w6", title: "pages of 1000, 20 ms latency", op: "manifests", page: 1000, cfg: fakeacr.Config{Manifests: manifestCount, LatencyMS: 20}},

		{name: "w6-man-lat-8", group: "w6", title: "same, eight pages at a time where the library can", op: "manifests", page: 1000, lanes: 8,
			cfg: fakeacr.Config{Manifests: manifestCount, LatencyMS: 20}},
		{name: "w6-tags-lat-8", group: "w6", title: "w6-tags-lat, eight pages at a time where the library can", op: "tags", page: 1000, lanes: 8,
			cfg: fakeacr.Config{Tags: tagCount, LatencyMS: 20}},

		{name: "w7-push", group: "w7", title: "push an image of 200 layers of 64 KiB, 20 ms latency", op: "push", cfg: lat},
		{name: "w7-push-2", group: "w7", title: "same, at a registry that takes no blob in the first POST", op: "push", cfg: fakeacr.Config{LatencyMS: 20, NoSinglePost: true}},
		{name: "w7-pull", group: "w7", title: "pull it", op: "pull", cfg: lat, seeded: true},

		{name: "w7-again", group: "w7", title: "push it although it is there", op: "push", cfg: lat, seeded: true},
		{name: "w7-copy", group: "w7", title: "copy it to another repository of the registry", op: "copy", cfg: lat, seeded: true},

		down(workload{name: "w8-down", group: "w8", title: "download, connection dropped at 512 MiB", cfg: fault(fakeacr.Config{DropGet: fakeacr.Drop{After: downSize / 2, Times: 1}})}),
		up(workload{name: "w8-up", group: "w8", title: "upload, dropped at 261.5 MiB, which ends the upload session", cfg: fault(fakeacr.Config{DropPatch: dropPatch})}),
		up(workload{name: "w8-up-16m", group: "w8", title: "same, 16 MiB chunks", chunk: 16 * mib, cfg: fault(fakeacr.Config{DropPatch: dropPatch})}),
		up(workload{name: "w8-up-forget", group: "w8", title: "upload, dropped at 261.5 MiB, partial request forgotten", cfg: fault(fakeacr.Config{DropPatch: dropPatch, Partial: fakeacr.Forget})}),
		up(workload{name: "w8-up-forget-16m", group: "w8", title: "same, 16 MiB chunks", chunk: 16 * mib, cfg: fault(fakeacr.Config{DropPatch: dropPatch, Partial: fakeacr.Forget})}),
		up(workload{name: "w8-up-keep", group: "w8", title: "upload, dropped at 261.5 MiB, partial request kept", cfg: fault(fakeacr.Config{DropPatch: dropPatch, Partial: fakeacr.Keep})}),
		up(workload{name: "w8-up-keep-16m", group: "w8", title: "same, 16 MiB chunks", chunk: 16 * mib, cfg: fault(fakeacr.Config{DropPatch: dropPatch, Partial: fakeacr.Keep})}),
		up(workload{name: "w8-413", group: "w8", title: "upload to a registry that takes no request body above 20 MB", cfg: fault(fakeacr.Config{MaxBody: 20e6})}),
		down(workload{name: "w8-429", group: "w8", title: "download, registry answers 429 (Retry-After 1 s) once, storage 503 once", cfg: fault(fakeacr.Config{Reject: map[string]fakeacr.Reject{
			"get_blob": {Status: 429, Times: 1, RetryAfter: 1}, "storage_get": {Status: 503, Times: 1}}})}),

		{name: "w9-head", group: "w9", title: "first HEAD of a manifest, signing in, 20 ms latency", op: "head", cfg: lat},
		{name: "w9-props", group: "w9", title: "1,000 concurrent manifest properties over 50 repositories, 20 ms latency", op: "props", cfg: lat},
		{name: "w9-turns", group: "w9", title: "200 manifest properties one by one, alternating over 4 repositories, 20 ms latency", op: "props-turns", cfg: lat},

		{name: "w10-mirror", group: "w10", title: "mirror 200 tags that are all there, 20 ms latency", op: "mirror",
			cfg: fakeacr.Config{Images: true, Tags: 200, Manifests: 200, LatencyMS: 20}},
		{name: "w10-plan", group: "w10", title: "plan deletions from 50,000 manifests", op: "plan",
			cfg: fakeacr.Config{Images: true, Tags: manifestCount, Manifests: manifestCount}},
	}, growth()...)
}

// withBlobs adds to a scenario the blobs that the workload moves.
func (w workload) withBlobs(image []content.Blob) (fakeacr.Config, content.Blob) {
	cfg := w.cfg
	b := content.Blob{Seed: 1, Size: w.size}
	if w.size > 0 && !w.sparse {
		exists := w.op == "download" || strings.HasPrefix(w.op, "rawget")
		cfg.Blobs = append(cfg.Blobs, fakeacr.Blob{Blob: b, Exists: exists})
	}
	if w.op == "push" || w.op == "pull" || w.op == "copy" {
		for _, l := range image {
			cfg.Blobs = append(cfg.Blobs, fakeacr.Blob{Blob: l})
		}
	}
	return cfg, b
}
