package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/transfer"
)

// slowSession is a session whose first chunk meets something slow: signing in, or a connection that
// takes no byte.
type slowSession struct {
	*registry
	once   bool
	signIn time.Duration
	stuck  bool
}

func (s *slowSession) Chunk(ctx context.Context, location string, c transfer.Chunk) (transfer.State, error) {
	if s.once {
		return s.registry.Chunk(ctx, location, c)
	}
	s.once = true
	if err := s.sleep(ctx, s.signIn); err != nil {
		return transfer.State{}, err
	}
	answered := transfer.Sending(ctx)
	if s.stuck {
		return transfer.State{}, s.sleep(ctx, 24*time.Hour)
	}
	state, err := s.registry.Chunk(ctx, location, c)
	answered()
	return state, errors.Join(err, s.sleep(ctx, s.signIn)) // in the end nothing is under way any more
}

func (s *slowSession) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// slowSource takes its time, once.
type slowSource struct {
	*bytes.Reader
	once sync.Once
	wait time.Duration
}

func (s *slowSource) ReadAt(p []byte, off int64) (int, error) {
	s.once.Do(func() { time.Sleep(s.wait) })
	return s.Reader.ReadAt(p, off)
}

// TestSendStall: a connection that takes no byte is given up, and the upload goes on over another
// one. What comes before and after the request, and a source that takes its time, are no reason to.
func TestSendStall(t *testing.T) {
	t.Parallel()
	const long, soon = 10 * time.Minute, time.Second
	for name, tc := range map[string]struct {
		session  slowSession
		source   time.Duration
		from, to time.Duration
	}{
		"stuck":               {slowSession{stuck: true}, 0, 2 * time.Minute, 2*time.Minute + soon},
		"slow sign-in":        {slowSession{signIn: long}, 0, 2 * long, 2*long + soon},
		"sign-in, then stuck": {slowSession{signIn: long, stuck: true}, 0, long + 2*time.Minute, long + 2*time.Minute + soon},
		"slow source":         {slowSession{}, long, long, long + soon},
	} {
		synctest.Test(t, func(t *testing.T) {
			session := tc.session
			session.registry = newRegistry()
			began := time.Now()
			source := &slowSource{Reader: bytes.NewReader(make([]byte, 300)), wait: tc.source}
			o := session.options()
			if _, err := transfer.Upload(t.Context(), &session, source, 300, o); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if d := time.Since(began); d < tc.from || d > tc.to {
				t.Errorf("%s: took %s", name, d)
			}
			if n := o.Meter.Event().Resent; n > 0 {
				t.Errorf("%s: %d bytes were sent again", name, n)
			}
		})
	}
}
