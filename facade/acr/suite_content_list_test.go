package acr_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("F63", "F64", "F65", "F66", "F67")

// pagedList is a list of some pages.
type pagedList struct {
	method, op string
	key        string // of the entries in a page
	seed       func(f *fixture, n int)
	run        func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error]
}

// pagedLists are all that can be gone on with behind an entry.
var pagedLists = []pagedList{
	{"Repository.Tags", "ListTags", "tags", seedTags, func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error] {
		return named1(f.repository().Tags(ctx, &acr.ListTagsOptions{PageSize: size, After: after}), func(t acr.TagProperties) string { return t.Name })
	}},
	{"Repository.TagNames", "ListTagNames", "tags", seedTags, func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error] {
		return f.repository().TagNames(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
	{
		"Repository.Manifests", "ListManifests", "manifests", func(f *fixture, n int) { f.srv.SeedManifests(f.t, f.name, n) },
		func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error] {
			return named1(f.repository().Manifests(ctx, &acr.ListManifestsOptions{PageSize: size, After: after}), func(m acr.ManifestProperties) string { return string(m.Digest) })
		},
	},
	{"Client.Repositories", "ListRepositories", "repositories", seedRepositories, func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error] {
		return f.client.Repositories(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
	{"Client.RepositoryNames", "ListRepositoryNames", "repositories", seedRepositories, func(ctx context.Context, f *fixture, size int, after string) iter.Seq2[string, error] {
		return f.client.RepositoryNames(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
}

func seedTags(f *fixture, n int) { f.srv.SeedTags(f.t, f.name, n) }

func seedRepositories(f *fixture, n int) {
	for i := range n {
		f.srv.SeedImage(f.t, fmt.Sprintf("%s/%03d:v1", f.name, i))
	}
}

// named1 is a list of names.
func named1[T any](seq iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for v, err := range seq {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(name(v), nil) {
				return
			}
		}
	}
}

// listing is one list in a registry of its own.
type listing struct {
	*fixture

	list pagedList
	all  []string // what it has
}

// listings runs test for each list of some 20 entries.
func listings(t *testing.T, test func(l *listing), opts ...acrtest.Option) {
	t.Helper()
	for _, p := range pagedLists {
		t.Run(p.method, func(t *testing.T) {
			bubble(t, func(w *world) {
				l := &listing{fixture: w.fixture(call{method: p.method, kind: listCall, op: p.op}), list: p}
				p.seed(l.fixture, 20)
				all, err := acr.Collect(p.run(l.ctx, l.fixture, 0, ""))
				if l.mustWork(err); len(all) < 20 || !slices.IsSorted(all) {
					l.errorf("%d entries before anything goes wrong", len(all))
				}
				l.all = all
				l.client = l.newClient()
				l.srv.Ledger().Reset()
				test(l)
			}, opts...)
		})
	}
}

// collect lists in pages of a size.
func (l *listing) collect(size int) ([]string, error) {
	return acr.Collect(l.list.run(l.ctx, l.fixture, size, ""))
}

// same demands the entries.
func (l *listing) same(got, want []string) {
	l.t.Helper()
	if !slices.Equal(got, want) {
		l.errorf("got %d entries %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

// TestSuiteLists: what can come between the pages of a list.
func TestSuiteLists(t *testing.T) {
	t.Parallel()
	row(t, "F63 empty page with more behind it", survived, func(t *testing.T) {
		for _, body := range []string{`{"KEY":[]}`, `{"KEY":null}`, `{}`, `{"registry":"x"}`} {
			listings(t, func(l *listing) {
				l.srv.On(l.op()).Nth(3).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					q := r.URL.Query()
					q.Set("n", "2") // another link, to the same entries
					w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", path.Clean(r.URL.Path), q.Encode()))
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(strings.ReplaceAll(body, "KEY", l.list.key))) // the caller may be gone
				})
				got, err := l.collect(1)
				l.mustWork(err)
				l.same(got, l.all)
			})
		}
		listings(t, func(l *listing) { // at the end
			got, err := l.collect(1)
			l.mustWork(err)
			l.same(got, l.all)
			if n := l.srv.Ledger().Count(l.op()); n != len(l.all)+1 {
				l.errorf("%d requests for %d pages and an empty one", n, len(l.all))
			}
		}, acrtest.WithTrailingEmptyPage())
	})
	row(t, "F64 page cut short with status 200", survived, func(t *testing.T) {
		cuts := map[string]func(*acrtest.Fault){
			"a clean end": func(f *acrtest.Fault) { f.TruncateClean(20) }, "FIN": func(f *acrtest.Fault) { f.Truncate(20) }, "reset": func(f *acrtest.Fault) { f.ResetAfter(20) },
			"nothing": func(f *acrtest.Fault) { f.TruncateClean(0) }, "a length": func(f *acrtest.Fault) { f.ContentLength(15) },
		}
		for name, cut := range cuts {
			listings(t, func(l *listing) {
				l.note = name
				cut(l.srv.On(l.op()).Nth(3))
				got, err := l.collect(2)
				l.mustWork(err)
				l.same(got, l.all)
				l.atMost((len(l.all)+1)/2+1, l.op())
			})
			listings(t, func(l *listing) { // always
				l.note = name
				cut(l.srv.On(l.op()).From(3))
				began := time.Now()
				got, err := l.collect(2)
				if err == nil || time.Since(began) > time.Minute {
					l.errorf("%v after %v", err, time.Since(began))
				}
				if name == "a clean end" || name == "nothing" {
					l.mustFail(err, acr.ErrMalformedReply)
				}
				l.same(got, l.all[:4])
				l.atMost(2+2*5, l.op())
			})
		}
		bubble(t, func(w *world) { // replies with one thing
			w.over(callsOf(listCall, readCall), func(f *fixture) {
				if strings.HasPrefix(f.call.op, "Head") {
					return
				}
				f.srv.On(f.call.op).Nth(1).TruncateClean(20)
				f.mustWork(f.run())
				f.srv.ClearFaults()
				f.srv.On(f.call.op).Always().TruncateClean(20)
				f.mustFail(f.run())
			})
		})
	})
	row(t, "F65 page 7 of 20 fails", survived, func(t *testing.T) {
		listings(t, func(l *listing) {
			l.srv.On(l.op()).Nth(7).Status(http.StatusServiceUnavailable)
			got, err := l.collect(1)
			l.mustWork(err)
			l.same(got, l.all)
			l.atMost(len(l.all)+1, l.op())
		})
		listings(t, func(l *listing) { // for good: it can be gone on with
			l.srv.On(l.op()).From(7).Status(http.StatusServiceUnavailable)
			got, err := l.collect(1)
			if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != http.StatusServiceUnavailable || e.Operation != l.op() {
				l.errorf("%v", err)
			}
			l.same(got, l.all[:6])
			l.atMost(6+5, l.op())
			l.srv.ClearFaults()
			rest, err := acr.Collect(l.list.run(l.ctx, l.fixture, 3, got[len(got)-1]))
			l.mustWork(err)
			l.same(append(got, rest...), l.all)
		})
		listings(t, func(l *listing) { // the sequence can be begun again
			seq := l.list.run(l.ctx, l.fixture, 4, "")
			l.srv.On(l.op()).Nth(2).Status(http.StatusForbidden)
			_, err := acr.Collect(seq)
			l.mustFail(err)
			got, err := acr.Collect(seq)
			l.mustWork(err)
			l.same(got, l.all)
		})
		listings(t, func(l *listing) { // nothing is asked that nobody wants
			for _, err := range l.list.run(l.ctx, l.fixture, 4, "") {
				if l.mustWork(err); l.srv.Ledger().Count(l.op()) != 1 {
					l.errorf("asked ahead")
				}
				break
			}
			l.atMost(1, l.op())
		})
	})
	row(t, "F66 pages that overlap, or leave something out", survived, func(t *testing.T) {
		listings(t, func(l *listing) { // each entry is given as it comes, and the list goes on to its end
			page := func(from, to int) []string { return l.all[from:to] }
			l.srv.On(l.op()).Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				q := r.URL.Query()
				q.Set("last", page(1, 2)[0]) // back by three
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
				next.ServeHTTP(w, r)
			})
			got, err := l.collect(5)
			l.mustWork(err)
			l.same(got, append(slices.Clone(l.all[:5]), l.all[2:]...))
		})
		listings(t, func(l *listing) { // forward by three
			l.srv.On(l.op()).Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				q := r.URL.Query()
				q.Set("last", l.all[7])
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
				next.ServeHTTP(w, r)
			})
			got, err := l.collect(5)
			l.mustWork(err)
			l.same(got, append(slices.Clone(l.all[:5]), l.all[8:]...))
		})
	})
	row(t, "F67 list that does not show what was just pushed", survived, func(t *testing.T) {
		bubble(t, func(w *world) { // nothing but lists is read from lists
			w.over(callsOf(loginCall, readCall, writeCall, deleteCall, uploadCall, downloadCall), func(f *fixture) {
				lists := f.srv.On("ListTags", "ListTagNames", "ListManifests", "ListRepositories", "ListRepositoryNames").Always().Status(http.StatusNotFound)
				f.mustWork(f.run())
				if lists.Hits() > 0 {
					f.errorf("a list was asked")
				}
			})
			f := w.fixture(callNamed(t, "Repository.PutManifest"))
			f.srv.On("ListTags").Always().ReplyBody(`{"registry":"x","imageName":"` + f.name + `","tags":[]}`)
			d, err := f.repository().PutManifest(f.ctx, "fresh", f.manifest, nil)
			f.mustWork(err)
			if got, err := f.repository().Artifact("fresh").Digest(f.ctx); err != nil || got != d.Digest || got != digest.FromBytes(f.manifest) {
				f.errorf("%s %v", got, err)
			}
		})
	})
}

func (l *listing) op() string { return l.list.op }
