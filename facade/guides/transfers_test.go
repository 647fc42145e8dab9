package guides_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

func uploadFile(ctx context.Context, repository *acr.Repository, path string, bar io.Writer) (ocispec.Descriptor, error) {
	f, err := os.Open(path)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	return repository.UploadBlob(ctx, f, &acr.UploadOptions{
		MediaType: "application/vnd.oci.image.layer.v1.tar",
		Progress: func(p acr.Progress) {
			sent := max(p.Offset, p.Sent-p.Resent) // Offset alone moves once per chunk
			fmt.Fprintf(bar, "\r%3d%% %d of %d bytes", 100*sent/max(p.Total, 1), sent, p.Total)
		},
	})
}

func resumableUpload(ctx context.Context, repository *acr.Repository, path, state string, bar io.Writer) (ocispec.Descriptor, error) {
	f, err := os.Open(path)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	options := acr.UploadOptions{Checkpoint: func(c acr.Checkpoint) {
		if saved, err := json.Marshal(c); err == nil {
			if err := os.WriteFile(state+".new", saved, 0o600); err == nil {
				_ = os.Rename(state+".new", state) // never half a checkpoint
			}
		}
	}}
	var before int64 // what an earlier process sent
	if saved, err := os.ReadFile(state); err == nil {
		options.Resume = new(acr.Checkpoint)
		if err := json.Unmarshal(saved, options.Resume); err != nil {
			return ocispec.Descriptor{}, err
		}
		before = options.Resume.Offset
	}
	options.Progress = func(p acr.Progress) {
		sent := p.Sent - p.Resent           // by this process
		before = max(before, p.Offset-sent) // the registry may have more than the checkpoint says
		if p.Restarts == 0 {
			sent += before
		}
		fmt.Fprintf(bar, "\r%d of %d bytes", max(p.Offset, sent), p.Total)
	}
	desc, err := repository.UploadBlob(ctx, f, &options)
	if err == nil || errors.Is(err, acr.ErrSourceChanged) { // the file was written since: the next run uploads it anew
		_ = os.Remove(state)
	}
	return desc, err
}

func downloadFile(ctx context.Context, repository *acr.Repository, dgst digest.Digest, path string, bar io.Writer) error {
	_, err := repository.DownloadBlobFile(ctx, dgst, path, &acr.DownloadFileOptions{
		Progress: func(p acr.Progress) { fmt.Fprintf(bar, "\r%3.0f%%", 100*p.Fraction()) },
	})
	return err
}

func firstLine(ctx context.Context, repository *acr.Repository, dgst digest.Digest) (string, error) {
	blob, err := repository.GetBlob(ctx, dgst, nil)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	content, err := io.ReadAll(blob) // no error means: size and digest are right
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return line, nil
}

func copyBlob(ctx context.Context, from, to *acr.Repository, desc ocispec.Descriptor) error {
	blob, err := from.GetBlob(ctx, desc.Digest, nil)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = to.UploadBlob(ctx, blob, &acr.UploadOptions{Digest: desc.Digest, Size: desc.Size})
	return err
}

// Upload a file, copy it to another repository, download it, and read its first line.
func Example_transfers() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "layer.tar")
	check(os.WriteFile(path, []byte("first line\nsecond line\n"), 0o600))

	desc, err := uploadFile(ctx, client.Repository("shop/web"), path, io.Discard)
	check(err)
	check(copyBlob(ctx, client.Repository("shop/web"), client.Repository("shop/copy"), desc))
	check(downloadFile(ctx, client.Repository("shop/copy"), desc.Digest, path+".again", io.Discard))
	line, err := firstLine(ctx, client.Repository("shop/copy"), desc.Digest)
	check(err)
	again, err := os.ReadFile(path + ".again")
	check(err)
	fmt.Println(srv.HasBlob("shop/copy", desc.Digest), len(again) == int(desc.Size), line)
	// Output: true true first line
}

// The bar of the guide reaches the end, and does not fall when the upload starts again.
func TestProgressBar(t *testing.T) {
	t.Parallel()
	registry, client := newRegistry(t, acrtest.WithBandwidth(64<<20))
	registry.On("UploadChunk").Nth(2).DropReply()
	path := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(path, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var bar strings.Builder
	if _, err := uploadFile(t.Context(), client.Repository("shop/web"), path, &bar); err != nil {
		t.Fatal(err)
	}
	last := int64(0) // a piece may be counted as sent before it is counted as sent again
	for line := range strings.SplitSeq(strings.TrimPrefix(bar.String(), "\r"), "\r") {
		var percent, sent, total int64
		if _, err := fmt.Sscanf(line, "%d%% %d of %d bytes", &percent, &sent, &total); err != nil || sent < last-1<<20 || sent > total+1<<20 || percent != 100*sent/total {
			t.Errorf("%q after %d: %v", line, last, err)
		}
		last = sent
	}
	if last != 40<<20 || registry.Ledger().Count("StartUpload") != 2 {
		t.Errorf("the bar ends at %d, after %d uploads", last, registry.Ledger().Count("StartUpload"))
	}
}

// An upload that is killed after 16 MiB is continued by the next process, which sends only the rest.
func Example_resumableUpload() {
	ctx := context.Background()
	srv, client, done := start()
	defer done()
	dir, remove := tempDir()
	defer remove()
	path, state := filepath.Join(dir, "layer.tar"), filepath.Join(dir, "state.json")
	check(os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), 3<<20), 0o600)) // 48 MiB

	killed, kill := context.WithCancel(ctx)
	srv.On("UploadChunk").Nth(2).Do(func(http.ResponseWriter, *http.Request, http.Handler) { kill() })
	_, err := resumableUpload(killed, client.Repository("shop/web"), path, state, io.Discard)
	fmt.Println("killed:", err != nil)

	srv.ClearFaults()
	srv.Ledger().Reset()
	var bar strings.Builder
	desc, err := resumableUpload(ctx, client.Repository("shop/web"), path, state, &bar)
	check(err)
	lines := strings.Split(bar.String(), "\r")[1:]
	early := slices.ContainsFunc(lines, func(line string) bool {
		var shown int64
		_, err := fmt.Sscan(line, &shown)
		return err != nil || shown < 16<<20
	})
	var sent int64
	for _, r := range srv.Ledger().Requests("UploadChunk", "CompleteUpload") {
		sent += r.BytesIn
	}
	fmt.Println("complete:", desc.Size>>20, "MiB, sent by the second process:", sent>>20, "MiB")
	fmt.Println("the bar shows less than 16 MiB:", early, "and ends at", lines[len(lines)-1])
	// Output:
	// killed: true
	// complete: 48 MiB, sent by the second process: 32 MiB
	// the bar shows less than 16 MiB: false and ends at 50331648 of 50331648 bytes
}
