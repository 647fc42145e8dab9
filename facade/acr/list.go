package acr

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

const (
	maxPageSize     = 8 << 20 // how much of a page is read into memory, in bytes
	defaultMaxPages = 10_000
	defaultPageSize = 1000      // entries; the maximum of the registry
	maxPageEntries  = 1_000_000 // larger page sizes are cut to this; the registry cuts them further
)

// ListOptions are the options of a list of names.
type ListOptions struct {
	// PageSize is the number of entries per request. Registries return at most 1000. Default: 1000.
	PageSize int
	// After starts the list after this name, which need not exist. Default: from the beginning.
	After string
	// Concurrency is that of [ListManifestsOptions].
	Concurrency int
}

// query checks the options and returns them as query parameters.
func (o ListOptions) query() (*gen.PageSize, *gen.LastItem, error) {
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

// pageSize checks a page size and returns it as a query parameter.
func pageSize(n int) (*gen.PageSize, error) {
	switch {
	case n < 0:
		return nil, notNegative("PageSize", int64(n))
	case n == 0:
		n = defaultPageSize
	}
	return new(gen.PageSize(min(n, maxPageEntries))), nil
}

// after checks the key that a list starts after and returns it as a query parameter.
func after(key string) (*gen.LastItem, error) {
	if key == "" {
		return nil, nil
	}
	if len(key) > maxNameLength || !wire.IsVisible(key) {
		return nil, badArgument("After", key, "not a name, tag or digest of the list")
	}
	return &key, nil
}

// Order is the sort order of a list.
type Order string

// The sort orders. The default order of tags is by name, that of manifests by digest.
const (
	OrderByDefault          Order = ""
	OrderByUpdateAscending  Order = "timeasc"  // least recently updated first
	OrderByUpdateDescending Order = "timedesc" // most recently updated first
)

// query checks the order and returns it as a query parameter.
func (o Order) query() (*gen.OrderBy, error) {
	switch o {
	case OrderByDefault:
		return nil, nil
	case OrderByUpdateAscending, OrderByUpdateDescending:
		return new(gen.OrderBy(o)), nil
	default:
		return nil, badArgument("Order", string(o), "unknown order: use OrderByUpdateAscending or OrderByUpdateDescending")
	}
}

// keep adds the query parameters that every page needs for the list to stay in order.
func (o Order) keep(values map[string][]string) map[string][]string {
	if o != OrderByDefault {
		values["orderby"] = []string{string(o)}
	}
	return values
}

// list is what differs between lists. The registry decides where a list ends: there is a next page
// if and only if the response has a Link, even if the page is short or empty.
type list[T any] struct {
	client *Client
	op     *operation
	name   string // of the repository
	refuse error  // an invalid argument, reported by the first iteration
	first  func(ctx context.Context, editors ...gen.RequestEditorFn) (*http.Response, error)
	decode decoder[T]
	keep   url.Values // query parameters that every page needs; links may lack them

	key         func(*T) string // of an entry, as the registry sorts the list in its default order
	even        bool            // the keys are digests, which are spread evenly
	concurrency int             // how many pages are requested at the same time; 0 means 1
}

// orderedQuery holds the query parameters of the first page of a list that has an order.
type orderedQuery struct {
	n    *gen.PageSize
	last *gen.LastItem
	by   *gen.OrderBy
}

// orderedList returns a list of the repository that has an order, without its first request, and the
// query parameters of that request.
func orderedList[T any](r *Repository, op *operation, decode decoder[T], key func(*T) string, o ListManifestsOptions) (list[T], orderedQuery) {
	l := list[T]{client: r.Client(), op: op, name: r.Name(), decode: decode, key: key, concurrency: o.Concurrency}
	l.keep = o.Order.keep(map[string][]string{})
	n, last, badQuery := listQuery(o.PageSize, o.After)
	by, badOrder := o.Order.query()
	l.refuse = cmp.Or(r.bad(), badOrder, badQuery) // the handle's error is the first to mend
	return l, orderedQuery{n, last, by}
}

// checkConcurrency checks how many requests a list may send at the same time.
func checkConcurrency(n int) error {
	switch {
	case n < 0:
		return notNegative("Concurrency", int64(n))
	case n > maxConcurrency:
		return badArgument("Concurrency", strconv.Itoa(n), "it must be at most 100")
	}
	return nil
}

// all returns the list as a sequence. Without concurrency, a page is requested when the caller wants
// its first entry. To request only the next page ahead would gain nothing (decoding a page takes half
// a millisecond), and would cost a request if the caller stops early.
func (l list[T]) all(ctx context.Context) iter.Seq2[T, error] {
	if l.refuse == nil {
		l.refuse = checkConcurrency(l.concurrency)
	}
	if _, ordered := l.keep["orderby"]; l.refuse == nil && l.concurrency > 1 && !ordered {
		return l.ahead(ctx)
	}
	return func(yield func(T, error) bool) {
		var none T
		if l.refuse != nil {
			yield(none, l.refuse)
			return
		}
		w := l.walk()
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

// walk is the state of one iteration over a list.
type walk[T any] struct {
	list[T]
	after string   // where the first page starts, if not where the list does
	path  string   // of the first page; links must have the same
	next  *url.URL // of the next page; nil before the first and after the last
	pages int
	seen  map[uint64]struct{} // hashes of the links followed
	seed  maphash.Seed
	buf   []byte // of the previous page, reused
}

// walk returns the state of a new iteration.
func (l list[T]) walk() walk[T] {
	return walk[T]{list: l, seen: make(map[uint64]struct{}), seed: maphash.MakeSeed()}
}

// page returns the entries of the next page. If the list leads back or has too many pages, the
// entries are returned with the error.
func (w *walk[T]) page(ctx context.Context, into []T) (items []T, err error) {
	at := w.next
	edit := func(_ context.Context, r *http.Request) error { //nolint:unparam // an editor of gen
		if at != nil {
			r.URL = at
			return nil
		}
		w.path = r.URL.Path
		if w.after != "" {
			query := r.URL.Query()
			query.Set("last", w.after)
			r.URL.RawQuery = query.Encode()
		}
		return nil
	}
	var next *url.URL
	_, err = w.client.read(ctx, question{
		op: w.op, name: w.name, limit: maxPageSize, buf: w.buf,
		send: func(ctx context.Context) (*http.Response, error) { return w.first(ctx, edit) },
		look: func(resp *http.Response) (err error) {
			next, err = wire.NextLink(resp, w.client.serving(resp).login, w.path)
			if next != nil {
				next.Host = w.client.login.Host // the next page may come from another endpoint
			}
			return err
		},
		use: func(got reply) (again bool, err error) {
			w.buf = got.body
			if items, err = w.decode(got, into); err != nil {
				return errors.Is(err, errCutShort), w.op.malformed(&got, err)
			}
			return false, nil
		},
	})
	if err != nil {
		return nil, err
	}
	w.pages++
	return items, w.follow(next)
}

// follow stores the link to the next page. It fails if the list leads back or has too many pages.
func (w *walk[T]) follow(next *url.URL) error {
	w.next = next
	if next == nil {
		return nil
	}
	next.RawQuery = keepQuery(next.RawQuery, w.keep)
	if w.pages >= w.client.options.maxPages() {
		return w.op.fail(contradicts(ErrListEndless, "more than %d pages (ClientOptions.MaxPages)", w.pages))
	}
	mark := maphash.String(w.seed, next.RequestURI())
	if _, seen := w.seen[mark]; seen {
		return w.op.fail(contradicts(ErrListEndless, "page %d leads back to an earlier page", w.pages))
	}
	w.seen[mark] = struct{}{}
	return nil
}

// maxPages returns ClientOptions.MaxPages or its default.
func (o *ClientOptions) maxPages() int {
	if o.MaxPages > 0 {
		return o.MaxPages
	}
	return defaultMaxPages
}

// keepQuery restores query parameters that a link has lost, or has without a value: links of ACR
// always have an orderby. The rest stays as it is.
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

// Collect reads a list to its end, or to its first error, and returns the entries as a slice. With
// an error it returns the entries before it. All entries are held in memory; range over long lists
// instead.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	if seq == nil {
		return nil, badArgument("seq", "", "it is nil")
	}
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
