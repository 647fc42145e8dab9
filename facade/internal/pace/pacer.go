package pace

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wait"
)

// Budget names a kind of requests that a server counts apart.
type Budget string

// Usage is what a Pacer knows of one budget.
type Usage struct {
	PerMinute int
	Requests  int64
	Waited    time.Duration
	Throttled int64
}

// Config is how a Pacer is made.
type Config struct {
	Limits      map[Budget]int // requests per minute of each budget
	Share       float64        // of each limit that may be used, above 0 and at most 1
	Concurrency int            // requests of one host that may wait for a response at a time; 0: any number
	OnWait      func(Budget, time.Duration)
}

// Pacer spaces the requests to any number of hosts. It is safe for concurrent use.
type Pacer struct {
	config Config
	mu     sync.Mutex
	hosts  map[string]*host
}

// host is the state of one server.
type host struct {
	buckets map[Budget]*bucket
	slots   chan struct{}
}

// New returns a Pacer.
func New(c Config) *Pacer {
	c.Limits = maps.Clone(c.Limits)
	return &Pacer{config: c, hosts: map[string]*host{}}
}

// host returns the state of a server. The caller holds the lock.
func (p *Pacer) host(name string) *host {
	h := p.hosts[name]
	if h == nil {
		h = &host{buckets: map[Budget]*bucket{}}
		for b, limit := range p.config.Limits {
			h.buckets[b] = &bucket{limit: limit, share: p.config.Share}
		}
		if p.config.Concurrency > 0 {
			h.slots = make(chan struct{}, p.config.Concurrency)
		}
		p.hosts[name] = h
	}
	return h
}

// Enter waits until fewer requests to the host are waiting for a response than Config.Concurrency. leave must be called
// when the response has come. Enter fails only with the context's error.
func (p *Pacer) Enter(ctx context.Context, hostName string) (leave func(), err error) {
	p.mu.Lock()
	slots := p.host(hostName).slots
	p.mu.Unlock()
	if slots == nil {
		return func() {}, nil
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, wait.Cause(ctx)
	}
}

// Wait waits until a request to the host may be sent that counts against all of the budgets, in the order of the callers.
// The budgets are waited for one after another, so the scarcest belongs first: a request that waits for its turn in a scarce
// budget must not keep its turn in another one from being used.
//
// It fails with the context's error, and at once with an error that wraps [context.DeadlineExceeded] if the request's turn
// comes after the context's deadline.
func (p *Pacer) Wait(ctx context.Context, hostName string, budgets ...Budget) error {
	if ctx.Err() != nil {
		return wait.Cause(ctx)
	}
	for _, b := range budgets {
		if err := p.waitFor(ctx, hostName, b); err != nil {
			return err
		}
	}
	return nil
}

// waitFor waits for the turn in one budget.
func (p *Pacer) waitFor(ctx context.Context, hostName string, b Budget) error {
	for {
		t, pause := p.reserve(hostName, b)
		if t.bucket == nil {
			return nil
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			p.giveBack(t)
			return fmt.Errorf("the budget %q of %s allows the next request in %v, which is after its deadline: %w",
				b, hostName, pause.Round(time.Millisecond), context.DeadlineExceeded)
		}
		if err := p.sleep(ctx, b, pause); err != nil {
			p.giveBack(t)
			return err
		}
		if p.spend(t, pause) {
			return nil
		}
	}
}

// turn is the reserved moment of one request.
type turn struct {
	bucket        *bucket // nil: the budget has no limit
	generation    int
	before, after time.Time // of bucket.next
}

func (p *Pacer) reserve(hostName string, name Budget) (t turn, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.host(hostName).buckets[name]
	if b == nil {
		return turn{}, 0
	}
	now := time.Now()
	at := b.earliest(now)
	before, after := b.take(at, now)
	return turn{b, b.generation, before, after}, at.Sub(now)
}

// giveBack undoes a reservation. If a later request has reserved its turn already, the turn is lost instead: to move the
// others forward would send two of them at once.
func (p *Pacer) giveBack(t turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.bucket.next.Equal(t.after) && t.bucket.generation == t.generation {
		t.bucket.next = t.before
	}
}

// sleep waits for the turn.
func (p *Pacer) sleep(ctx context.Context, b Budget, d time.Duration) error {
	if p.config.OnWait != nil && d > time.Second {
		p.config.OnWait(b, d)
	}
	return wait.Sleep(ctx, d)
}

// spend counts the request, unless the server has refused another one meanwhile: then its turn is void.
func (p *Pacer) spend(t turn, waited time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.bucket.waited += waited
	if t.bucket.generation != t.generation {
		return false
	}
	t.bucket.requests++
	return true
}

// Refused notes that the server refused a request of the budget, and asked for a pause: all requests of the budget wait for
// its end, those that have a turn already too.
func (p *Pacer) Refused(hostName string, b Budget, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bucket := p.host(hostName).buckets[b]; bucket != nil {
		bucket.refuse(time.Now(), pause)
	}
}

// Raise sets the limit of a budget of one host, if it is higher than the one in force.
func (p *Pacer) Raise(hostName string, limits map[Budget]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.host(hostName)
	for name, limit := range limits {
		if b := h.buckets[name]; b != nil && limit > b.limit {
			b.limit = limit
		}
	}
}

// Usage reports on the budgets of one host.
func (p *Pacer) Usage(hostName string) map[Budget]Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	usage := map[Budget]Usage{}
	for name, b := range p.host(hostName).buckets {
		usage[name] = Usage{
			PerMinute: int(b.full()*b.factor(now)*60 + 0.5), Requests: b.requests, Waited: b.waited, Throttled: b.throttled,
		}
	}
	return usage
}
