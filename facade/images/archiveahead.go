package images

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fileAhead is a file that is written soon.
type fileAhead struct {
	digest  digest.Digest
	content []byte        // of a manifest or small blob
	loaded  chan struct{} // closed when content or err is there; nil for what need not be waited for
	err     error
	blob    *blobNode
	src     blobSource // of a large blob
	tokens  int        // of ahead, that it holds
}

func (f *fileAhead) role() string {
	if f.blob == nil {
		return "manifest"
	}
	return f.blob.role
}

func (f *fileAhead) descriptor() ocispec.Descriptor {
	if f.blob == nil {
		return ocispec.Descriptor{Digest: f.digest}
	}
	return f.blob.descriptor
}

// load reads a small blob.
func (f *fileAhead) load() {
	defer close(f.loaded)
	d := f.blob.descriptor
	var b bytes.Buffer
	b.Grow(int(d.Size) + bytes.MinRead)
	_, err := b.ReadFrom(&verifyingReader{r: f.src, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest})
	f.content, f.err = b.Bytes(), errors.Join(err, f.src.Close())
	f.src = nil // which holds the content too
	if f.content == nil {
		f.content = []byte{}
	}
}

// ahead is the files in the order of their digests, the next ones already being read.
type ahead struct {
	files  chan *fileAhead
	memory chan struct{} // a token for each aheadUnit bytes that are held
}

// What is read ahead holds at most aheadUnits units in memory.
const (
	aheadUnit  = 64 << 10
	aheadUnits = 16 << 20 / aheadUnit
)

// readAhead reads small blobs some way ahead of the writer: each takes the source two round trips.
func (a *archiveWriter) readAhead(ctx context.Context) *ahead {
	digests := make([]digest.Digest, 0, len(a.content))
	for d := range a.content {
		digests = append(digests, d)
	}
	slices.Sort(digests)
	ah := &ahead{files: make(chan *fileAhead, a.job.Concurrency), memory: make(chan struct{}, aheadUnits)}
	go func() {
		defer close(ah.files)
		for _, d := range digests {
			c := a.content[d]
			f := &fileAhead{digest: d, content: c.manifest, blob: c.blob}
			if c.blob != nil {
				f.src = a.job.open(ctx, c.blob)
				if c.blob.descriptor.Size <= wholeBlob {
					if !ah.reserve(ctx, f) {
						return
					}
					f.loaded = make(chan struct{})
					go f.load()
				}
			}
			select {
			case ah.files <- f:
			case <-ctx.Done():
				if f.loaded != nil {
					<-f.loaded
				}
				return
			}
		}
	}()
	return ah
}

// reserve waits until there is memory for a file.
func (ah *ahead) reserve(ctx context.Context, f *fileAhead) bool {
	for need := int(f.blob.descriptor.Size/aheadUnit) + 1; f.tokens < need; f.tokens++ {
		select {
		case ah.memory <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// release gives back the memory of a file that was written.
func (ah *ahead) release(f *fileAhead) {
	f.content = nil
	for ; f.tokens > 0; f.tokens-- {
		<-ah.memory
	}
}

// close waits for what is being read.
func (ah *ahead) close(cancel context.CancelFunc) {
	cancel()
	for f := range ah.files {
		if f.loaded != nil {
			<-f.loaded
		}
	}
}
