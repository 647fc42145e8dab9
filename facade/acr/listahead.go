package acr

import (
	"context"
	"iter"
	"net/url"
	"slices"

	"github.com/acrkit/acrkit/facade/internal/keys"
)

// ahead reads a list from several places at the same time. The walk is the list as the registry
// pages it. Guesses are pages requested ahead of the walk, each after an estimated key. The walk
// goes on from a guess only if the guess contains the last entry of the walk: what follows that
// entry there is what follows it in the list, however the registry sorts. In all other cases, also
// if a guess fails, the walk requests its next page, as it does without guesses. So a wrong
// estimate costs requests, never entries, and errors are those of the walk.
type ahead[T any] struct {
	walk    walk[T]
	items   []T         // the entries of the walk's last page
	last    string      // the key of the last entry so far
	guesses []*guess[T] // in order of their keys
	room    int         // how many guesses may be outstanding
	wasted  int         // guesses that nothing came of, since one was of use
	spare   []page[T]   // memory of pages that are done with
}

// page is one page of a list, with the memory to read another one into.
type page[T any] struct {
	items []T
	next  *url.URL
	buf   []byte
	err   error
}

// guess is a page that is requested ahead.
type guess[T any] struct {
	after  string // the key that it starts after
	cancel context.CancelFunc
	done   chan struct{}
	page   page[T] // valid when done is closed
	panic  any     // of the caller's code behind the request; valid when done is closed
}

// overlap is how far a guess starts before the end of the page before it, as a part of a page: pages
// that do not meet need a request more.
const overlap = 0.12

// ahead returns the list as a sequence, like all, with up to l.concurrency requests at a time.
func (l list[T]) ahead(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		a := ahead[T]{walk: l.walk(), room: 1}
		if l.even {
			a.room = l.concurrency
		}
		defer a.stop()
		var err error
		a.items, err = a.walk.page(ctx, nil)
		a.note()
		for fresh := a.items; ; fresh, err = a.advance(ctx) {
			for _, v := range fresh {
				if !yield(v, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, err)
			}
			if err != nil || a.walk.next == nil {
				return
			}
		}
	}
}

// advance returns the entries that follow those of the last page.
func (a *ahead[T]) advance(ctx context.Context) (fresh []T, err error) {
	a.room = min(2*a.room, a.walk.concurrency)
	a.plan(ctx)
	if g := a.reached(); g != nil {
		<-g.done
		i := a.meets(g)
		if i >= 0 {
			fresh, err = a.join(g, i)
		}
		a.drop(g)
		if i >= 0 {
			return fresh, err
		}
	}
	a.items, err = a.walk.page(ctx, a.items[:0])
	a.note()
	return a.items, err
}

// note stores the key of the last entry of the walk's last page.
func (a *ahead[T]) note() {
	if n := len(a.items); n > 0 {
		a.last = a.walk.key(&a.items[n-1])
	}
}

// plan requests pages ahead until there is no room for more.
func (a *ahead[T]) plan(ctx context.Context) {
	if a.wasted > 2*a.walk.concurrency || len(a.guesses) >= a.room {
		return
	}
	scale, ok := keys.Fit(len(a.items), func(i int) string { return a.walk.key(&a.items[i]) })
	if !ok {
		return
	}
	step := (1 - overlap) * float64(len(a.items))
	from := a.last
	if n := len(a.guesses); n > 0 {
		from = max(from, a.guesses[n-1].after)
	}
	for len(a.guesses) < a.room {
		// The first page that follows has a link already; it is requested in the place of a guess.
		if len(a.guesses) == a.room-1 && a.guesses[0].after > a.last || a.room == 1 {
			return
		}
		key, ok := scale.Beyond(from, step)
		if !ok {
			return
		}
		a.request(ctx, key)
		from = key
	}
}

// request begins to request the page after a key.
func (a *ahead[T]) request(ctx context.Context, key string) {
	ctx, cancel := context.WithCancel(ctx) //nolint:gosec // drop and stop call it
	g := &guess[T]{after: key, cancel: cancel, done: make(chan struct{})}
	if n := len(a.spare); n > 0 {
		g.page, a.spare = a.spare[n-1], a.spare[:n-1]
	}
	a.guesses = append(a.guesses, g)
	w := a.walk.list.walk()
	w.after, w.buf = key, g.page.buf
	go func() {
		defer close(g.done)
		defer func() { g.panic = recover() }()
		g.page.items, g.page.err = w.page(ctx, g.page.items[:0])
		g.page.next, g.page.buf = w.next, w.buf
	}()
}

// reached returns the guess that leads farthest of those that start before the end of the walk's
// last page. The guesses before it are of no more use.
func (a *ahead[T]) reached() *guess[T] {
	n := 0
	for n < len(a.guesses) && a.guesses[n].after < a.last {
		n++
	}
	if n == 0 {
		return nil
	}
	for _, g := range slices.Clone(a.guesses[:n-1]) {
		a.wasted++
		a.drop(g)
	}
	return a.guesses[0]
}

// meets returns where the last entry of the walk is in a guess. It returns -1 if it is not there, or
// if nothing follows it there.
func (a *ahead[T]) meets(g *guess[T]) int {
	a.wasted++
	if g.page.err != nil {
		a.wasted += a.walk.concurrency // no more than three failures are worth it
		return -1
	}
	for i := len(g.page.items) - 2; i >= 0; i-- {
		if a.walk.key(&g.page.items[i]) == a.last {
			return i
		}
	}
	return -1
}

// join continues the walk with the entries of a guess after the one at i.
func (a *ahead[T]) join(g *guess[T], i int) (fresh []T, err error) {
	a.items, g.page.items = g.page.items, a.items
	a.wasted = 0
	a.walk.pages++
	a.note()
	return a.items[i+1:], a.walk.follow(g.page.next)
}

// drop ends a guess and keeps its memory.
func (a *ahead[T]) drop(g *guess[T]) {
	g.cancel()
	<-g.done
	if g.panic != nil {
		panic(g.panic) // where the caller can recover it
	}
	a.spare = append(a.spare, page[T]{items: g.page.items, buf: g.page.buf})
	a.guesses = slices.DeleteFunc(a.guesses, func(o *guess[T]) bool { return o == g })
}

// stop ends all guesses.
func (a *ahead[T]) stop() {
	for _, g := range a.guesses {
		g.cancel()
	}
	for _, g := range a.guesses {
		<-g.done
	}
}

// ownName is the key of a list of names.
func ownName(name *string) string { return *name }
