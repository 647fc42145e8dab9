package acr_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/version"
)

// names answers as a catalog of n names, in pages as asked for, with Link as ACR writes it.
func names(n int) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		size, _ := strconv.Atoi(r.URL.Query().Get("n"))
		start := 0
		if last := r.URL.Query().Get("last"); last != "" {
			start, _ = strconv.Atoi(strings.TrimPrefix(last, "r"))
			start++
		}
		var all []string
		for i := start; i < min(n, start+size); i++ {
			all = append(all, fmt.Sprintf("%q", fmt.Sprintf("r%04d", i)))
		}
		var headers []string
		if start+size < n {
			headers = []string{"Link", fmt.Sprintf(`<%s?last=r%04d&n=%d&orderby=>; rel="next"`, r.URL.Path, start+size-1, size)}
		}
		return acrsuite.Answer(200, `{"repositories":[`+strings.Join(all, ",")+"]}\n", headers...)
	}
}

// TestListFollowsLinks: a list is whole, asks for what it needs and no more.
func TestListFollowsLinks(t *testing.T) {
	t.Parallel()
	t.Run("to its end", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: names(25)}
		all, err := acr.Collect(s.Client(t).Repositories(t.Context(), &acr.ListOptions{PageSize: 10}))
		if err != nil || len(all) != 25 || !slices.IsSorted(all) {
			t.Fatalf("%d names, %v", len(all), err)
		}
		want := []string{
			"GET /acr/v1/_catalog?n=10&api-version=" + version.API, "GET /acr/v1/_catalog?last=r0009&n=10&orderby=", "GET /acr/v1/_catalog?last=r0019&n=10&orderby=",
		}
		got := s.Requests()
		got[0] = sortedQuery(got[0])
		want[0] = sortedQuery(want[0])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a break on the first page", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: names(25)}
		for _, err := range s.Client(t).Repositories(t.Context(), &acr.ListOptions{PageSize: 10}) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if n := len(s.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("a break on the second page", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: names(95)}
		i := 0
		for _, err := range s.Client(t).Repositories(t.Context(), &acr.ListOptions{PageSize: 10}) {
			if err != nil {
				t.Error(err)
			}
			if i++; i == 11 {
				break
			}
		}
		if n := len(s.Requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("nothing before it is ranged over, and again each time", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: names(5)}
		seq := s.Client(t).Repositories(t.Context(), nil)
		if n := len(s.Requests()); n != 0 {
			t.Fatalf("%d requests", n)
		}
		for range 2 {
			if all, err := acr.Collect(seq); err != nil || len(all) != 5 {
				t.Errorf("%q %v", all, err)
			}
		}
		if first := s.Requests()[0]; !strings.Contains(first, "n=1000") {
			t.Error(first)
		}
	})
	t.Run("F65 resumed after a key", func(t *testing.T) {
		t.Parallel()
		s := &acrsuite.Scripted{Answer: names(25)}
		c := s.Client(t)
		var got []string
		for name, err := range c.Repositories(t.Context(), &acr.ListOptions{PageSize: 10}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, name); len(got) == 13 {
				break
			}
		}
		rest, err := acr.Collect(c.Repositories(t.Context(), &acr.ListOptions{PageSize: 10, After: got[len(got)-1]}))
		if all := append(got, rest...); err != nil || len(all) != 25 || len(slices.Compact(all)) != 25 {
			t.Errorf("%d names, %v", len(all), err)
		}
	})
}

func sortedQuery(request string) string {
	path, query, _ := strings.Cut(request, "?")
	parts := strings.Split(query, "&")
	slices.Sort(parts)
	return path + "?" + strings.Join(parts, "&")
}

// TestListFaults: what may go wrong on a page.
func TestListFaults(t *testing.T) {
	t.Parallel()
	const next = "Link"
	link := func(target string) string { return "<" + target + `>; rel="next"` }
	for _, test := range []struct {
		name   string
		answer func(n int, r *http.Request) *http.Response // n counts requests from 1
		want   []string
		err    error
		most   int // requests
	}{
		{
			name: "F63 empty page with a link", most: 3, want: []string{"a", "b"},
			answer: func(n int, r *http.Request) *http.Response {
				switch n {
				case 1:
					return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/_catalog?last=a&n=1"))
				case 2:
					return acrsuite.Answer(200, `{"repositories":[]}`, next, link("/acr/v1/_catalog?last=aa&n=1"))
				default:
					return acrsuite.Answer(200, `{"repositories":["b"]}`)
				}
			},
		},
		{
			name: "a full last page without a link", most: 1, want: []string{"a"},
			answer: func(int, *http.Request) *http.Response { return acrsuite.Answer(200, `{"repositories":["a"]}`) },
		},
		{
			name: "null for no entries", most: 1,
			answer: func(int, *http.Request) *http.Response { return acrsuite.Answer(200, `{"repositories":null}`) },
		},
		{
			name: "F64 JSON cut short, once", most: 2, want: []string{"a"},
			answer: func(n int, r *http.Request) *http.Response {
				if n == 1 {
					return acrsuite.Answer(200, `{"repositories":["a"`)
				}
				return acrsuite.Answer(200, `{"repositories":["a"]}`)
			},
		},
		{
			name: "F64 body broken off, once", most: 2, want: []string{"a"},
			answer: func(n int, r *http.Request) *http.Response {
				resp := acrsuite.Answer(200, `{"repositories":["a"]}`)
				if n == 1 {
					resp.Body = io.NopCloser(&cut{strings.NewReader(`{"repos`)})
				}
				return resp
			},
		},
		{
			name: "F64 JSON cut short for good", most: 2, err: acr.ErrMalformedReply,
			answer: func(int, *http.Request) *http.Response { return acrsuite.Answer(200, `{"repositories":["a"`) },
		},
		{
			name: "not JSON", most: 1, err: acr.ErrMalformedReply,
			answer: func(int, *http.Request) *http.Response { return acrsuite.Answer(200, `<html>`) },
		},
		{
			name: "A29 an endless page", most: 1, err: acr.ErrTooLarge,
			answer: func(int, *http.Request) *http.Response {
				resp := acrsuite.Answer(200, "")
				resp.Body, resp.ContentLength = io.NopCloser(endless{}), -1
				return resp
			},
		},
		{
			name: "A15 a link to a stranger", most: 1, err: acr.ErrUntrusted,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("https://attacker.example/acr/v1/_catalog?last=a"))
			},
		},
		{
			name: "A15 a link without a scheme", most: 1, err: acr.ErrUntrusted,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("//attacker.example/acr/v1/_catalog?last=a"))
			},
		},
		{
			name: "A17 a link with user information", most: 1, err: acr.ErrUntrusted,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("https://x@registry.azurecr.io/acr/v1/_catalog?last=a"))
			},
		},
		{
			name: "a link to another list", most: 1, err: acr.ErrUntrusted,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/other/_tags?last=a"))
			},
		},
		{
			name: "A39 half a link", most: 1, err: acr.ErrUntrusted,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, `</acr/v1/_catalog`)
			},
		},
		{
			name: "A30 a link to itself", most: 2, want: []string{"a", "a"}, err: acr.ErrListEndless,
			answer: func(int, *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/_catalog?last=a&n=1"))
			},
		},
		{
			name: "A30 a circle of two", most: 4, want: []string{"a", "a", "a"}, err: acr.ErrListEndless,
			answer: func(n int, r *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/_catalog?last="+[]string{"a", "b"}[n%2]))
			},
		},
		{
			name: "A30 a new key for ever", most: 7, want: slices.Repeat([]string{"a"}, 5), err: acr.ErrListEndless,
			answer: func(n int, r *http.Request) *http.Response {
				return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/_catalog?last="+strconv.Itoa(n)))
			},
		},
		{
			name: "F65 a page that fails for a moment", most: 3, want: []string{"a", "b"},
			answer: func(n int, r *http.Request) *http.Response {
				switch n {
				case 1:
					return acrsuite.Answer(200, `{"repositories":["a"]}`, next, link("/acr/v1/_catalog?last=a"))
				case 2:
					return acrsuite.Answer(503, "")
				default:
					return acrsuite.Answer(200, `{"repositories":["b"]}`)
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			s := &acrsuite.Scripted{}
			s.Answer = func(r *http.Request) *http.Response { n++; return test.answer(n, r) }
			c := s.Client(t, func(o *acr.ClientOptions) { o.MaxPages = 5 })
			got, err := acr.Collect(c.Repositories(t.Context(), nil))
			if !errors.Is(err, test.err) || (test.err == nil) != (err == nil) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			if err != nil {
				t.Log(err)
				acrsuite.OneLine(t, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if sent := s.Requests(); len(sent) > test.most {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// TestListKeepsFilter: a filter and an order that a link has lost, or names without a value, are put back.
func TestListKeepsFilter(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"last=a&n=1", "last=a&n=1&orderby=", "orderby&last=a&n=1&digest=", "last=a&n=1&orderby=timedesc"} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			keepsFilter(t, link)
		})
	}
}

func keepsFilter(t *testing.T, link string) {
	t.Helper()
	s := &acrsuite.Scripted{}
	s.Answer = func(r *http.Request) *http.Response {
		q := r.URL.Query()
		if q.Get("digest") != string(acrsuite.GoodDigest) || q.Get("orderby") != "timedesc" {
			t.Errorf("%s", r.URL.RawQuery)
		}
		if len(s.Sent) > 1 {
			return acrsuite.Answer(200, `{"tags":[{"name":"b"}]}`)
		}
		return acrsuite.Answer(200, `{"tags":[{"name":"a"}]}`, "Link", "</acr/v1/x/_tags?"+link+`>; rel="next"`)
	}
	opts := &acr.ListTagsOptions{Digest: acrsuite.GoodDigest, Order: acr.OrderByUpdateDescending, PageSize: 1}
	if tags, err := acr.Collect(s.Client(t).Repository("x").Tags(t.Context(), opts)); err != nil || len(tags) != 2 {
		t.Errorf("%v %v", tags, err)
	}
	for _, sent := range s.Requests() {
		u, err := url.Parse(strings.TrimPrefix(sent, "GET "))
		if err != nil || len(u.Query()["digest"]) != 1 || len(u.Query()["orderby"]) != 1 {
			t.Error(sent)
		}
	}
}

// TestListOptionsAreCopied: a sequence is of what it was asked for with, whatever becomes of the options before it is ranged over.
func TestListOptionsAreCopied(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, `{"tags":[],"manifests":[]}`) }}
	r := s.Client(t).Repository("x")
	tags := acr.ListTagsOptions{Digest: acrsuite.GoodDigest, After: "a", Order: acr.OrderByUpdateAscending, PageSize: 7}
	referrers := acr.ReferrersOptions{ArtifactType: "a/b", PageSize: 7}
	tagList, referrerList := r.Tags(t.Context(), &tags), r.Referrers(t.Context(), acrsuite.GoodDigest, &referrers)
	tags, referrers = acr.ListTagsOptions{Digest: "changed"}, acr.ReferrersOptions{ArtifactType: "changed"}
	_, errTags := acr.Collect(tagList)
	_, errReferrers := acr.Collect(referrerList)
	if err := errors.Join(errTags, errReferrers); err != nil {
		t.Error(err)
	}
	asked := strings.Join(s.Requests(), " ")
	for _, want := range []string{"digest=" + url.QueryEscape(string(acrsuite.GoodDigest)), "last=a", "orderby=timeasc", "artifactType=a%2Fb", "n=7"} {
		if !strings.Contains(asked, want) || strings.Contains(asked, "changed") {
			t.Errorf("no %s in %s", want, asked)
		}
	}
}
