package model_test

import (
	"context"
	"time"
)

// longTime is how far time goes at once: three times of it is less than the registry keeps what was deleted, four times is more, and
// what faults take in between makes no difference.
const longTime = 2 * 24 * time.Hour

// events are what happens to the registry between calls.
var events = map[string]operation{
	"time passes": {weight: 2, options: 3, run: func(_ context.Context, w *world, s step) (string, error) {
		d := longTime
		w.aged = true
		if s.Option == 2 {
			d *= 4
		}
		if s.Option == 0 {
			pass(d) // for clients and registry
		} else {
			w.srv.Advance(d) // the registry's clock alone
		}
		_, err := w.srv.Collect(1000 * longTime) // what was deleted long ago, and no blobs
		return "", err
	}, expect: func(g *registry, _ *repository, s step) (string, error) {
		g.now = g.now.Add(longTime)
		if s.Option == 2 {
			g.now = g.now.Add(3 * longTime)
		}
		g.expire()
		return "", nil
	}},
	"tokens are revoked": {weight: 1, options: 2, run: func(_ context.Context, w *world, s step) (string, error) {
		w.aged = true
		w.srv.RevokeAccessTokens()
		if s.Option == 1 {
			w.srv.RevokeRefreshTokens()
		}
		return "", nil
	}, expect: func(*registry, *repository, step) (string, error) { return "", nil }},
}
