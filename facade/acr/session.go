package acr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
	"github.com/acrkit/acrkit/facade/internal/transport"
	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// octetStream is the media type of chunks.
const octetStream = "application/octet-stream"

// uploadSession implements transfer.Session with HTTP. It has no state: the location contains all
// of it.
type uploadSession struct {
	r *Repository
}

var _ transfer.Session = (*uploadSession)(nil)

// do sends a request of the upload.
func (s *uploadSession) do(ctx context.Context, op *operation, send func(context.Context) (*http.Response, error), extra ...string) (*http.Response, error) {
	return s.r.do(ctx, op, send, extra...)
}

// Start implements transfer.Session.
func (s *uploadSession) Start(ctx context.Context) (transfer.State, error) {
	resp, err := s.do(ctx, opStartUpload, func(ctx context.Context) (*http.Response, error) {
		return s.r.client.gen.StartUploadWithBody(ctx, s.r.name, &gen.StartUploadParams{}, "", nil, noContentType)
	})
	if err != nil {
		return transfer.State{}, startFault(err, true)
	}
	return s.opened(resp)
}

// opened returns the state of an upload that the registry has just opened.
func (s *uploadSession) opened(resp *http.Response) (transfer.State, error) {
	defer wire.Drain(resp)
	state, err := s.state(opStartUpload, resp)
	if err == nil && state.Location == "" {
		err = opStartUpload.fail(wire.Untrusted(wire.BadLocation, "missing"))
	}
	if err != nil {
		return transfer.State{}, &transfer.Fault{Kind: transfer.Final, Err: err}
	}
	return state, nil
}

// state reads the state of the upload from a response. If Location is missing, the previous
// location remains valid.
func (s *uploadSession) state(op *operation, resp *http.Response) (transfer.State, error) {
	state := transfer.State{Offset: transfer.Unknown}
	if len(resp.Header.Values("Location")) > 0 {
		u, err := wire.UploadLocation(resp, s.r.client.login, s.r.name)
		if err != nil {
			return transfer.State{}, op.fail(err)
		}
		state.Location = u.String()
	}
	if n, ok := wire.UploadRange(resp.Header); ok {
		state.Offset = n
	}
	if n, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		state.MinChunk = max(n, 0)
	}
	return state, nil
}

// at checks a location again before anything is sent to it, and returns the editor that sends a
// request to it.
func (s *uploadSession) at(op *operation, location string) (gen.RequestEditorFn, error) {
	u, err := wire.CheckUploadURL(location, s.r.client.login, s.r.name)
	if err != nil {
		return nil, &transfer.Fault{Kind: transfer.Final, Err: op.fail(err)}
	}
	return wire.At(u), nil
}

// Chunk implements transfer.Session.
func (s *uploadSession) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	at, err := s.at(opUploadChunk, location)
	if err != nil {
		return transfer.State{}, err
	}
	params := &gen.UploadChunkParams{ContentRange: contentRange(c)}
	resp, err := s.withBody(ctx, opUploadChunk, c, func(ctx context.Context, body io.Reader) (*http.Response, error) {
		return s.r.client.gen.UploadChunkWithBody(ctx, s.r.name, anyUpload, params, octetStream, body, at)
	})
	if err != nil {
		return transfer.State{}, uploadFault(err, false)
	}
	defer wire.Drain(resp)
	state, err := s.state(opUploadChunk, resp)
	if err != nil {
		return transfer.State{}, &transfer.Fault{Kind: transfer.Final, Err: err}
	}
	return state, nil
}

// withBody sends a request with a chunk. It returns when the transport no longer reads the chunk.
func (s *uploadSession) withBody(ctx context.Context, op *operation, c transfer.Chunk, send func(context.Context, io.Reader) (*http.Response, error)) (*http.Response, error) {
	body := transport.NewBody(c.Data, c.Offset, c.Size)
	resp, err := s.do(ctx, op, func(ctx context.Context) (*http.Response, error) { return send(ctx, body) })
	limit := settleTime
	if ctx.Err() != nil {
		limit = hurryTime
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if body.Wait(patience) != nil && ctx.Err() == nil {
		if err == nil {
			wire.Drain(resp)
		}
		return nil, op.fail(&wire.Refusal{Err: errBodyHeld, Detail: "the transport still reads it after the response"})
	}
	return resp, err
}

// uploading tells the loop when the request that carries a chunk is sent, after its token was
// obtained.
type uploading struct{}

// Do implements policy.Policy.
func (uploading) Do(req *policy.Request) (*http.Response, error) {
	transfer.Sending(req.Raw().Context())
	return req.Next()
}

// How long a call waits for the transport to stop reading a body after the response, or after the
// end of the call's context.
const (
	settleTime = 5 * time.Second
	hurryTime  = 60 * time.Millisecond
)

var errBodyHeld = errors.New("request body in use")

// Status implements transfer.Session.
func (s *uploadSession) Status(ctx context.Context, location string) (transfer.State, error) {
	at, err := s.at(opGetUploadStatus, location)
	if err != nil {
		return transfer.State{}, err
	}
	resp, err := s.do(ctx, opGetUploadStatus, func(ctx context.Context) (*http.Response, error) {
		return s.r.client.gen.GetUploadStatus(ctx, s.r.name, anyUpload, at)
	})
	if err != nil {
		return transfer.State{}, uploadFault(err, false) // without the status the upload is lost, so the loop tries again although the retry policy has stopped
	}
	defer wire.Drain(resp)
	state, err := s.state(opGetUploadStatus, resp)
	if err != nil {
		return transfer.State{}, &transfer.Fault{Kind: transfer.Final, Err: err}
	}
	return state, nil
}

// Commit implements transfer.Session.
func (s *uploadSession) Commit(ctx context.Context, location string, dgst digest.Digest, c transfer.Chunk) error {
	at, err := s.at(opCompleteUpload, location)
	if err != nil {
		return err
	}
	params := &gen.CompleteUploadParams{Digest: dgst}
	var resp *http.Response
	if c.Size == 0 {
		resp, err = s.do(ctx, opCompleteUpload, func(ctx context.Context) (*http.Response, error) {
			return s.r.client.gen.CompleteUploadWithBody(ctx, s.r.name, anyUpload, params, "", nil, at, noContentType)
		})
	} else {
		params.ContentRange = contentRange(c)
		resp, err = s.withBody(ctx, opCompleteUpload, c, func(ctx context.Context, body io.Reader) (*http.Response, error) {
			return s.r.client.gen.CompleteUploadWithBody(ctx, s.r.name, anyUpload, params, octetStream, body, at)
		})
	}
	if err != nil {
		return uploadFault(err, false)
	}
	wire.Drain(resp)
	return s.stored(opCompleteUpload, resp, dgst)
}

// stored compares the digest in a response, if there is one, with that of the content.
func (s *uploadSession) stored(op *operation, resp *http.Response, dgst digest.Digest) error {
	stated, err := statedDigest(resp.Header, headerDigest)
	if err == nil {
		err = sameContent(stated, dgst)
	}
	if err != nil {
		return &transfer.Fault{Kind: transfer.Final, Err: op.fail(err)}
	}
	return nil
}

// Cancel implements transfer.Session.
func (s *uploadSession) Cancel(ctx context.Context, location string) error {
	at, err := s.at(opCancelUpload, location)
	if err != nil {
		return err
	}
	resp, err := s.do(ctx, opCancelUpload, func(ctx context.Context) (*http.Response, error) {
		return s.r.client.gen.CancelUpload(ctx, s.r.name, anyUpload, at)
	})
	if err != nil {
		return err
	}
	wire.Drain(resp)
	return nil
}

// Whole implements transfer.Session.
func (s *uploadSession) Whole(ctx context.Context, dgst digest.Digest, c transfer.Chunk) (transfer.State, bool, error) {
	params := &gen.StartUploadParams{Digest: &dgst}
	resp, err := s.withBody(ctx, opStartUpload, c, func(ctx context.Context, body io.Reader) (*http.Response, error) {
		return s.r.client.gen.StartUploadWithBody(ctx, s.r.name, params, octetStream, body)
	})
	if err != nil {
		return transfer.State{}, false, startFault(err, false)
	}
	if resp.StatusCode == http.StatusCreated {
		wire.Drain(resp)
		return transfer.State{}, true, s.stored(opStartUpload, resp, dgst)
	}
	state, err := s.opened(resp)
	return state, false, err
}

// Stat implements transfer.Session.
func (s *uploadSession) Stat(ctx context.Context, dgst digest.Digest) (int64, error) {
	size, err := s.head(ctx, dgst)
	if _, unreachable := errors.AsType[*storageError](err); unreachable {
		return transfer.Unknown, nil // the registry has it
	}
	if err != nil {
		return 0, uploadFault(err, true)
	}
	return size, nil
}

// head returns the size of a blob. It uses the token of the upload, so that it costs no token of
// its own.
func (s *uploadSession) head(ctx context.Context, dgst digest.Digest) (int64, error) {
	return s.r.headBlob(staying(ctx), dgst, scopePullPush(s.r.name)...)
}

// anyUpload is the id of an upload where the location replaces the whole URL.
const anyUpload = "-"

// contentRange returns the range of the chunk in ACR's form: no unit, no size.
func contentRange(c transfer.Chunk) *gen.ChunkRange {
	return new(fmt.Sprintf("%d-%d", c.Offset, c.Offset+c.Size-1))
}

// noContentType removes the header from a request without a body.
func noContentType(_ context.Context, r *http.Request) error {
	r.Header.Del("Content-Type")
	return nil
}
