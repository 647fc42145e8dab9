package upload_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// childOrder is one upload by a process of its own.
type childOrder struct {
	Endpoint, Host, User, Password, CA string

	Repository string
	Source     string // path
	Stream     bool   // as if it could be read once
	Chunk      int64
	Checkpoint string // path: where to keep the checkpoint, and to go on from when it is there
}

// childReport is what a child says at its end, on the last line of its output.
type childReport struct {
	Digest       digest.Digest
	Size         int64
	Before, Peak int64 // KiB of memory: before the upload, and at most
}

// doOrder does the order of a child.
func doOrder(o *childOrder) childReport {
	before := acrsuite.PeakMemory() >> 10
	desc, err := o.upload(context.Background())
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return childReport{desc.Digest, desc.Size, before, acrsuite.PeakMemory() >> 10}
}

func (o *childOrder) upload(ctx context.Context) (desc ocispec.Descriptor, err error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(o.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	options := &acr.ClientOptions{AllowedHosts: []string{o.Host}}
	options.Transport = &http.Client{Transport: transport}
	c, err := acr.NewClientWithPassword(o.Endpoint, o.User, o.Password, options)
	if err != nil {
		return desc, err
	}
	defer c.CloseIdleConnections()
	f, err := os.Open(o.Source)
	if err != nil {
		return desc, err
	}
	defer f.Close()
	var last *acr.Checkpoint
	opts := &acr.UploadOptions{ChunkSize: o.Chunk}
	if o.Checkpoint != "" {
		if text, err := os.ReadFile(o.Checkpoint); err == nil {
			if err := json.Unmarshal(text, &last); err != nil {
				return desc, err
			}
		}
		opts.Checkpoint = o.keep
	}
	r := c.Repository(o.Repository)
	switch {
	case !o.Stream:
		opts.Resume = last
		return r.UploadBlob(ctx, f, opts)
	case o.Checkpoint == "":
		return r.UploadBlob(ctx, acrsuite.Stream{Reader: f}, opts)
	}
	var w *acr.BlobWriter
	if last == nil {
		w, err = r.StartUpload(ctx, acrsuite.StartOptions(opts))
	} else {
		w, err = r.ResumeUpload(ctx, *last, acrsuite.ResumeOptions(opts))
	}
	if err != nil {
		return desc, err
	}
	if _, err := f.Seek(w.Offset(), io.SeekStart); err != nil {
		return desc, err
	}
	if _, err := w.ReadFrom(acrsuite.Stream{Reader: f}); err != nil {
		return desc, err
	}
	return w.Commit()
}

// keep writes the checkpoint so that it is there whole or as it was, whenever the process is killed, and says so.
func (o *childOrder) keep(cp acr.Checkpoint) {
	text, err := json.Marshal(cp)
	if err == nil {
		err = os.WriteFile(o.Checkpoint+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(o.Checkpoint+".new", o.Checkpoint)
	}
	fmt.Printf("checkpoint %d %v\n", cp.Offset, err)
}

// order is an upload of a source to the registry.
func order(srv *acrtest.Server, source string) childOrder {
	user, password := srv.Admin()
	acrsuite.Secrets.Learn(acrsuite.PasswordSecret, password, "")
	return childOrder{
		Endpoint: srv.Endpoint(), Host: srv.Host(), User: user, Password: password, CA: string(srv.CA()),
		Repository: "child/blobs", Source: source,
	}
}

// uploadChild is a process under way.
type uploadChild struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner // what the child says of its work
}

// start runs the order in a process of its own.
func (o childOrder) start(t testing.TB) *uploadChild {
	t.Helper()
	c := &uploadChild{t: t, cmd: acrsuite.ChildCommand(t, o, "GOGC=100")}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// finish waits for the end of an upload that goes well, and returns what it says of it.
func (c *uploadChild) finish() (r childReport) {
	c.t.Helper()
	last := ""
	for c.lines.Scan() {
		last = c.lines.Text()
	}
	if err := errors.Join(c.cmd.Wait(), json.Unmarshal([]byte(last), &r)); err != nil {
		c.t.Fatalf("the process, which said at last %q: %v", last, err)
	}
	return r
}
