package acrtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Budget is a kind of request that a registry counts separately, with a limit per minute; see
// [WithLimits].
type Budget string

// The five budgets. A list of referrers counts against ReadBudget as well.
const (
	ReadBudget      Budget = "read"      // GET and HEAD
	WriteBudget     Budget = "write"     // PUT, PATCH and POST
	DeleteBudget    Budget = "delete"    // DELETE
	ReferrersBudget Budget = "referrers" // lists of referrers
	OAuthBudget     Budget = "oauth"     // token requests
)

// quota is a budget in requests a minute: of the whole registry, and of one caller (0 is without).
type quota struct{ registry, caller int }

// quotas are the figures of
// https://learn.microsoft.com/azure/container-registry/container-registry-skus.
func quotas(sku SKU) map[Budget]quota {
	if sku == Premium {
		return map[Budget]quota{
			ReadBudget: {20000, 10000}, WriteBudget: {4000, 2000}, DeleteBudget: {4000, 2000}, ReferrersBudget: {2000, 1000},
			OAuthBudget: {20000, 0},
		}
	}
	return map[Budget]quota{
		ReadBudget: {10000, 5000}, WriteBudget: {2000, 1000}, DeleteBudget: {1000, 500}, ReferrersBudget: {500, 250},
		OAuthBudget: {10000, 0},
	}
}

// window is how long a budget lasts before it is whole again.
const window = time.Minute

// limiter counts requests by budget and caller, in windows that begin with their first request.
type limiter struct {
	mu      sync.Mutex
	quotas  map[Budget]quota
	enforce map[Budget]bool
	counts  map[counter]*count
	deletes map[string]*count // of the running second, by caller: for the header of deletes
	perSec  int
	buckets bool // a budget is a bucket of one second's worth, not a number in a minute
}

type counter struct {
	budget Budget
	caller string // "" is the whole registry
	bucket bool
}

type count struct {
	since time.Time
	n     int
	spent float64 // of a bucket
}

// refill lets the bucket of a budget of n requests a minute run full again as time passes.
func (c *count) refill(n int, now time.Time) {
	c.spent = max(0, c.spent-now.Sub(c.since).Seconds()*perSecond(n))
	c.since = now
}

// wait returns how long it takes until the bucket has room for one request.
func (c *count) wait(n int) time.Duration {
	missing := c.spent + 1 - max(1, perSecond(n))
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / perSecond(n) * float64(time.Second))
}

func perSecond(n int) float64 { return float64(n) / window.Seconds() }

func newLimiter(cfg config) *limiter {
	l := &limiter{quotas: quotas(cfg.sku), enforce: make(map[Budget]bool), counts: make(map[counter]*count), deletes: make(map[string]*count), perSec: 8, buckets: cfg.buckets}
	if cfg.sku == Premium {
		l.perSec = 32
	}
	for b := range l.quotas {
		l.enforce[b] = cfg.limits
	}
	for b, n := range cfg.budgets {
		l.quotas[b] = quota{registry: l.quotas[b].registry, caller: n}
		if b == OAuthBudget {
			l.quotas[b] = quota{registry: n}
		}
		l.enforce[b] = true
	}
	return l
}

// take counts a request, and gives how long to wait if its budget is spent, and what is left of the
// registry's.
func (l *limiter) take(b Budget, caller string, now time.Time) (wait time.Duration, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.quotas[b]
	if l.buckets && l.enforce[b] {
		if wait := l.takeOne(b, caller, q, now); wait > 0 {
			return wait, 0
		}
	}
	whole := l.count(counter{budget: b}, now)
	own := &count{since: now}
	if q.caller > 0 {
		own = l.count(counter{budget: b, caller: caller + "/"}, now)
	}
	if l.enforce[b] && !l.buckets {
		if whole.n >= q.registry {
			return whole.since.Add(window).Sub(now), 0
		}
		if q.caller > 0 && own.n >= q.caller {
			return own.since.Add(window).Sub(now), 0
		}
	}
	whole.n++
	own.n++
	return 0, max(0, q.registry-whole.n)
}

// takeOne takes a request from the buckets of the registry and of the caller, from both or from
// none.
func (l *limiter) takeOne(b Budget, caller string, q quota, now time.Time) time.Duration {
	var buckets []*count
	for key, n := range map[counter]int{{b, "", true}: q.registry, {b, caller + "/", true}: q.caller} {
		if n == 0 {
			continue
		}
		c := l.counts[key]
		if c == nil || now.Before(c.since) {
			c = &count{since: now}
			l.counts[key] = c
		}
		c.refill(n, now)
		if wait := c.wait(n); wait > 0 {
			return wait
		}
		buckets = append(buckets, c)
	}
	for _, c := range buckets {
		c.spent++
	}
	return 0
}

func (l *limiter) count(key counter, now time.Time) *count {
	c := l.counts[key]
	if c == nil || now.Sub(c.since) >= window || now.Before(c.since) {
		c = &count{since: now}
		l.counts[key] = c
	}
	return c
}

// deleteRate gives what the header of deletes says: how many more the caller may send this second.
func (l *limiter) deleteRate(caller string, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.deletes[caller]
	if own == nil || now.Sub(own.since) >= time.Second || now.Before(own.since) {
		own = &count{since: now}
		l.deletes[caller] = own
	}
	left := max(0, l.perSec-own.n)
	own.n++
	return left
}

// budgetsOf gives the budgets that a request counts against.
func budgetsOf(r *http.Request, op string) []Budget {
	switch {
	case strings.HasPrefix(r.URL.Path, "/oauth2/"):
		return []Budget{OAuthBudget}
	case op == "ListReferrers":
		return []Budget{ReferrersBudget, ReadBudget}
	case r.Method == http.MethodDelete:
		return []Budget{DeleteBudget}
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return []Budget{ReadBudget}
	}
	return []Budget{WriteBudget}
}

const throttled = "Too many requests. Please visit https://aka.ms/acr/skus#sku-feature-matrix to view limits of all service tiers."

// withinBudget counts a request, sets the rate-limit headers, and answers 429 when a budget is
// spent.
func (f *front) withinBudget(w http.ResponseWriter, r *http.Request, limits *limiter, caller, op string) bool {
	now := f.clock.now()
	for _, b := range budgetsOf(r, op) {
		wait, left := limits.take(b, caller, now)
		if wait > 0 {
			seconds := int64((wait + time.Second - 1) / time.Second)
			w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
			if b == OAuthBudget {
				refuseToken(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", throttled)
				return false
			}
			fail(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", throttled, nil)
			return false
		}
		switch b {
		case OAuthBudget:
			// The key is lower case on the wire, the figure without trailing zeros.
			rate := strconv.FormatFloat(float64(left)/60, 'f', 6, 64)
			rate = strings.TrimSuffix(strings.TrimRight(rate, "0"), ".")
			w.Header()["x-ms-ratelimit-remaining-calls-per-second"] = []string{rate}
		case DeleteBudget:
			if caller != "" {
				w.Header().Set("X-Ms-Ratelimit-Remaining-Calls-Per-Second", fmt.Sprintf("%d.000000", limits.deleteRate(caller, now)))
			}
		}
	}
	return true
}
