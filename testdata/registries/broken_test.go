package registries_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/acr"
)

// brokenLines come between the client and a registry that does nothing wrong.
var brokenLines = []check{
	{"the reply to a chunk is lost", func(ctx context.Context, e *env) error {
		return e.uploadOver(ctx, &line{method: http.MethodPatch, nth: 2, loseReply: true})
	}},
	{"a chunk breaks off in the middle", func(ctx context.Context, e *env) error {
		return e.uploadOver(ctx, &line{method: http.MethodPatch, nth: 2, breakBody: true})
	}},
	{"a chunk is never sent", func(ctx context.Context, e *env) error {
		return e.uploadOver(ctx, &line{method: http.MethodPatch, nth: 1, refuse: true})
	}},
	{"the reply to the start is lost", func(ctx context.Context, e *env) error {
		return e.uploadOver(ctx, &line{method: http.MethodPost, nth: 1, loseReply: true})
	}},
	{"the reply to the completion is lost", func(ctx context.Context, e *env) error {
		return e.uploadOver(ctx, &line{method: http.MethodPut, nth: 1, loseReply: true})
	}},
	{"a download breaks off in the middle", func(ctx context.Context, e *env) error {
		return e.readOver(ctx, &line{method: http.MethodGet, path: "/sha256", nth: 1, cutReply: 1 << 20}, nil)
	}},
	{"a byte of a download is another", func(ctx context.Context, e *env) error {
		return e.readOver(ctx, &line{method: http.MethodGet, path: "/sha256", nth: 1, flip: true}, acr.ErrDigestMismatch)
	}},
	{"a parallel download breaks off in the middle", downloadOver},
}

type wrapper = func(policy.Transporter) policy.Transporter

var errLine = errors.New("the line is dead")

// line breaks one request: the nth with its method and a path that holds its text.
type line struct {
	policy.Transporter

	method, path                 string
	nth                          int32
	loseReply, breakBody, refuse bool
	flip                         bool
	cutReply                     int64
	then                         func() // called with the hit
	seen, hit                    atomic.Int32
}

func (l *line) Do(req *http.Request) (*http.Response, error) {
	if req.Method != l.method || !strings.Contains(strings.ReplaceAll(req.URL.Path, ":", "/"), l.path) || strings.Contains(req.URL.Path, "/oauth2/") ||
		l.seen.Add(1) != l.nth {
		return l.Transporter.Do(req)
	}
	l.hit.Add(1)
	if l.then != nil {
		l.then()
	}
	switch {
	case l.refuse:
		return nil, errLine
	case l.breakBody:
		body := req.Body
		req = req.Clone(req.Context())
		req.GetBody = nil
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, req.ContentLength/2), broken{}), body}
		return l.Transporter.Do(req)
	}
	resp, err := l.Transporter.Do(req)
	if err != nil {
		return nil, err
	}
	switch {
	case l.loseReply:
		_, _ = io.Copy(io.Discard, resp.Body) // done, but nobody hears of it
		_ = resp.Body.Close()
		return nil, errLine
	case resp.StatusCode >= 300: // a redirect: the bytes come later
		l.seen.Add(-1)
	case l.cutReply > 0:
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(resp.Body, l.cutReply), broken{}), resp.Body}
	case l.flip:
		resp.Body = &flipped{ReadCloser: resp.Body}
	}
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errLine }

type flipped struct {
	io.ReadCloser

	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[0], f.done = p[0]^1, true
	}
	return n, err
}

func (e *env) over(l *line) *acr.Repository {
	return e.dial(func(t policy.Transporter) policy.Transporter { l.Transporter = t; return l }).Repository(e.name)
}

func (l *line) broke() error {
	if l.hit.Load() == 0 {
		return errors.New("the line was never asked for what it breaks")
	}
	return nil
}

func (e *env) uploadOver(ctx context.Context, l *line) error {
	content := noise(4<<20 + 1)
	d, err := e.over(l).UploadBlob(ctx, bytes.NewReader(content), &acr.UploadOptions{ChunkSize: 1 << 20})
	if err := errors.Join(err, l.broke()); err != nil {
		return err
	}
	return e.holds(ctx, e.repository, d.Digest, content)
}

func (e *env) readOver(ctx context.Context, l *line, target error) error {
	content := noise(4 << 20)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	blob, err := e.over(l).GetBlob(ctx, d.Digest, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(blob)
	err = errors.Join(err, blob.Close())
	if target != nil {
		return errors.Join(want(err, target), l.broke())
	}
	if err := errors.Join(err, l.broke()); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("read %d bytes of %d: %w", len(got), len(content), err)
	}
	return nil
}

func downloadOver(ctx context.Context, e *env) error {
	content := noise(9 << 20)
	d, err := e.repository.UploadBlob(ctx, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	l := &line{method: http.MethodGet, path: "/sha256", nth: 1, cutReply: 100_000}
	file := filepath.Join(e.dir, "blob")
	_, err = e.over(l).DownloadBlobFile(ctx, d.Digest, file, &acr.DownloadFileOptions{Concurrency: 4, PartSize: 1 << 20})
	if err := errors.Join(err, l.broke()); err != nil {
		return err
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("downloaded %d bytes of %d: %w", len(got), len(content), err)
	}
	return nil
}
