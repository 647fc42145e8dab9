package retry

import (
	"sync"
	"time"
)

const (
	budgetCap   = 10.0
	budgetShare = 0.1              // one retry per ten calls that went well
	budgetEvery = 10 * time.Second // and one in this time, so that a client that calls rarely gets over an outage
)

// Budget keeps the calls of one client from multiplying the load on a server that is down: ten retries are free, then one per ten calls that went well. A retry the
// server asked for by Retry-After costs nothing: it is the server who schedules it. Safe for concurrent use.
type Budget struct {
	mu    sync.Mutex
	left  float64
	since time.Time
}

// NewBudget returns a full budget.
func NewBudget() *Budget { return &Budget{left: budgetCap} }

// earn adds a share for a call that went well.
func (b *Budget) earn() {
	b.mu.Lock()
	b.left = min(b.left+budgetShare, budgetCap)
	b.mu.Unlock()
}

// spend takes one retry, if there is one.
func (b *Budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !b.since.IsZero() {
		whole := now.Sub(b.since).Truncate(budgetEvery)
		b.left = min(b.left+whole.Seconds()/budgetEvery.Seconds(), budgetCap)
		b.since = b.since.Add(whole)
	}
	if b.left < 1 {
		return false
	}
	if b.left == budgetCap || b.since.IsZero() {
		b.since = now
	}
	b.left--
	return true
}
