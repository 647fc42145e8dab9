package acr_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// Upload a file as a blob: it is sent from where it lies, hashed on the way, and sent again should the registry lose the upload.
func ExampleRepository_UploadBlob() {
	_, client, done := exampleRegistry()
	defer done()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "layer.tar")
	if err := os.WriteFile(path, []byte("a layer"), 0o600); err != nil {
		log.Fatal(err)
	}

	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	desc, err := client.Repository("samples/app").UploadBlob(context.Background(), f, &acr.UploadOptions{
		MediaType: "application/vnd.oci.image.layer.v1.tar",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(desc.MediaType, desc.Digest.Algorithm(), desc.Size)
	// Output: application/vnd.oci.image.layer.v1.tar sha256 7
}

// Upload a stream whose length nobody knows, with its progress.
func ExampleRepository_UploadBlob_stream() {
	_, client, done := exampleRegistry()
	defer done()

	stream, produce := io.Pipe()
	go func() {
		for i := range 1000 {
			fmt.Fprintln(produce, "line", i)
		}
		produce.Close()
	}()
	var last acr.Progress
	desc, err := client.Repository("samples/app").UploadBlob(context.Background(), stream, &acr.UploadOptions{
		Progress: func(p acr.Progress) { last = p },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(desc.Size, last.Sent, last.Done)
	// Output: 8890 8890 true
}

// Upload a blob only if neither this repository has it nor another one that it can be mounted from.
func ExampleRepository_UploadBlob_mount() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := []byte("a layer of the base image")
	srv.SeedBlob(nil, "library/hello-world", layer)

	_, err := client.Repository("samples/app").UploadBlob(context.Background(), bytes.NewReader(layer), &acr.UploadOptions{
		Digest:    digest.FromBytes(layer),
		MountFrom: []string{"library/hello-world"},
		Progress: func(p acr.Progress) {
			if p.Done {
				fmt.Println("mounted:", p.Mounted, "bytes sent:", p.Sent)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: mounted: true bytes sent: 0
}

// Upload what is being made, such as an archive that is compressed on the way.
func ExampleRepository_StartUpload() {
	_, client, done := exampleRegistry()
	defer done()

	w, err := client.Repository("samples/app").StartUpload(context.Background(), &acr.StartUploadOptions{MediaType: "application/gzip"})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Cancel() // does nothing after Commit
	archive := gzip.NewWriter(w)
	for i := range 1000 {
		if _, err := fmt.Fprintln(archive, "line", i); err != nil {
			log.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		log.Fatal(err)
	}
	desc, err := w.Commit()
	fmt.Println(desc.MediaType, desc.Size == w.Offset(), err)
	// Output: application/gzip true <nil>
}

// Go on with an upload in another process: the checkpoint of the first one can be kept as JSON.
func ExampleRepository_ResumeUpload() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	content := strings.NewReader(strings.Repeat("sixteen bytes...", 64<<10))

	// The first process gets as far as 600,000 bytes.
	w, err := repository.StartUpload(ctx, &acr.StartUploadOptions{ChunkSize: 256 << 10})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.CopyN(w, content, 600_000); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil { // the upload stays open
		log.Fatal(err)
	}
	checkpoint, err := w.Checkpoint()
	if err != nil {
		log.Fatal(err)
	}
	saved, err := json.Marshal(checkpoint)
	if err != nil {
		log.Fatal(err)
	}

	// The second one goes on from there.
	if err := json.Unmarshal(saved, &checkpoint); err != nil {
		log.Fatal(err)
	}
	w, err = repository.ResumeUpload(ctx, checkpoint, &acr.ResumeUploadOptions{ChunkSize: 256 << 10})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Cancel()
	fmt.Println("goes on at", w.Offset())
	if _, err := content.Seek(w.Offset(), io.SeekStart); err != nil {
		log.Fatal(err)
	}
	if _, err := w.ReadFrom(content); err != nil {
		log.Fatal(err)
	}
	desc, err := w.Commit()
	fmt.Println(desc.Size, err)
	// Output:
	// goes on at 524288
	// 1048576 <nil>
}

// Download a blob to a file, which is there when it is complete and verified, and not before.
func ExampleRepository_DownloadBlobFile() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "layer.tar")
	desc, err := client.Repository("samples/app").DownloadBlobFile(context.Background(), layer, path, nil)
	if err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile(path)
	fmt.Println(desc.Size, string(content), err)
	// Output: 7 a layer <nil>
}

// Draw a progress bar: the fraction needs no care for blobs of unknown size or without content.
func ExampleProgress_Fraction() {
	_, client, done := exampleRegistry()
	defer done()
	bar := ""
	_, err := client.Repository("samples/app").UploadBlob(context.Background(), strings.NewReader("a layer"), &acr.UploadOptions{
		Progress: func(p acr.Progress) { bar = strings.Repeat("#", int(20*p.Fraction())) },
	})
	fmt.Println(bar, err)
	// Output: #################### <nil>
}

// Download a blob to where it has a place in a larger file, four ranges at a time.
func ExampleRepository_DownloadBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))
	image, err := os.CreateTemp("", "image")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(image.Name())
	defer image.Close()

	to := io.NewOffsetWriter(image, 512)
	desc, err := client.Repository("samples/app").DownloadBlob(context.Background(), layer, to, &acr.DownloadOptions{
		Size:        7, // as the manifest says
		Concurrency: 4,
	})
	if err != nil {
		log.Fatal(err)
	}
	content, err := io.ReadAll(io.NewSectionReader(image, 512, desc.Size))
	fmt.Println(string(content), err)
	// Output: a layer <nil>
}

// Read a blob. An io.EOF, and so the end of io.Copy or io.ReadAll without an error, means that its digest is right.
func ExampleRepository_GetBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	config := srv.SeedBlob(nil, "samples/app", []byte(`{"architecture":"amd64"}`))

	blob, err := client.Repository("samples/app").GetBlob(context.Background(), config, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer blob.Close()
	content, err := io.ReadAll(blob)
	fmt.Println(string(content), err)
	// Output: {"architecture":"amd64"} <nil>
}

// Read a few bytes of a large blob.
func ExampleRepository_GetBlobRange() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("header, body, trailer"))

	part, err := client.Repository("samples/app").GetBlobRange(context.Background(), layer, 8, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer part.Close()
	content, err := io.ReadAll(part)
	fmt.Println(string(content), err)
	// Output: body <nil>
}

// Look into a large blob here and there, as archive/zip does.
func ExampleRepository_BlobReaderAt() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "samples/app", []byte("header, body, trailer"))

	view, err := client.Repository("samples/app").BlobReaderAt(context.Background(), layer)
	if err != nil {
		log.Fatal(err)
	}
	trailer := make([]byte, 7)
	_, err = view.ReadAt(trailer, view.Size()-7)
	fmt.Println(string(trailer), err)
	// Output: trailer <nil>
}

// Read one file of a zip archive in the registry, and then seek in the blob: only what is needed is transferred.
func ExampleBlobReaderAt() {
	srv, client, done := exampleRegistry()
	defer done()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	file, err := w.Create("hello.txt")
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.WriteString(file, "hello")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	layer := srv.SeedBlob(nil, "samples/app", archive.Bytes())

	view, err := client.Repository("samples/app").BlobReaderAt(context.Background(), layer)
	if err != nil {
		log.Fatal(err)
	}
	files, err := zip.NewReader(view, view.Size())
	if err != nil {
		log.Fatal(err)
	}
	hello, err := fs.ReadFile(files, "hello.txt")
	fmt.Println(string(hello), err)

	var seeker io.ReadSeeker = io.NewSectionReader(view, 0, view.Size())
	if _, err := seeker.Seek(0, io.SeekStart); err != nil {
		log.Fatal(err)
	}
	signature := make([]byte, 2)
	_, err = io.ReadFull(seeker, signature)
	fmt.Println(string(signature), err)
	// Output:
	// hello <nil>
	// PK <nil>
}

// Make a blob of one repository a blob of another one, without moving a byte.
func ExampleRepository_MountBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	layer := srv.SeedBlob(nil, "library/hello-world", []byte("a layer"))

	desc, err := client.Repository("samples/app").MountBlob(context.Background(), layer, "library/hello-world")
	fmt.Println(desc.Size, err)
	// Output: 7 <nil>
}

// Delete a blob, and find that it is gone.
func ExampleRepository_DeleteBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/app")
	layer := srv.SeedBlob(nil, "samples/app", []byte("a layer"))

	fmt.Println(repository.DeleteBlob(ctx, layer))
	_, err := repository.HeadBlob(ctx, layer)
	fmt.Println(errors.Is(err, acr.ErrBlobUnknown))
	// Output:
	// <nil>
	// true
}
