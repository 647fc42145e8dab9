package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// Three days of one call a minute: nothing ever fails, and no token is renewed before four fifths of its life.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	const days = 72 * time.Hour
	for _, row := range []struct {
		name      string
		anonymous bool
		skew      time.Duration
		life      time.Duration // after which a token is renewed
		exchanges int           // at most
	}{
		{"entra", false, 0, 48 * time.Minute, int(days/(144*time.Minute)) + 1},
		{"F54 clock 6 h behind", false, 6 * time.Hour, 48 * time.Minute, int(days/(144*time.Minute)) + 1},
		{"F54 clock 6 h ahead", false, -6 * time.Hour, 48 * time.Minute, int(days/(144*time.Minute)) + 1},
		{"anonymous, 5 minutes", true, 0, 4 * time.Minute, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newRegistry()
				g.skew, g.anonymous, g.delay = row.skew, row.anonymous, 50*time.Millisecond
				cred := auth.Entra(&entra{})
				if row.anonymous {
					cred = auth.Anonymous()
				}
				c := newClient(t, g, cred)
				calls := 0
				for start := time.Now(); time.Since(start) < days; time.Sleep(time.Minute) {
					c.ok(t, "repository:a:pull")
					calls++
				}
				if n := g.count("401"); n != 0 {
					t.Errorf("%d times 401", n)
				}
				if n, most := g.count("token"), int(days/row.life)+1; n > most || n < most/2 {
					t.Errorf("%d access tokens in %v, at most %d", n, days, most)
				}
				if n := g.count("exchange"); n > row.exchanges {
					t.Errorf("%d exchanges, at most %d", n, row.exchanges)
				}
				t.Logf("%d calls, %d access tokens, %d exchanges", calls, g.count("token"), g.count("exchange"))
			})
		})
	}
}

// F56: a request starts with at least a minute of life, where tokens are handed out with more.
func TestRequestsStartWithLife(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{time.Hour, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			g := newRegistry()
			g.accessLife = life
			c := newClient(t, g, auth.Entra(&entra{}))
			for range 1000 {
				time.Sleep(7 * time.Second)
				s, err := c.AccessToken(t.Context(), "repository:a:pull")
				if err != nil {
					t.Fatal(err)
				}
				if left := g.tokens[s].end.Sub(g.now()); left < time.Minute {
					t.Fatalf("%v left", left)
				}
			}
		})
	}
}

// A registry that hands out partly used tokens is not asked with every request.
func TestPartlyUsedTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.accessLife = 30 * time.Second
		c := newClient(t, g, auth.Entra(&entra{}))
		for range 30 {
			c.ok(t, "repository:a:pull")
			time.Sleep(time.Second)
		}
		g.counted(t, 1, 2, 30, 0)
	})
}

// Renewal ahead of the end costs one caller its time, and none an error.
func TestRenewalAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		c := newClient(t, g, auth.Entra(&entra{}))
		c.ok(t, "repository:a:pull")
		time.Sleep(50 * time.Minute)
		g.delay = time.Second
		start := time.Now()
		var mu sync.Mutex
		slow := 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.AccessToken(t.Context(), "repository:a:pull"); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if time.Since(start) > 0 {
					slow++
				}
			})
		}
		wg.Wait()
		if slow != 1 || g.count("token") != 2 {
			t.Errorf("%d callers waited, %d tokens", slow, g.count("token"))
		}

		// While it fails, the old token serves; it is tried again now and then, once each time.
		time.Sleep(50 * time.Minute)
		g.delay = 0
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if r.URL.Path == "/oauth2/token" {
				return problem(503, "UNAVAILABLE", "down")
			}
			return nil
		}
		for range 60 {
			c.ok(t, "repository:a:pull")
			time.Sleep(time.Second)
		}
		if n := g.count("token") - 2; n < 2 || n > 3 {
			t.Errorf("%d attempts in a minute", n)
		}
		g.before = nil
		time.Sleep(time.Minute)
		c.ok(t, "repository:a:pull")
		if n := g.count("401"); n != 0 {
			t.Error("401s:", n)
		}
	})
}

// A early renewal that fails under callers whose token has run out is made again in earnest.
func TestRenewalTurnsHard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.accessLife = 10 * time.Minute
		c := newClient(t, g, auth.Entra(&entra{}))
		c.ok(t, "repository:a:pull")
		time.Sleep(8*time.Minute + 55*time.Second)
		fails := 1
		g.delay = 10 * time.Second
		g.before = func(r *http.Request, _ url.Values) *http.Response {
			if r.URL.Path == "/oauth2/token" && fails > 0 {
				fails--
				return problem(503, "UNAVAILABLE", "down")
			}
			return nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.AccessToken(t.Context(), "repository:a:pull"); err != nil {
				t.Error("the one who renews ahead:", err)
			}
		})
		time.Sleep(6 * time.Second) // now less than a minute is left
		wg.Go(func() {
			if _, err := c.AccessToken(t.Context(), "repository:a:pull"); err != nil {
				t.Error("the one who needs it:", err)
			}
		})
		wg.Wait()
		if n := g.count("token"); n != 3 {
			t.Errorf("%d token requests", n)
		}
	})
}

// F49, F72: a caller who leaves takes nobody along, whether it was there first or last, and the last one out ends the fetch.
func TestCallersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRegistry()
		g.delay = time.Second
		e := &entra{delay: time.Second}
		c := newClient(t, g, auth.Entra(e))
		leader, cancelLeader := context.WithCancelCause(t.Context())
		follower, cancelFollower := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancelFollower()
		results := make(chan string, 4)
		ask := func(name string, ctx context.Context) {
			_, err := c.AccessToken(ctx, "repository:a:pull")
			results <- fmt.Sprint(name, " ", err)
		}
		start := time.Now()
		go ask("leader", leader)
		synctest.Wait()
		go ask("follower", follower)
		go ask("stays", t.Context())
		time.Sleep(100 * time.Millisecond)
		cancelLeader(nil)
		if got := <-results; got != "leader context canceled" || time.Since(start) != 100*time.Millisecond {
			t.Error(got, time.Since(start))
		}
		if got := <-results; got != "follower context deadline exceeded" || time.Since(start) != 200*time.Millisecond {
			t.Error(got, time.Since(start))
		}
		if got := <-results; got != "stays <nil>" {
			t.Error(got)
		}
		g.counted(t, 1, 1, 0, 0)
		if n := e.calls.Load(); n != 1 {
			t.Errorf("%d Entra tokens", n)
		}

		// All leave: the fetch ends, and the next caller starts anew.
		c = newClient(t, g, auth.Entra(e))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		go ask("gone", ctx)
		if got := <-results; got != "gone context deadline exceeded" {
			t.Error(got)
		}
		synctest.Wait() // nothing of it is left running, or the bubble would not end
		go ask("next", t.Context())
		if got := <-results; got != "next <nil>" {
			t.Error(got)
		}
		if n := e.calls.Load(); n != 3 {
			t.Errorf("%d Entra tokens", n)
		}
		// A context that is done before the call sends nothing.
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newClient(t, g, auth.Entra(e)).AccessToken(done, "repository:a:pull"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// F47: the token endpoint fails once.
func TestTokenEndpointRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{503, 429, 500} {
			g := newRegistry()
			failed := map[string]bool{}
			g.before = func(r *http.Request, _ url.Values) *http.Response {
				if failed[r.URL.Path] || !strings.HasPrefix(r.URL.Path, "/oauth2/") {
					return nil
				}
				failed[r.URL.Path] = true
				return answer(status, "busy", "Retry-After", "3")
			}
			c := newClient(t, g, auth.Entra(&entra{}))
			start := time.Now()
			c.ok(t, "repository:a:pull")
			if took := time.Since(start); took < 6*time.Second {
				t.Errorf("%d: waited %v, asked for 6 s", status, took)
			}
			g.counted(t, 2, 2, 1, 0)
		}
	})
}

// A credential that panics does so in the caller.
func TestCredentialPanics(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(), auth.Entra(panicking{}))
	defer func() {
		if p := recover(); p != "credential" {
			t.Error(p)
		}
	}()
	_, _ = c.AccessToken(t.Context())
}
