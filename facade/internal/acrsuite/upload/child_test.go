package upload_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// childVariable holds, in a process of its own, what TestUploadChild is to upload.
const childVariable = "ACRKIT_UPLOAD_CHILD"

// childOrder is one upload by a process of its own.
type childOrder struct {
	Endpoint, Host, User, Password, CA string

	Repository string
	Source     string // path
	Stream     bool   // as if it could be read once
	Chunk      int64
	Checkpoint string // path: where to keep the checkpoint, and to go on from when it is there
}

// TestUploadChild is the process of its own; in a common run it is nothing.
func TestUploadChild(t *testing.T) { //nolint:paralleltest // it is alone in its process
	text := os.Getenv(childVariable)
	if text == "" {
		return
	}
	var o childOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	before := acrsuite.PeakMemory() >> 10
	desc, err := o.upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child: done %s %d %d %d\n", desc.Digest, desc.Size, before, acrsuite.PeakMemory()>>10)
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
	fmt.Printf("child: checkpoint %d %v\n", cp.Offset, err)
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
	lines *bufio.Scanner
}

// start runs the order in a process of its own.
func (o childOrder) start(t testing.TB) *uploadChild {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &uploadChild{t: t, cmd: exec.CommandContext(t.Context(), self, "-test.run=^TestUploadChild$", "-test.timeout=30m")}
	c.cmd.Dir = filepath.Dir(self)
	if dir, err := os.Getwd(); err == nil {
		c.cmd.Dir = dir
	}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(text), "GOGC=100")
	c.cmd.Stderr = os.Stderr
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

// next is the next thing that the child says of its work; false at its end.
func (c *uploadChild) next() (string, bool) {
	for c.lines.Scan() {
		if said, ok := strings.CutPrefix(c.lines.Text(), "child: "); ok {
			return said, true
		}
		if strings.Contains(c.lines.Text(), "_test.go:") {
			c.t.Log(c.lines.Text())
		}
	}
	return "", false
}

// finish waits for the end of an upload that goes well, and returns what it says of it.
func (c *uploadChild) finish() (dgst string, size, before, peak int64) {
	c.t.Helper()
	for {
		said, ok := c.next()
		if !ok {
			c.t.Fatalf("the process ended without a word: %v", c.cmd.Wait())
		}
		if n, _ := fmt.Sscanf(said, "done %s %d %d %d", &dgst, &size, &before, &peak); n == 4 {
			break
		}
	}
	for { // until it has closed its output
		if _, ok := c.next(); !ok {
			break
		}
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the process: %v", err)
	}
	return dgst, size, before, peak
}
