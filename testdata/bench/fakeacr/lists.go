package fakeacr

import (
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// list is a sorted collection whose entries were rendered to JSON beforehand:
// a page is one contiguous slice of buf.
type list struct {
	n    int
	name func(i int) string // increasing
	buf  []byte
	at   []int // at[i] is where entry i starts; entries end with a comma
}

func newList(n int, name func(int) string, render func(b []byte, i int) []byte) *list {
	l := &list{n: n, name: name, at: make([]int, 0, n+1)}
	for i := range n {
		l.at = append(l.at, len(l.buf))
		l.buf = append(render(l.buf, i), ',')
	}
	l.at = append(l.at, len(l.buf))
	return l
}

func (l *list) page(from, to int) []byte {
	if from >= to {
		return nil
	}
	return l.buf[l.at[from] : l.at[to]-1] // without the last comma
}

// after returns the index of the first entry that sorts after last.
func (l *list) after(last string) int {
	return sort.Search(l.n, func(i int) bool { return l.name(i) > last })
}

// maxManifests is the longest list of manifests that there can be, unless they can be read.
const maxManifests = 50_000

// Names sort like their numbers. Digests are spread evenly, as real ones are.
func tagName(i int) string { return fmt.Sprintf("v1.%07d-build", i) }
func manifestDigest(i int) string {
	return fmt.Sprintf("sha256:%07x%057x", i%maxManifests*(1<<28/maxManifests), 0xbe7c4+i)
}
func repoName(i int) string { return fmt.Sprintf("team/service-%05d", i) }

const (
	stamp      = "2025-04-15T09:26:53.5897932Z"
	changeable = `"changeableAttributes":{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}`
)

// lists caches rendered lists by kind and length; they are the same for every
// repository.
var lists sync.Map

func cached(kind string, n int, build func() *list) *list {
	key := kind + strconv.Itoa(n)
	if l, ok := lists.Load(key); ok {
		return l.(*list)
	}
	l, _ := lists.LoadOrStore(key, build())
	return l.(*list)
}

func acrTags(n int, m *images) *list {
	return cached(fmt.Sprint("tags", m != nil), n, func() *list {
		return newList(n, tagName, func(b []byte, i int) []byte {
			return fmt.Appendf(b, `{"name":%q,"digest":%q,"createdTime":%q,"lastUpdateTime":%q,"signed":false,%s}`,
				tagName(i), m.digest(i), stamp, stamp, changeable)
		})
	})
}

func acrManifests(n int, m *images) *list {
	return cached(fmt.Sprint("manifests", m != nil), n, func() *list {
		return newList(n, m.digest, func(b []byte, i int) []byte {
			return fmt.Appendf(b, `{"digest":%q,"imageSize":%d,"createdTime":%q,"lastUpdateTime":%q,"architecture":"amd64","os":"linux","mediaType":"application/vnd.oci.image.manifest.v1+json","configMediaType":"application/vnd.oci.image.config.v1+json","tags":[%q],%s}`,
				m.digest(i), 1000000+i, stamp, stamp, tagName(i), changeable)
		})
	})
}

func plainTags(n int) *list {
	return cached("plain", n, func() *list {
		return newList(n, tagName, func(b []byte, i int) []byte {
			return fmt.Appendf(b, "%q", tagName(i))
		})
	})
}

func catalog(n int) *list {
	return cached("catalog", n, func() *list {
		return newList(n, repoName, func(b []byte, i int) []byte {
			return fmt.Appendf(b, "%q", repoName(i))
		})
	})
}

// serveList writes one page: head, the entries, tail. The link to the next page is
// relative, as ACR sends it.
func (sc *scenario) serveList(w http.ResponseWriter, r *http.Request, l *list, head string) {
	const tail = "]}"
	q := r.URL.Query()
	size := sc.cfg.DefaultPage
	if n, err := strconv.Atoi(q.Get("n")); err == nil && n > 0 {
		size = n
	}
	size = min(size, sc.cfg.MaxPage)
	from := 0
	if last := q.Get("last"); last != "" {
		from = l.after(last)
	}
	to := min(from+size, l.n)
	h := w.Header()
	if to < l.n {
		h.Set("Link", fmt.Sprintf(`<%s?last=%s&n=%d&orderby=>; rel="next"`, r.URL.EscapedPath(), url.QueryEscape(l.name(to-1)), size))
	}
	body := l.page(from, to)
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(head)+len(body)+len(tail)))
	if c := connOf(r); c != nil {
		c.cork()
		defer c.uncork()
	}
	w.Write([]byte(head))
	w.Write(body)
	w.Write([]byte(tail))
	http.NewResponseController(w).Flush() // into the corked connection, so that uncork sends all at once
}

// acr serves /acr/v1/... ; path has that prefix removed.
func (sc *scenario) acr(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case path == "_catalog":
		if sc.count(w, r, "catalog", need{"registry", "catalog", "*"}) {
			sc.serveList(w, r, catalog(2000), `{"repositories":[`)
		}
	case strings.HasSuffix(path, "/_tags"):
		name := strings.TrimSuffix(path, "/_tags")
		if sc.count(w, r, "tags", need{"repository", name, "metadata_read"}) {
			sc.serveList(w, r, acrTags(sc.cfg.Tags, sc.images), fmt.Sprintf(`{"registry":%q,"imageName":%q,"tags":[`, r.Host, name))
		}
	case strings.HasSuffix(path, "/_manifests"):
		name := strings.TrimSuffix(path, "/_manifests")
		if sc.count(w, r, "manifests", need{"repository", name, "metadata_read"}) {
			sc.serveList(w, r, acrManifests(sc.cfg.Manifests, sc.images), fmt.Sprintf(`{"registry":%q,"imageName":%q,"manifests":[`, r.Host, name))
		}
	case strings.Contains(path, "/_manifests/"):
		name, digest, _ := strings.Cut(path, "/_manifests/")
		if sc.count(w, r, "manifest_props", need{"repository", name, "metadata_read"}) {
			body := fmt.Appendf(nil, `{"registry":%q,"imageName":%q,"manifest":{"digest":%q,"imageSize":12345,"createdTime":%q,"lastUpdateTime":%q,"architecture":"amd64","os":"linux","mediaType":"application/vnd.oci.image.manifest.v1+json","configMediaType":"application/vnd.oci.image.config.v1+json","tags":["latest"],%s}}`,
				r.Host, name, digest, stamp, stamp, changeable)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
		}
	case strings.Contains(path, "/_tags/"):
		name, tag, _ := strings.Cut(path, "/_tags/")
		if sc.count(w, r, "tag_props", need{"repository", name, "metadata_read"}) {
			body := fmt.Appendf(nil, `{"registry":%q,"imageName":%q,"tag":{"name":%q,"digest":%q,"createdTime":%q,"lastUpdateTime":%q,"signed":false,%s}}`,
				r.Host, name, tag, sc.images.digest(0), stamp, stamp, changeable)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
		}
	case sc.images != nil:
		if sc.count(w, r, "repository_props", need{"repository", path, "metadata_read"}) {
			body := fmt.Appendf(nil, `{"registry":%q,"imageName":%q,"createdTime":%q,"lastUpdateTime":%q,"manifestCount":%d,"tagCount":%d,%s}`,
				r.Host, path, stamp, stamp, sc.cfg.Manifests, sc.cfg.Tags, changeable)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
		}
	default:
		fail(w, http.StatusNotFound, "NOT_FOUND", "no such ACR path")
	}
}
