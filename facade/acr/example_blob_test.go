package acr_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/acrkit/acrkit/facade/acr"
)

// Upload from any reader, and see how it goes.
func ExampleRepository_UploadBlob() {
	_, client, done := exampleRegistry()
	defer done()

	blob, err := client.Repository("samples/data").UploadBlob(context.Background(), strings.NewReader("hello world"), &acr.UploadOptions{
		Progress: func(p acr.Progress) {
			if p.Done {
				fmt.Println(p.Offset, "bytes")
			}
		},
	})
	fmt.Println(blob.Digest, blob.Size, err)
	// Output:
	// 11 bytes
	// sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9 11 <nil>
}

// Write a blob piece by piece, and go on in another process with what was kept of the first: the checkpoint.
func ExampleRepository_ResumeUpload() {
	_, client, done := exampleRegistry()
	defer done()
	ctx := context.Background()
	repository := client.Repository("samples/data")

	writer, err := repository.StartUpload(ctx, &acr.UploadOptions{ChunkSize: 4})
	if err != nil {
		log.Fatal(err)
	}
	content := []byte("hello world")
	if _, err := writer.Write(content[:8]); err != nil {
		log.Fatal(err)
	}
	if err := writer.Close(); err != nil { // leaves the upload open at the registry
		log.Fatal(err)
	}
	checkpoint, err := writer.Checkpoint() // can be kept as JSON
	if err != nil {
		log.Fatal(err)
	}

	again, err := repository.ResumeUpload(ctx, checkpoint, &acr.UploadOptions{ChunkSize: 4})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := again.Write(content[again.Offset():]); err != nil {
		log.Fatal(err)
	}
	blob, err := again.Commit()
	fmt.Println(blob.Digest, err)
	// Output: sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9 <nil>
}

// Write a blob as it comes into being.
func ExampleRepository_StartUpload() {
	_, client, done := exampleRegistry()
	defer done()

	writer, err := client.Repository("samples/data").StartUpload(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		fmt.Fprintf(writer, "line %d\n", i) // an error comes again from Commit
	}
	blob, err := writer.Commit()
	fmt.Println(blob.Size, err)
	// Output: 21 <nil>
}

// Read a blob as a stream; the end comes only once its digest is verified.
func ExampleRepository_GetBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	blob, err := client.Repository("samples/data").GetBlob(context.Background(), d, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer blob.Close()
	content, err := io.ReadAll(blob)
	fmt.Printf("%s %v\n", content, err)
	// Output: hello world <nil>
}

// Read a part of a blob.
func ExampleRepository_GetBlobRange() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	part, err := client.Repository("samples/data").GetBlobRange(context.Background(), d, 6, 5)
	if err != nil {
		log.Fatal(err)
	}
	defer part.Close()
	content, err := io.ReadAll(part)
	fmt.Printf("%s %v\n", content, err)
	// Output: world <nil>
}

// Read here and there in a blob, as archive/zip and debug/elf do.
func ExampleRepository_BlobReaderAt() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	view, err := client.Repository("samples/data").BlobReaderAt(context.Background(), d)
	if err != nil {
		log.Fatal(err)
	}
	content, err := io.ReadAll(io.NewSectionReader(view, 4, 3))
	fmt.Printf("%q of %d %v\n", content, view.Size(), err)
	// Output: "o w" of 11 <nil>
}

// Download into memory, or anything else that can be written at an offset, over several connections.
func ExampleRepository_DownloadBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	content := bytes.Repeat([]byte("acr "), 1<<20)
	d := srv.SeedBlob(nil, "samples/data", content)
	file, err := os.CreateTemp("", "blob")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()

	blob, err := client.Repository("samples/data").DownloadBlob(context.Background(), d, file, &acr.DownloadOptions{Concurrency: 4})
	fmt.Println(blob.Digest == d, blob.Size, err)
	// Output: true 4194304 <nil>
}

// Download to a file, which has its name only once it is whole and verified.
func ExampleRepository_DownloadBlobFile() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))
	dir, err := os.MkdirTemp("", "blobs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "hello.txt")
	if _, err := client.Repository("samples/data").DownloadBlobFile(context.Background(), d, path, nil); err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile(path)
	fmt.Printf("%s %v\n", content, err)
	// Output: hello world <nil>
}

func ExampleRepository_StatBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	blob, err := client.Repository("samples/data").StatBlob(context.Background(), d)
	fmt.Println(blob.Size, err)
	// Output: 11 <nil>
}

// Make a blob of one repository a blob of another, without moving a byte.
func ExampleRepository_MountBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	blob, err := client.Repository("samples/copy").MountBlob(context.Background(), d, "samples/data")
	fmt.Println(blob.Digest == d, err)
	// Output: true <nil>
}

// Delete a blob.
func ExampleRepository_DeleteBlob() {
	srv, client, done := exampleRegistry()
	defer done()
	d := srv.SeedBlob(nil, "samples/data", []byte("hello world"))

	fmt.Println(client.Repository("samples/data").DeleteBlob(context.Background(), d))
	// Output: <nil>
}
