package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// What a fake registry can do to a request.
type fault int

const (
	none      fault = iota
	unapplied       // broken before a byte was applied
	half            // broken in the middle; what becomes of the half is up to registry.partial
	lostReply       // applied, but the reply is lost
	busy            // 429 with Retry-After, nothing applied
	busyLate        // 503 although it was applied
	forget          // the session is forgotten, and the request refused
	cutShort        // success, but only a half was taken, and the reply says so
	claimLess       // success, but the reply claims a byte too few
	claimMore       // success, but the reply claims a byte too many
	mute            // success, but the reply claims nothing
	fatal           // refused for good
	faults
)

// What becomes of the half that a broken request has brought.
type partial int

const (
	kept partial = iota
	dropped
	kills // the session ends, as upstream's does when an old location is used
)

// registry is a fake session: it fails, delays, applies halves and forgets, as its script says.
type registry struct {
	mu       sync.Mutex
	script   map[string][]fault // by method: what happens to the nth call
	calls    map[string]int
	partial  partial
	maxBody  int64
	minChunk int64
	noWhole  bool // the opening request ignores its body
	noTail   bool // the committing request ignores its body
	delay    time.Duration

	sessions map[string]*upload
	blobs    map[digest.Digest][]byte
	next     int
	got      int64 // bytes that came in bodies
}

type upload struct {
	data  []byte
	state int // part of the location: changes with every chunk
}

func newRegistry() *registry {
	return &registry{script: map[string][]fault{}, calls: map[string]int{}, sessions: map[string]*upload{}, blobs: map[digest.Digest][]byte{}}
}

var (
	errBroken = errors.New("connection reset by peer")
	errNo     = errors.New("denied")
)

func gone(s string) error {
	return &transfer.Fault{Kind: transfer.Gone, Err: errors.New("BLOB_UPLOAD_UNKNOWN " + s)}
}

func (r *registry) enter(ctx context.Context, method string) (fault, error) {
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	n := r.calls[method]
	r.calls[method]++
	f := none
	if s := r.script[method]; n < len(s) {
		f = s[n]
	}
	switch f {
	case unapplied:
		return f, errBroken
	case busy:
		return f, &transfer.Fault{Kind: transfer.Busy, After: time.Second, Err: errors.New("429")}
	case fatal:
		return f, &transfer.Fault{Kind: transfer.Final, Err: errNo}
	}
	return f, nil
}

// leave is what the caller hears of a request that was applied.
func leave(f fault, s transfer.State) (transfer.State, error) {
	switch f {
	case lostReply, half:
		return transfer.State{}, errBroken
	case busyLate:
		return transfer.State{}, &transfer.Fault{Kind: transfer.Busy, Err: errors.New("503")}
	case claimLess:
		s.Offset--
	case claimMore:
		s.Offset++
	case mute:
		s.Offset, s.Location = transfer.Unknown, ""
	}
	return s, nil
}

func (r *registry) state(id string, u *upload) transfer.State {
	return transfer.State{Location: fmt.Sprintf("%s?%d", id, u.state), Offset: max(int64(len(u.data)), 1), MinChunk: r.minChunk}
}

func (r *registry) find(location string) (string, *upload, error) {
	id, _, _ := bytes.Cut([]byte(location), []byte("?"))
	u := r.sessions[string(id)]
	if u == nil {
		return "", nil, gone(location)
	}
	if r.partial == kills && fmt.Sprintf("%s?%d", id, u.state) != location {
		delete(r.sessions, string(id))
		return "", nil, gone("stale " + location)
	}
	return string(id), u, nil
}

func (r *registry) Start(ctx context.Context) (transfer.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.enter(ctx, "start")
	if err != nil {
		return transfer.State{}, err
	}
	if f == lostReply || f == busyLate || f == half {
		return leave(f, transfer.State{}) // the session that nobody knows of is the registry's to drop
	}
	return r.open(), nil
}

func (r *registry) open() transfer.State {
	r.next++
	id := fmt.Sprintf("u%d", r.next)
	r.sessions[id] = &upload{}
	return r.state(id, r.sessions[id])
}

func (r *registry) body(c transfer.Chunk, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.NewSectionReader(c.Data, c.Offset, n))
	r.got += int64(len(b))
	if err != nil || int64(len(b)) < n {
		return b, errBroken
	}
	return b, nil
}

func (r *registry) tooLarge(c transfer.Chunk) error {
	if r.maxBody > 0 && c.Size > r.maxBody {
		return &transfer.Fault{Kind: transfer.TooLarge, Err: errors.New("413")}
	}
	return nil
}

func (r *registry) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.enter(ctx, "chunk")
	if err != nil {
		return transfer.State{}, err
	}
	if c.Size <= 0 {
		return transfer.State{}, &transfer.Fault{Kind: transfer.Final, Err: errors.New("empty chunk")}
	}
	id, u, err := r.find(location)
	if err != nil {
		return transfer.State{}, err
	}
	if c.Offset != int64(len(u.data)) {
		return transfer.State{}, &transfer.Fault{Kind: transfer.NoRange, Err: fmt.Errorf("chunk at %d, have %d", c.Offset, len(u.data))}
	}
	if err := r.tooLarge(c); err != nil {
		return transfer.State{}, err
	}
	n := c.Size
	switch f {
	case forget:
		delete(r.sessions, id)
		return transfer.State{}, gone(id)
	case half, cutShort:
		n = (n + 1) / 2
	}
	b, err := r.body(c, n)
	if f == half || err != nil {
		switch r.partial {
		case kept:
			u.data = append(u.data, b...)
		case kills:
			u.state++
		}
		return transfer.State{}, errBroken
	}
	u.data = append(u.data, b...)
	u.state++
	return leave(f, r.state(id, u))
}

func (r *registry) Status(ctx context.Context, location string) (transfer.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.enter(ctx, "status")
	if err != nil {
		return transfer.State{}, err
	}
	id, u, err := r.find(location)
	if err != nil {
		return transfer.State{}, err
	}
	if f == forget {
		delete(r.sessions, id)
		return transfer.State{}, gone(id)
	}
	return leave(f, r.state(id, u))
}

func (r *registry) Commit(ctx context.Context, location string, dgst digest.Digest, c transfer.Chunk) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.enter(ctx, "commit")
	if err != nil {
		return err
	}
	id, u, err := r.find(location)
	if err != nil {
		return err
	}
	if f == forget {
		delete(r.sessions, id)
		return gone(id)
	}
	if err := r.tooLarge(c); err != nil {
		return err
	}
	if c.Size > 0 && c.Offset != int64(len(u.data)) {
		return &transfer.Fault{Kind: transfer.NoRange, Err: fmt.Errorf("commit at %d, have %d", c.Offset, len(u.data))}
	}
	n := c.Size
	if f == half {
		n /= 2
	}
	b, err := r.body(c, n)
	if !r.noTail {
		if (f == half || err != nil) && r.partial != kept {
			u.state++
			return errBroken
		}
		u.data = append(u.data, b...)
	}
	if f == half || err != nil {
		return errBroken
	}
	delete(r.sessions, id)
	if got := dgst.Algorithm().FromBytes(u.data); got != dgst {
		return &transfer.Fault{Kind: transfer.BadDigest, Err: errors.New("DIGEST_INVALID")}
	}
	r.blobs[dgst] = u.data
	_, err = leave(f, transfer.State{})
	return err
}

func (r *registry) Cancel(ctx context.Context, location string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls["cancel"]++
	id, _, _ := bytes.Cut([]byte(location), []byte("?"))
	delete(r.sessions, string(id))
	return ctx.Err()
}

func (r *registry) Whole(ctx context.Context, dgst digest.Digest, c transfer.Chunk) (transfer.State, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := r.enter(ctx, "whole")
	if err != nil {
		return transfer.State{}, false, err
	}
	if err := r.tooLarge(c); err != nil {
		return transfer.State{}, false, err
	}
	if r.noWhole {
		return r.open(), false, nil
	}
	b, err := r.body(c, c.Size)
	if err != nil || f == half {
		return transfer.State{}, false, errBroken
	}
	if dgst.Algorithm().FromBytes(b) != dgst {
		return transfer.State{}, false, &transfer.Fault{Kind: transfer.BadDigest, Err: errors.New("DIGEST_INVALID")}
	}
	r.blobs[dgst] = b
	_, err = leave(f, transfer.State{})
	return transfer.State{}, err == nil, err
}

func (r *registry) Stat(ctx context.Context, dgst digest.Digest) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.enter(ctx, "stat"); err != nil {
		return 0, err
	}
	b, ok := r.blobs[dgst]
	if !ok {
		return 0, &transfer.Fault{Kind: transfer.Gone, Err: errors.New("BLOB_UNKNOWN")}
	}
	return int64(len(b)), nil
}

// options of an upload to the registry, with everything made small.
func (r *registry) options() *transfer.UploadOptions {
	return &transfer.UploadOptions{
		Size: transfer.Unknown, Meter: &transfer.Meter{}, Limits: &transfer.Limits{},
		Tune: transfer.Tuning{Whole: 64, Piece: 16, Ahead: 64, Mark: 16, Least: 1},
	}
}
