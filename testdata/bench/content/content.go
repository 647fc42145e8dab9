// Package content makes the deterministic blobs used by the benchmark.
//
// All blobs are windows onto one pseudo-random pattern that is held in memory
// once and repeated for ever. The period is odd and close to 1 MiB, so that no
// power-of-two chunk size divides it: a client that stores or hashes chunks in
// the wrong order produces a wrong digest.
package content

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// period is the length of the repeated pattern in bytes (odd on purpose).
const period = 1<<20 + 7

// maxSpan is the longest slice that Slice returns at once.
const maxSpan = 256 << 10

// pattern holds one period followed by the first maxSpan bytes of the next, so
// that any span of maxSpan bytes is contiguous in memory.
var pattern = buildPattern()

func buildPattern() []byte {
	p := make([]byte, period+maxSpan)
	// splitmix64: small, fast, and good enough to defeat compression.
	x := uint64(0x9E3779B97F4A7C15)
	for i := 0; i < period; i += 8 {
		x += 0x9E3779B97F4A7C15
		z := x
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		for j := 0; j < 8 && i+j < period; j++ {
			p[i+j] = byte(z >> (8 * j))
		}
	}
	copy(p[period:], p[:maxSpan])
	return p
}

// Blob names one deterministic blob. Blobs with different seeds differ.
type Blob struct {
	Seed int64 `json:"seed"`
	Size int64 `json:"size"`
}

// Slice returns bytes of the blob from offset off: at least one byte and at
// most n, without copying. The result must not be modified.
func (b Blob) Slice(off, n int64) []byte {
	if rest := b.Size - off; n > rest {
		n = rest
	}
	if n <= 0 {
		return nil
	}
	if n > maxSpan {
		n = maxSpan
	}
	start := (b.Seed*7919*101 + off) % period
	return pattern[start : start+n]
}

// Digest returns the sha256 digest of the blob, "sha256:...".
func (b Blob) Digest() string {
	h := sha256.New()
	for off := int64(0); off < b.Size; {
		s := b.Slice(off, maxSpan)
		h.Write(s)
		off += int64(len(s))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Bytes returns the whole blob as a fresh slice.
func (b Blob) Bytes() []byte {
	out := make([]byte, 0, b.Size)
	for int64(len(out)) < b.Size {
		out = append(out, b.Slice(int64(len(out)), maxSpan)...)
	}
	return out
}

// WriteFile writes the blob to path.
func (b Blob) WriteFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for off := int64(0); off < b.Size; {
		n, err := f.Write(b.Slice(off, maxSpan))
		if err != nil {
			f.Close()
			return err
		}
		off += int64(n)
	}
	return f.Close()
}

// Stream returns the blob as a plain io.Reader: it cannot seek, does not tell
// its length and has no WriteTo, like a pipe.
func (b Blob) Stream() io.Reader { return &stream{b: b} }

type stream struct {
	b   Blob
	off int64
}

func (s *stream) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		src := s.b.Slice(s.off, int64(len(p)-n))
		if len(src) == 0 {
			if n == 0 {
				return 0, io.EOF
			}
			break
		}
		n += copy(p[n:], src)
		s.off += int64(len(src))
	}
	return n, nil
}

// CheckFile reports whether the file at path holds exactly the blob.
func (b Blob) CheckFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, maxSpan)
	var off int64
	for {
		n, err := f.Read(buf)
		for done := 0; done < n; {
			want := b.Slice(off, int64(n-done))
			if len(want) == 0 {
				return fmt.Errorf("%s: longer than %d bytes", path, b.Size)
			}
			if string(want) != string(buf[done:done+len(want)]) {
				return fmt.Errorf("%s: differs near offset %d", path, off)
			}
			done += len(want)
			off += int64(len(want))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if off != b.Size {
		return fmt.Errorf("%s: %d bytes, want %d", path, off, b.Size)
	}
	return nil
}
