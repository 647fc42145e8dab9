package acrtest

// Budget is one of the five kinds of requests that the registry counts apart.
type Budget string

// The five budgets. A request for referrers counts as a read as well.
const (
	ReadBudget      Budget = "read"
	WriteBudget     Budget = "write"
	DeleteBudget    Budget = "delete"
	ReferrersBudget Budget = "referrers"
	OAuthBudget     Budget = "oauth"
)
