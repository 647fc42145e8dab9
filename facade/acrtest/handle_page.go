package acrtest

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// pageOf reads the parameters of a list. A page of more than a thousand is cut to a thousand, not
// refused; one of none or less is the default page.
func pageOf(r *http.Request) store.Page {
	q := r.URL.Query()
	p := store.Page{After: q.Get("last"), N: defaultPage}
	// A number too large to be read comes back as the largest there is.
	if n, err := strconv.Atoi(q.Get("n")); n > 0 && (err == nil || errors.Is(err, strconv.ErrRange)) {
		p.N = min(n, maxPage)
	}
	switch q.Get("orderby") {
	case "timeasc":
		p.Order = store.ByTimeAscending
	case "timedesc":
		p.Order = store.ByTimeDescending
	}
	return p
}

// link puts the link to the next page on the reply, when there is one: relative, with the caller's
// own spelling of the path, the keys in this order, orderby also when it is empty, and no
// api-version. The list of referrers is the distribution specification's and has no order to
// repeat. A list that was filtered keeps its filter, given as the name of the parameter, in extra.
func (o *operations) setLink(w http.ResponseWriter, r *http.Request, rt route, p store.Page, last string, n int, more bool, extra ...string) {
	if n < p.N || !more && !o.cfg.trailingEmptyPage {
		return
	}
	q := r.URL.Query()
	var b strings.Builder
	b.WriteString("<" + rt.path + "?last=" + url.QueryEscape(last) + "&n=" + strconv.Itoa(p.N))
	if rt.op != "ListReferrers" {
		b.WriteString("&orderby=" + url.QueryEscape(q.Get("orderby")))
	}
	for _, key := range extra {
		if v := q.Get(key); v != "" {
			b.WriteString("&" + key + "=" + url.QueryEscape(v))
		}
	}
	b.WriteString(`>; rel="next"`)
	w.Header()["Link"] = []string{b.String()}
}

// nothingAsked tells a list of /v2 that asks for no entries at all, which by the distribution
// specification is an empty list without a link.
func nothingAsked(r *http.Request) bool { return r.URL.Query().Get("n") == "0" }
