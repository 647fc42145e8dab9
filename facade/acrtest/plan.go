package acrtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// plan is what a script does to one exchange.
type plan struct {
	names   []string
	altered bool // the reply is not what the registry would say, or says what is not so

	delay, delayReply time.Duration
	stall             bool
	informational     int // how many
	informationalCode int

	status      int // answered in place of the operation; 0 lets the operation be done
	body        []byte
	contentType string
	early       bool

	dropReply      bool
	resetRequestAt int64 // -1 is never, here and below
	stallRequestAt int64
	acceptOnly     int64
	resetAt        int64
	stallAt        int64
	truncateAt     int64
	truncateClean  bool
	flip           bool
	flipAt         int64

	replyStatus int
	replaceBody bool
	replyBody   []byte
	edits       []func(http.Header)
	endless     bool
	rate        int64
	closeIdle   bool
	ignoreRange bool
	revoke      bool
	lag         bool
	raw         []byte
	do          func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newPlan() plan {
	return plan{resetRequestAt: -1, stallRequestAt: -1, acceptOnly: -1, resetAt: -1, stallAt: -1, truncateAt: -1}
}

// clone gives each exchange a plan of its own.
func (p plan) clone() *plan {
	p.names = slices.Clone(p.names)
	p.edits = slices.Clone(p.edits)
	return &p
}

func (p *plan) text() string { return strings.Join(p.names, ", ") }
