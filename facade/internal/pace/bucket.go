package pace

import "time"

// The reaction to a refused request: how far the pace falls, how fast it rises again, and its lower bound, as parts of the
// full pace.
const (
	slowDown     = 0.7
	recoverBy    = 0.05
	recoverEvery = 10 * time.Second
	slowest      = 0.05
)

// burstTime is how much of the share of a budget may be sent at once: half a second's worth. The service's own buckets hold
// about one second's worth of the whole budget, so the other half is left for requests that arrive closer together than they
// were sent. Several processes that share a budget have the same room together.
const burstTime = 500 * time.Millisecond

// bucket is one budget of one host. Its owner holds the lock.
type bucket struct {
	limit      int       // requests per minute that the server allows
	share      float64   // of limit that may be used
	slow       float64   // factor of the pace, from the last refusal
	slowSince  time.Time // the end of the pause after it
	next       time.Time // when the bucket would be full again: the theoretical arrival time of GCRA
	generation int       // changes with each refusal, which makes all reservations void

	requests, throttled int64
	waited              time.Duration
}

// full is the pace in requests per second when no request was refused of late.
func (b *bucket) full() float64 { return b.share * float64(b.limit) / 60 }

// factor is the part of the full pace that holds now.
func (b *bucket) factor(now time.Time) float64 {
	if b.slow == 0 {
		return 1
	}
	steps := float64(max(0, now.Sub(b.slowSince)) / recoverEvery)
	return min(1, b.slow+steps*recoverBy)
}

// interval is the time between two requests at the pace that holds now.
func (b *bucket) interval(now time.Time) time.Duration {
	return time.Duration(float64(time.Second) / (b.full() * b.factor(now)))
}

// slack is how far next may be ahead of a request that goes at once: the burst, less the request itself.
func (b *bucket) slack(now time.Time) time.Duration {
	burst := max(1, b.full()*burstTime.Seconds())
	return time.Duration((burst - 1) * float64(b.interval(now)))
}

// earliest is when the next request may go.
func (b *bucket) earliest(now time.Time) time.Time {
	if at := b.next.Add(-b.slack(now)); at.After(now) {
		return at
	}
	return now
}

// take reserves the moment for a request and returns what undoes it.
func (b *bucket) take(at, now time.Time) (before, after time.Time) {
	before = b.next
	if b.next.Before(at) {
		b.next = at
	}
	b.next = b.next.Add(b.interval(now))
	return before, b.next
}

// refuse notes that the server refused a request and asked for a pause. Requests that were under way at the same time are
// refused with it: they make the pause longer, but do not slow the pace down again.
func (b *bucket) refuse(now time.Time, pause time.Duration) {
	b.throttled++
	end := now.Add(pause)
	if now.Before(b.slowSince) {
		if !end.After(b.slowSince) {
			return
		}
	} else {
		b.slow = max(slowest, b.factor(now)*slowDown)
	}
	b.generation++
	b.slowSince = end
	b.next = end.Add(b.slack(now)) // the first goes when the pause is over, the others at the pace behind it
}
