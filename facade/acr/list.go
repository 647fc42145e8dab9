package acr

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

// ListOptions are the choices of a list of names.
type ListOptions struct {
	PageSize int    // entries per request, at most 1000; 0: 1000
	After    string // the list starts behind this name, which need not exist; empty: at its beginning
}

// query checks the options and gives them as query parameters.
func (o *ListOptions) query() (*gen.PageSize, *gen.LastItem, error) {
	if o == nil {
		o = &ListOptions{}
	}
	return listQuery(o.PageSize, o.After)
}

func listQuery(size int, key string) (*gen.PageSize, *gen.LastItem, error) {
	n, err := pageSize(size)
	if err != nil {
		return nil, nil, err
	}
	last, err := after(key)
	return n, last, err
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

// pageSize checks the wished size of a page and gives it as a query parameter.
func pageSize(n int) (*gen.PageSize, error) {
	switch {
	case n < 0:
		return nil, notNegative("PageSize", int64(n))
	case n == 0:
		n = defaultPageSize
	}
	return new(gen.PageSize(min(n, maxPageEntries))), nil
}

// after checks a key to start behind and gives it as a query parameter.
func after(key string) (*gen.LastItem, error) {
	if key == "" {
		return nil, nil
	}
	if len(key) > maxNameLength || !wire.IsVisible(key) {
		return nil, badArgument("After", key, "not a name, tag or digest of the list")
	}
	return &key, nil
}

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
		return nil, badArgument("Order", string(o), "unknown order")
	}
}

// keep is the query that links have to hold for a list to stay in order.
func (o Order) keep(values map[string][]string) map[string][]string {
	if o != OrderByDefault {
		values["orderby"] = []string{string(o)}
	}
	return values
}

// list is what differs between lists; its walk is the same for all. The registry decides the end: a list goes on if and only if a page
// has a Link to the next, be that page short or empty.
type list[T any] struct {
	client *Client
	op     *operation
	name   string // of the repository
	refuse error  // an argument found bad when the list was asked for
	first  func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error)
	decode decoder[T]
	keep   url.Values // what every page's query has to hold, though a Link may have lost it
}

// all is the list as a sequence. A page is asked for when the caller wants its first entry: nothing is fetched ahead, which would gain
// nothing (decoding a page takes half a millisecond) and cost those who leave early a request.
func (l list[T]) all(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if l.refuse != nil {
			yield(none, l.refuse)
			return
		}
		w := walk[T]{list: l, seen: make(map[uint64]struct{}), seed: maphash.MakeSeed()}
		var items []T
		for {
			var err error
			items, err = w.page(ctx, items[:0])
			for _, v := range items {
				if !yield(v, nil) {
					return
				}
			}
			if err != nil {
				yield(none, err)
			}
			if err != nil || w.next == nil {
				return
			}
		}
	}
}

// walk is the state of one pass through a list.
type walk[T any] struct {
	list[T]
	path  string   // of the first page: every other must have the same
	next  *url.URL // of the page to come; nil before the first and after the last
	pages int
	seen  map[uint64]struct{} // hashes of the links followed
	seed  maphash.Seed
	buf   []byte // of the page before, used again
}

// page gives the entries of the next page; one that is cut short is asked for once more. Where the list cannot go on behind it, because it
// would go in circles or too far, the entries come with the error.
func (w *walk[T]) page(ctx context.Context, into []T) ([]T, error) {
	for again := false; ; again = true {
		got, next, err := w.fetch(ctx, w.next)
		if err != nil {
			return nil, err
		}
		items, err := w.decode(got, into)
		switch {
		case err == nil:
			w.pages++
			return items, w.follow(next)
		case again || !errors.Is(err, errCutShort):
			return nil, w.op.malformed(err)
		}
	}
}

// fetch asks for the page at a link, or for the first.
func (w *walk[T]) fetch(ctx context.Context, at *url.URL) (got reply, next *url.URL, err error) {
	edit := func(_ context.Context, r *http.Request) error { //nolint:unparam // an editor of gen
		if at == nil {
			w.path = r.URL.Path
		} else {
			r.URL = at
		}
		return nil
	}
	got, err = w.client.read(ctx, w.op, w.name, maxPageSize, w.buf,
		func(ctx context.Context) (*http.Response, error) { return w.first(ctx, edit) },
		func(resp *http.Response) (err error) {
			next, err = wire.NextLink(resp, w.client.login, w.path)
			return err
		})
	if err == nil {
		w.buf = got.body
	}
	return got, next, err
}

// follow notes where the next page is, unless the list goes in circles or past its limit.
func (w *walk[T]) follow(next *url.URL) error {
	w.next = next
	if next == nil {
		return nil
	}
	next.RawQuery = keepQuery(next.RawQuery, w.keep)
	if w.pages >= w.client.options.maxPages() {
		return w.op.fail(contradicts(ErrListEndless, "it goes on after %d pages (ClientOptions.MaxPages)", w.pages))
	}
	mark := maphash.String(w.seed, next.RequestURI())
	if _, seen := w.seen[mark]; seen {
		return w.op.fail(contradicts(ErrListEndless, "page %d leads back to an earlier page", w.pages))
	}
	w.seen[mark] = struct{}{}
	return nil
}

// keepQuery puts back what a link has lost of the query, or left without a value: links of ACR have an orderby whatever the order. All else
// stays as it is.
func keepQuery(query string, keep url.Values) string {
	pairs := strings.Split(query, "&")
	for _, key := range slices.Sorted(maps.Keys(keep)) {
		pairs = slices.DeleteFunc(pairs, func(pair string) bool { return pair == "" || pair == key || pair == key+"=" })
		if has, _ := url.ParseQuery(strings.Join(pairs, "&")); !has.Has(key) {
			pairs = append(pairs, url.Values{key: keep[key]}.Encode())
		}
	}
	return strings.Join(pairs, "&")
}

// Collect gathers a list into a slice, to its end or first error; what came before the error is returned with it. It holds the whole
// list in memory: range over the sequence itself where the list may be long.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
