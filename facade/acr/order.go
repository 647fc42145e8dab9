package acr

import "github.com/acrkit/acrkit/gen"

// Order of a list of tags or manifests.
type Order string

// The orders. Without one, tags come by name and manifests by digest.
const (
	OrderByDefault          Order = ""
	OrderByUpdateAscending  Order = "timeasc"  // the least recently updated first
	OrderByUpdateDescending Order = "timedesc" // the most recently updated first
)

// query checks the order and gives it as a query parameter.
func (o Order) query() (*gen.OrderBy, error) {
	switch o {
	case OrderByDefault:
		return nil, nil
	case OrderByUpdateAscending, OrderByUpdateDescending:
		return new(gen.OrderBy(o)), nil
	default:
		return nil, &ArgumentError{Kind: ErrInvalidArgument, Value: string(o), Reason: "there is no such order"}
	}
}

// orderedQuery is what the options of a list that has an order say in a request; of two bad ones the order is named.
func orderedQuery(size int, key string, o Order) (n *gen.PageSize, last *gen.LastItem, by *gen.OrderBy, err error) {
	n, last, err = listQuery(size, key)
	by, bad := o.query()
	if bad != nil {
		err = bad
	}
	return n, last, by, err
}

// keep is the query that links have to hold for a list to stay in order.
func (o Order) keep(values map[string][]string) map[string][]string {
	if o != OrderByDefault {
		values["orderby"] = []string{string(o)}
	}
	return values
}
