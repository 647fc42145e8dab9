package content_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// pagedList is a list of some pages.
type pagedList struct {
	method, op string
	key        string // of the entries in a page
	seed       func(f *acrsuite.Fixture, n int)
	run        func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error]
}

// pagedLists are all that can be gone on with behind an entry.
var pagedLists = []pagedList{
	{"Repository.Tags", "ListTags", "tags", seedTags, func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error] {
		return named1(f.Repository().Tags(ctx, &acr.ListTagsOptions{PageSize: size, After: after}), func(t acr.TagProperties) string { return t.Name })
	}},
	{"Repository.TagNames", "ListTagNames", "tags", seedTags, func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error] {
		return f.Repository().TagNames(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
	{
		"Repository.Manifests", "ListManifests", "manifests", func(f *acrsuite.Fixture, n int) { f.Srv.SeedManifests(f.T, f.Name, n) },
		func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error] {
			return named1(f.Repository().Manifests(ctx, &acr.ListManifestsOptions{PageSize: size, After: after}), func(m acr.ManifestProperties) string { return string(m.Digest) })
		},
	},
	{"Client.Repositories", "ListRepositories", "repositories", seedRepositories, func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error] {
		return f.Client.Repositories(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
	{"Client.RepositoryNames", "ListRepositoryNames", "repositories", seedRepositories, func(ctx context.Context, f *acrsuite.Fixture, size int, after string) iter.Seq2[string, error] {
		return f.Client.RepositoryNames(ctx, &acr.ListOptions{PageSize: size, After: after})
	}},
}

func seedTags(f *acrsuite.Fixture, n int) { f.Srv.SeedTags(f.T, f.Name, n) }

func seedRepositories(f *acrsuite.Fixture, n int) {
	for i := range n {
		f.Srv.SeedImage(f.T, fmt.Sprintf("%s/%03d:v1", f.Name, i))
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
	*acrsuite.Fixture

	list pagedList
	all  []string // what it has
}

// listings runs test for each list of some 20 entries.
func listings(t *testing.T, test func(l *listing), opts ...acrtest.Option) {
	t.Helper()
	for _, p := range pagedLists {
		t.Run(p.method, func(t *testing.T) {
			bubble(t, func(w *acrsuite.World) {
				l := &listing{Fixture: w.Fixture(acrsuite.Call{Method: p.method, Kind: acrsuite.ListCall, Op: p.op}), list: p}
				p.seed(l.Fixture, 20)
				all, err := acr.Collect(p.run(l.Ctx, l.Fixture, 0, ""))
				if l.MustWork(err); len(all) < 20 || !slices.IsSorted(all) {
					l.Errorf("%d entries before anything goes wrong", len(all))
				}
				l.all = all
				l.Client = l.NewClient()
				l.Srv.Ledger().Reset()
				test(l)
			}, opts...)
		})
	}
}

// collect lists in pages of a size.
func (l *listing) collect(size int) ([]string, error) {
	return acr.Collect(l.list.run(l.Ctx, l.Fixture, size, ""))
}

// same demands the entries.
func (l *listing) same(got, want []string) {
	l.T.Helper()
	if !slices.Equal(got, want) {
		l.Errorf("got %d entries %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

// TestSuiteLists: what can come between the pages of a list.
func TestSuiteLists(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F63 empty page with more behind it", func(t *testing.T) {
		for _, body := range []string{`{"KEY":[]}`, `{"KEY":null}`, `{}`, `{"registry":"x"}`} {
			listings(t, func(l *listing) {
				l.Srv.On(l.op()).Nth(3).Do(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					q := r.URL.Query()
					q.Set("n", "2") // another link, to the same entries
					w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", path.Clean(r.URL.Path), q.Encode()))
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(strings.ReplaceAll(body, "KEY", l.list.key))) // the caller may be gone
				})
				got, err := l.collect(1)
				l.MustWork(err)
				l.same(got, l.all)
			})
		}
		listings(t, func(l *listing) { // at the end
			got, err := l.collect(1)
			l.MustWork(err)
			l.same(got, l.all)
			if n := l.Srv.Ledger().Count(l.op()); n != len(l.all)+1 {
				l.Errorf("%d requests for %d pages and an empty one", n, len(l.all))
			}
		}, acrtest.WithTrailingEmptyPage())
	})
	acrsuite.Row(t, "F64 page cut short with status 200", func(t *testing.T) {
		cuts := map[string]func(*acrtest.Fault){
			"a clean end": func(f *acrtest.Fault) { f.TruncateClean(20) }, "FIN": func(f *acrtest.Fault) { f.Truncate(20) }, "reset": func(f *acrtest.Fault) { f.ResetAfter(20) },
			"nothing": func(f *acrtest.Fault) { f.TruncateClean(0) }, "a length": func(f *acrtest.Fault) { f.ContentLength(15) },
		}
		for name, cut := range cuts {
			listings(t, func(l *listing) {
				l.Note = name
				cut(l.Srv.On(l.op()).Nth(3))
				got, err := l.collect(2)
				l.MustWork(err)
				l.same(got, l.all)
				l.AtMost((len(l.all)+1)/2+1, l.op())
			})
			listings(t, func(l *listing) { // always
				l.Note = name
				cut(l.Srv.On(l.op()).From(3))
				began := time.Now()
				got, err := l.collect(2)
				if err == nil || time.Since(began) > time.Minute {
					l.Errorf("%v after %v", err, time.Since(began))
				}
				if name == "a clean end" || name == "nothing" {
					l.MustFail(err, acr.ErrMalformedReply)
				}
				l.same(got, l.all[:4])
				l.AtMost(2+2*5, l.op())
			})
		}
		bubble(t, func(w *acrsuite.World) { // replies with one thing
			w.Over(acrsuite.CallsOf(acrsuite.ListCall, acrsuite.ReadCall), func(f *acrsuite.Fixture) {
				if strings.HasPrefix(f.Call.Op, "Head") {
					return
				}
				f.Srv.On(f.Call.Op).Nth(1).TruncateClean(20)
				f.MustWork(f.Run())
				f.Srv.ClearFaults()
				f.Srv.On(f.Call.Op).Always().TruncateClean(20)
				f.MustFail(f.Run())
			})
		})
	})
	acrsuite.Row(t, "F65 page 7 of 20 fails", func(t *testing.T) {
		listings(t, func(l *listing) {
			l.Srv.On(l.op()).Nth(7).Status(http.StatusServiceUnavailable)
			got, err := l.collect(1)
			l.MustWork(err)
			l.same(got, l.all)
			l.AtMost(len(l.all)+1, l.op())
		})
		listings(t, func(l *listing) { // for good: it can be gone on with
			l.Srv.On(l.op()).From(7).Status(http.StatusServiceUnavailable)
			got, err := l.collect(1)
			if e, ok := errors.AsType[*acr.Error](err); !ok || e.StatusCode != http.StatusServiceUnavailable || e.Operation != l.op() {
				l.Errorf("%v", err)
			}
			l.same(got, l.all[:6])
			l.AtMost(6+5, l.op())
			l.Srv.ClearFaults()
			rest, err := acr.Collect(l.list.run(l.Ctx, l.Fixture, 3, got[len(got)-1]))
			l.MustWork(err)
			l.same(append(got, rest...), l.all)
		})
		listings(t, func(l *listing) { // the sequence can be begun again
			seq := l.list.run(l.Ctx, l.Fixture, 4, "")
			l.Srv.On(l.op()).Nth(2).Status(http.StatusForbidden)
			_, err := acr.Collect(seq)
			l.MustFail(err)
			got, err := acr.Collect(seq)
			l.MustWork(err)
			l.same(got, l.all)
		})
		listings(t, func(l *listing) { // nothing is asked that nobody wants
			for _, err := range l.list.run(l.Ctx, l.Fixture, 4, "") {
				if l.MustWork(err); l.Srv.Ledger().Count(l.op()) != 1 {
					l.Errorf("asked ahead")
				}
				break
			}
			l.AtMost(1, l.op())
		})
	})
	acrsuite.Row(t, "F66 pages that overlap, or leave something out", func(t *testing.T) {
		listings(t, func(l *listing) { // each entry is given as it comes, and the list goes on to its end
			page := func(from, to int) []string { return l.all[from:to] }
			l.Srv.On(l.op()).Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				q := r.URL.Query()
				q.Set("last", page(1, 2)[0]) // back by three
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
				next.ServeHTTP(w, r)
			})
			got, err := l.collect(5)
			l.MustWork(err)
			l.same(got, append(slices.Clone(l.all[:5]), l.all[2:]...))
		})
		listings(t, func(l *listing) { // forward by three
			l.Srv.On(l.op()).Nth(2).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				q := r.URL.Query()
				q.Set("last", l.all[7])
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
				next.ServeHTTP(w, r)
			})
			got, err := l.collect(5)
			l.MustWork(err)
			l.same(got, append(slices.Clone(l.all[:5]), l.all[8:]...))
		})
	})
	acrsuite.Row(t, "F67 list that does not show what was just pushed", func(t *testing.T) {
		bubble(t, func(w *acrsuite.World) { // nothing but lists is read from lists
			w.Over(acrsuite.CallsOf(acrsuite.LoginCall, acrsuite.ReadCall, acrsuite.WriteCall, acrsuite.DeleteCall, acrsuite.UploadCall, acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				lists := f.Srv.On("ListTags", "ListTagNames", "ListManifests", "ListRepositories", "ListRepositoryNames").Always().Status(http.StatusNotFound)
				f.MustWork(f.Run())
				if lists.Hits() > 0 {
					f.Errorf("a list was asked")
				}
			})
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.PutManifest"))
			f.Srv.On("ListTags").Always().ReplyBody(`{"registry":"x","imageName":"` + f.Name + `","tags":[]}`)
			d, err := f.Repository().PutManifest(f.Ctx, "fresh", f.Manifest, nil)
			f.MustWork(err)
			if got, err := f.Repository().Artifact("fresh").Digest(f.Ctx); err != nil || got != d.Digest || got != digest.FromBytes(f.Manifest) {
				f.Errorf("%s %v", got, err)
			}
		})
	})
}

func (l *listing) op() string { return l.list.op }
