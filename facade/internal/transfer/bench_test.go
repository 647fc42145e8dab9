package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// sink is a session that reads what it is sent and keeps nothing.
type sink struct{ off int64 }

func (s *sink) state() (transfer.State, error) {
	return transfer.State{Location: "x", Offset: max(s.off, 1)}, nil
}

func (s *sink) Start(context.Context) (transfer.State, error) { s.off = 0; return s.state() }

func (s *sink) Chunk(_ context.Context, _ string, c transfer.Chunk) (transfer.State, error) {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(c.Data, c.Offset, c.Size)}, make([]byte, 32<<10))
	s.off += n
	if err != nil {
		return transfer.State{}, err
	}
	return s.state()
}

func (s *sink) Status(context.Context, string) (transfer.State, error) { return s.state() }

func (s *sink) Commit(ctx context.Context, location string, _ digest.Digest, c transfer.Chunk) error {
	if c.Size == 0 {
		return nil
	}
	_, err := s.Chunk(ctx, location, c)
	return err
}

func (s *sink) Whole(ctx context.Context, _ digest.Digest, _ transfer.Chunk) (transfer.State, bool, error) {
	state, err := s.Start(ctx)
	return state, false, err
}

func (s *sink) Stat(context.Context, digest.Digest) (int64, error) {
	return 0, &transfer.Fault{Kind: transfer.Gone, Err: errNo}
}

func (s *sink) Cancel(context.Context, string) error { return nil }

// zeros is an endless source.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (zeros) Read(p []byte) (int, error)            { clear(p); return len(p), nil }

// Cost must grow with the size, and memory not at all.
var benchSizes = []int64{16 << 20, 160 << 20, 1600 << 20}

func benchOptions() *transfer.UploadOptions {
	return &transfer.UploadOptions{Size: transfer.Unknown, Meter: &transfer.Meter{}, Limits: &transfer.Limits{}}
}

func BenchmarkUploadFile(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transfer.Upload(b.Context(), &sink{}, zeros{}, size, benchOptions()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUploadStream(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				w, err := transfer.NewWriter(b.Context(), &sink{}, benchOptions(), nil)
				if err == nil {
					_, err = w.ReadStream(io.LimitReader(zeros{}, size))
				}
				if err == nil {
					_, err = w.Commit()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// plain is a blob in memory.
type plain struct{ content []byte }

func (p plain) Open(_ context.Context, off, end int64, _ bool) (*transfer.Part, error) {
	size := int64(len(p.content))
	if end == transfer.Unknown {
		end = size
	}
	return &transfer.Part{Body: io.NopCloser(bytes.NewReader(p.content[off:end])), Offset: off, End: end, Size: size}, nil
}

// nowhere is an io.WriterAt.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func BenchmarkDownload(b *testing.B) {
	for _, size := range benchSizes[:2] {
		blob := plain{make([]byte, size)}
		want := digest.FromBytes(blob.content)
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transfer.Download(b.Context(), blob, transfer.NewPlain(nowhere{}), &transfer.DownloadOptions{Digest: want, Size: size, Meter: &transfer.Meter{}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	blob := plain{make([]byte, 64<<20)}
	want := digest.FromBytes(blob.content)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, err := transfer.NewReader(b.Context(), blob, want, transfer.Unknown, &transfer.Meter{})
		if err == nil {
			_, err = r.WriteTo(struct{ io.Writer }{io.Discard})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
