package acr

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/acrkit/acrkit/facade/internal/wire"
	"github.com/acrkit/acrkit/gen"
)

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

// page is one page as it came.
type page struct {
	reply
	next *url.URL // nil at the end
	err  error
}

// all is the list as a sequence. From the second page on the next page is asked for while the caller is busy with the one before it:
// who leaves in the middle of the first page has paid for one request, who leaves later for at most one that was not needed.
func (l list[T]) all(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if l.refuse != nil {
			yield(none, l.refuse)
			return
		}
		w := walk[T]{list: l, seen: make(map[uint64]struct{}), seed: maphash.MakeSeed()}
		ctx, cancel := context.WithCancel(ctx)
		defer w.settle()
		defer cancel()
		var items []T
		for {
			var err error
			if items, err = w.page(ctx, items[:0]); err != nil {
				yield(none, err)
				return
			}
			for _, v := range items {
				if !yield(v, nil) {
					return
				}
			}
			if w.next == nil {
				return
			}
		}
	}
}

// walk is the state of one pass through a list.
type walk[T any] struct {
	list[T]
	path    string   // of the first page: every other must have the same
	next    *url.URL // of the page to come; nil before the first and after the last
	pages   int
	seen    map[uint64]struct{} // hashes of the links followed
	seed    maphash.Seed
	buffers [2][]byte
	ahead   chan page // a page on its way, or nil
}

// page gives the entries of the next page.
func (w *walk[T]) page(ctx context.Context, into []T) ([]T, error) {
	at := w.next
	p := w.take(ctx)
	if p.err != nil {
		return into, p.err
	}
	w.pages++
	if err := w.follow(p.next); err != nil {
		return into, err
	}
	if w.next != nil && w.pages > 1 {
		w.ahead = make(chan page, 1)
		go func(at *url.URL, slot int, ahead chan<- page) { ahead <- w.fetch(ctx, at, slot) }(w.next, w.pages, w.ahead)
	}
	items, err := w.decode(p.reply, into)
	if errors.Is(err, errCutShort) {
		if p = w.fetch(ctx, at, w.pages-1); p.err != nil {
			return into, p.err
		}
		items, err = w.decode(p.reply, into)
	}
	if err != nil {
		return into, w.op.malformed(err)
	}
	return items, nil
}

// take waits for the page on its way, or fetches it.
func (w *walk[T]) take(ctx context.Context) page {
	if w.ahead == nil {
		return w.fetch(ctx, w.next, w.pages)
	}
	p := <-w.ahead // its request ends with ctx
	w.ahead = nil
	return p
}

// settle waits for a page on its way that nobody wants any more; its request has been cancelled.
func (w *walk[T]) settle() {
	if w.ahead != nil {
		<-w.ahead
	}
}

// fetch asks for the page at a link, or for the first; slot chooses a buffer that the page before it does not use.
func (w *walk[T]) fetch(ctx context.Context, at *url.URL, slot int) (p page) {
	edit := func(_ context.Context, r *http.Request) error {
		if at == nil {
			w.path = r.URL.Path
		} else {
			r.URL = at
		}
		return nil
	}
	buf := &w.buffers[slot%2]
	p.reply, p.err = w.client.read(ctx, w.op, w.name, maxPageSize, *buf,
		func(ctx context.Context) (*http.Response, error) { return w.first(ctx, edit) },
		func(resp *http.Response) (err error) {
			p.next, err = wire.NextLink(resp, w.client.login, w.path)
			return err
		})
	if p.err == nil {
		*buf = p.body
	}
	return p
}

// follow notes where the next page is, unless the list goes in circles or past its limit.
func (w *walk[T]) follow(next *url.URL) error {
	w.next = next
	if next == nil {
		return nil
	}
	query := next.Query()
	for key, values := range w.keep {
		if !query.Has(key) {
			next.RawQuery += "&" + url.Values{key: values}.Encode()
		}
	}
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

// pageSize checks the wished size of a page and gives it as a query parameter.
func pageSize(n int) (*gen.PageSize, error) {
	switch {
	case n < 0:
		return nil, &ArgumentError{Kind: ErrInvalidArgument, Value: strconv.Itoa(n), Reason: "a page size cannot be negative"}
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
	if len(key) > maxNameLength || !printable(key) {
		return nil, &ArgumentError{Kind: ErrInvalidArgument, Value: key, Reason: "After takes a name, tag or digest of the list"}
	}
	return &key, nil
}

// printable tells whether the text is of printable ASCII alone.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
