package acr

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/acrkit/acrkit/facade/internal/pace"
	"github.com/acrkit/acrkit/facade/internal/retry"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// Budget is a kind of request that a registry counts separately. Each has a limit per minute and
// identity; for token requests the limit is per minute and registry. See
// https://learn.microsoft.com/azure/container-registry/container-registry-skus.
type Budget string

// The budgets, with their limits per minute. A list of referrers counts against BudgetReferrers and
// BudgetRead.
const (
	BudgetRead      Budget = "read"      // GET and HEAD: 5,000 (Premium: 10,000)
	BudgetWrite     Budget = "write"     // PUT, PATCH and POST: 1,000 (Premium: 2,000)
	BudgetDelete    Budget = "delete"    // DELETE: 500 (Premium: 2,000)
	BudgetReferrers Budget = "referrers" // lists of referrers: 250 (Premium: 1,000)
	BudgetSignIn    Budget = "signin"    // token requests: 10,000 (Premium: 20,000)
)

// Tier is the service tier of a registry, which decides its budgets.
type Tier string

// The tiers. Basic and Standard have the same budgets.
const (
	TierUnknown  Tier = "" // found out from the registry's responses
	TierBasic    Tier = "Basic"
	TierStandard Tier = "Standard"
	TierPremium  Tier = "Premium"
)

// GovernorOptions are the options of [NewGovernor]. The zero value is right for a job that has an
// identity of its own.
type GovernorOptions struct {
	// Tier is the registry's service tier. Default: the Governor starts with the budgets of
	// Standard. It changes to those of Premium when a response of the registry states a higher
	// limit than Standard has, unless PerMinute is set.
	Tier Tier

	// Share is the part of each budget to use, above 0 and at most 1. Processes that use one
	// identity at the same time spend the same budgets: give two of them 0.475 each. All anonymous
	// clients are one identity, and all clients that sign in as the admin user are another one.
	// Default: 0.95.
	Share float64

	// PerMinute replaces budgets of the tier, in requests per minute: for a registry with other
	// limits, or to send fewer requests. Default: the budgets of the tier.
	PerMinute map[Budget]int

	// Concurrency is the maximum number of requests to one registry at the same time. A request
	// counts from before the Governor delays it until its response begins. Token requests do not
	// count. Default: no limit.
	Concurrency int

	// BytesPerSecond limits the bytes of request and response bodies that all clients with this
	// Governor together send and receive in a second. It must be at least 1024. Connections share
	// it evenly, so a download over ten connections gets ten times as much as an upload over one.
	// It does not limit token requests, and has no effect on clients that use the Governor as a
	// policy. Default: no limit.
	BytesPerSecond int64

	// OnWait, if not nil, is called before each wait of more than a second, in the goroutine that
	// waits. Default: nil.
	OnWait func(budget Budget, wait time.Duration)
}

// BudgetUsage is the state of a budget.
type BudgetUsage struct {
	PerMinute int           // the budget times Share; less for a while after a 429
	Requests  int64         // requests that were sent
	Waited    time.Duration // sum of the waits of all requests
	Throttled int64         // responses with status code 429; if processes share an identity, see GovernorOptions.Share
}

// Governor keeps requests within the published budgets of a registry, so that the registry does not
// refuse any. Set it in [ClientOptions], or add it to PerRetryPolicies of another azcore client.
// One Governor serves any number of clients and registries; budgets are counted by host. It is safe
// for concurrent use, starts no goroutine and need not be closed.
//
// If the registry still refuses a request with status code 429, all requests of that budget wait
// for the time in Retry-After. The pace then falls to 70 percent of what it was. Every ten seconds
// it rises again, by 5 percent of the full pace.
type Governor struct {
	pacer *pace.Pacer
	rate  *pace.Rate
	fixed bool // the tier is known, or the budgets are the caller's: responses do not raise them
}

// The published budgets in requests a minute and identity, and the highest figures that Standard
// registries state as the remaining calls per second of token requests and of deletions.
var (
	standardBudgets = map[Budget]int{BudgetRead: 5000, BudgetWrite: 1000, BudgetDelete: 500, BudgetReferrers: 250, BudgetSignIn: 10_000}
	premiumBudgets  = map[Budget]int{BudgetRead: 10_000, BudgetWrite: 2000, BudgetDelete: 2000, BudgetReferrers: 1000, BudgetSignIn: 20_000}
)

const (
	standardSignIns = 10_000.0 / 60
	standardDeletes = 8.0
	defaultShare    = 0.95
	longestPause    = time.Minute     // a budget is whole again after a minute
	defaultPause    = 2 * time.Second // after a 429 that asks for no pause
	leastBytes      = 1 << 10         // a second; whoever asks for less has another unit in mind
)

// NewGovernor returns a Governor. It sends no request.
//
// Errors:
//   - [ErrInvalidArgument] if Tier, Share, Concurrency, BytesPerSecond or a budget is out of range
func NewGovernor(opts *GovernorOptions) (*Governor, error) {
	o := given(opts)
	limits := map[pace.Budget]int{}
	switch o.Tier {
	case TierPremium:
		addBudgets(limits, premiumBudgets)
	case TierUnknown, TierBasic, TierStandard:
		addBudgets(limits, standardBudgets)
	default:
		return nil, badArgument("Tier", string(o.Tier), "it must be Basic, Standard, Premium or empty")
	}
	for b, n := range o.PerMinute {
		if _, known := limits[pace.Budget(b)]; !known || n <= 0 {
			return nil, badArgument("PerMinute", fmt.Sprintf("%s: %d", b, n), "it may contain budgets of this package, and at least 1 for each")
		}
	}
	addBudgets(limits, o.PerMinute)
	share := o.Share
	if share == 0 {
		share = defaultShare
	}
	if !(share > 0 && share <= 1) { // NaN is neither
		return nil, badArgument("Share", fmt.Sprint(share), "it must be above 0 and at most 1")
	}
	if o.Concurrency < 0 {
		return nil, notNegative("Concurrency", int64(o.Concurrency))
	}
	if o.BytesPerSecond != 0 && o.BytesPerSecond < leastBytes {
		return nil, badArgument("BytesPerSecond", strconv.FormatInt(o.BytesPerSecond, 10), "it must be 0 or at least 1024; it is counted in bytes")
	}
	config := pace.Config{Limits: limits, Share: share, Concurrency: o.Concurrency}
	if o.OnWait != nil {
		config.OnWait = func(b pace.Budget, d time.Duration) { o.OnWait(Budget(b), d) }
	}
	return &Governor{pacer: pace.New(config), rate: pace.NewRate(o.BytesPerSecond), fixed: o.Tier != TierUnknown || len(o.PerMinute) > 0}, nil
}

func addBudgets(limits map[pace.Budget]int, budgets map[Budget]int) {
	for b, n := range budgets {
		limits[pace.Budget(b)] = n
	}
}

// Usage returns the state of each budget of a registry host, such as myregistry.azurecr.io.
func (g *Governor) Usage(host string) map[Budget]BudgetUsage {
	usage := map[Budget]BudgetUsage{}
	if g.bad() != nil {
		return usage
	}
	for b, u := range g.pacer.Usage(host) {
		usage[Budget(b)] = BudgetUsage(u)
	}
	return usage
}

// Do waits until the budgets allow the request, and sends it. It implements policy.Policy for other
// azcore clients. A [Client] gets a Governor in its options instead; then the wait does not count
// against Retry.TryTimeout.
//
// Errors:
//   - the error of the context if it ends during the wait
//   - [context.DeadlineExceeded], at once, if the wait would end after the context's deadline
func (g *Governor) Do(req *policy.Request) (*http.Response, error) {
	if err := g.bad(); err != nil {
		return nil, err
	}
	after, err := g.gate(req.Raw())
	if err != nil {
		return nil, err
	}
	resp, err := req.Next()
	after(resp, err)
	return resp, err
}

// bad returns an error for a governor that was not made by NewGovernor.
func (g *Governor) bad() error {
	if g == nil || g.pacer == nil {
		return unmade("Governor")
	}
	return nil
}

// gate waits for the turn of a request. It is a retry.Gate.
func (g *Governor) gate(r *http.Request) (after func(*http.Response, error), err error) {
	budgets := budgetsOf(r)
	leave := func() {}
	if budgets[0] != pace.Budget(BudgetSignIn) { // a token request is sent within another request: it would wait for that one
		if leave, err = g.pacer.Enter(r.Context(), r.URL.Host); err != nil {
			return nil, err
		}
	}
	defer func() {
		if after == nil { // OnWait may have panicked
			leave()
		}
	}()
	if err := g.pacer.Wait(r.Context(), r.URL.Host, budgets...); err != nil {
		return nil, err
	}
	return func(resp *http.Response, _ error) {
		leave()
		if resp != nil {
			g.learn(r.URL.Host, budgets, resp)
		}
	}, nil
}

// budgetsOf returns the budgets that a request counts against, the scarcest first.
func budgetsOf(r *http.Request) []pace.Budget {
	switch {
	case strings.HasPrefix(r.URL.Path, "/oauth2/"):
		return []pace.Budget{pace.Budget(BudgetSignIn)}
	case r.Method == http.MethodDelete:
		return []pace.Budget{pace.Budget(BudgetDelete)}
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions:
		return []pace.Budget{pace.Budget(BudgetWrite)}
	case strings.HasPrefix(r.URL.Path, "/v2/") && strings.Contains(r.URL.Path, "/referrers/"):
		return []pace.Budget{pace.Budget(BudgetReferrers), pace.Budget(BudgetRead)}
	default:
		return []pace.Budget{pace.Budget(BudgetRead)}
	}
}

// learn takes what a response says of the budgets: a refusal, or figures that only a Premium
// registry states.
func (g *Governor) learn(host string, budgets []pace.Budget, resp *http.Response) {
	if resp.StatusCode == http.StatusTooManyRequests {
		pause, asked := wire.RetryAfter(resp.Header, time.Now())
		if !asked {
			pause = defaultPause
		}
		g.pacer.Refused(host, budgets[0], min(max(pause, 0), longestPause))
		return
	}
	if g.fixed {
		return
	}
	if left := remaining(resp.Header); left > standardSignIns && budgets[0] == pace.Budget(BudgetSignIn) ||
		left > standardDeletes && budgets[0] == pace.Budget(BudgetDelete) {
		limits := map[pace.Budget]int{}
		addBudgets(limits, premiumBudgets)
		g.pacer.Raise(host, limits)
	}
}

// remaining returns the number of calls per second that a registry says are left, 0 if it does not
// say.
func remaining(h http.Header) float64 {
	for key, values := range h { // the registry writes the name in lower case too, which Header.Get does not find
		if strings.EqualFold(key, "X-Ms-Ratelimit-Remaining-Calls-Per-Second") && len(values) > 0 {
			left, err := strconv.ParseFloat(values[0], 64)
			if err == nil {
				return left
			}
		}
	}
	return 0
}

// rate returns the limit of the client's bytes, nil without one.
func (o *ClientOptions) rate() *pace.Rate {
	if o.Governor == nil {
		return nil
	}
	return o.Governor.rate
}

// gate returns the gate of the client's requests, nil without a Governor.
func (c *Client) gate() retry.Gate {
	if c.options.Governor == nil {
		return nil
	}
	return c.options.Governor.gate
}
