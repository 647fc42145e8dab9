package retention_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

// A repository that cannot be read completely is refused as a whole, for that reason, and the next one is planned.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		act  func(w *world, index digest.Digest)
		want retention.RefusalCode
	}{
		{"acr-875 a list that was cut short", func(w *world, _ digest.Digest) {
			w.srv.On("ListManifests").Path("/apps/web/").Always().ReplyBody(`{"registry":"r","imageName":"apps/web","manifests":[]}`)
		}, retention.RefusedChanging},
		{"acr-875 a list of tags that was cut short", func(w *world, _ digest.Digest) {
			w.srv.On("ListTags").Path("/apps/web/").Always().ReplyBody(`{"registry":"r","imageName":"apps/web","tags":[]}`)
		}, retention.RefusedCounts},
		{"a hidden manifest", func(w *world, d digest.Digest) { w.patch(repository, string(d), `{"listEnabled":false}`) }, retention.RefusedChanging},
		{"a hidden untagged manifest", func(w *world, _ digest.Digest) {
			w.patch(repository, string(w.put(w.image())), `{"listEnabled":false}`)
		}, retention.RefusedCounts},
		{"a hidden tag", func(w *world, _ digest.Digest) { w.patch(repository, "v1", `{"listEnabled":false}`) }, retention.RefusedCounts},
		{"acr-cli-HEAD-c an index that answers 404", func(w *world, d digest.Digest) {
			w.srv.On("GetManifest").Path(string(d)).Always().Status(http.StatusNotFound)
		}, retention.RefusedUnreadable},
		{"an index that answers 500", func(w *world, d digest.Digest) {
			w.srv.On("GetManifest").Path(string(d)).Always().Status(http.StatusInternalServerError)
		}, retention.RefusedUnreadable},
		{"docker-tools-PR2137 an index that answers 429", func(w *world, d digest.Digest) {
			w.srv.On("GetManifest").Path(string(d)).Always().Status(http.StatusTooManyRequests, time.Hour)
		}, retention.RefusedUnreadable},
		{"an index with other bytes", func(w *world, d digest.Digest) {
			w.srv.On("GetManifest").Path(string(d)).Always().ReplyBody(`{"schemaVersion":2,"manifests":[]}`)
		}, retention.RefusedUnreadable},
		{"an index that may not be read", func(w *world, d digest.Digest) { w.patch(repository, string(d), `{"readEnabled":false}`) }, retention.RefusedUnreadable},
		{"a quarantined index", func(w *world, d digest.Digest) { w.patch(repository, string(d), `{"quarantineState":"Quarantined"}`) }, retention.RefusedUnreadable},
		{"acr-cli-501 no right to list", func(w *world, _ digest.Digest) {
			w.srv.On("ListManifests").Path("/apps/web/").Always().Status(http.StatusForbidden)
		}, retention.RefusedDenied},
		{"a locked repository", func(w *world, _ digest.Digest) {
			w.send("PATCH", "/acr/v1/apps/web", "application/json", []byte(`{"writeEnabled":false}`))
		}, retention.RefusedLocked},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.put(w.image())
			index := w.put(w.index(a), "v1")
			w.push("other", "a", w.image())
			w.push("other", "z", w.image())
			w.days(90)
			row.act(w, index)
			p, err := retention.Make(t.Context(), newClientVia(t, w.srv, w.http), rulesOf(t, `"delete":[`+oldTags+`,`+untagged+`]`), nil)
			if err != nil {
				t.Fatal(err)
			}
			r := p.Repositories[0]
			if r.Refused == nil || r.Refused.Code != row.want || len(r.Delete)+len(r.Untag) > 0 {
				t.Errorf("%s", mustJSON(t, r))
			}
			if other := p.Repositories[1]; len(other.Delete) != 1 {
				t.Errorf("%s", mustJSON(t, other))
			}
		})
	}
}

// A page that is empty does not end a list.
func TestEmptyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acrtest.WithTrailingEmptyPage())
	a := w.put(w.image())
	w.put(w.index(a), "z")
	goes := w.put(w.image())
	w.days(90)
	for _, list := range []string{"manifests", "tags"} {
		w.srv.On("List" + strings.ToUpper(list[:1]) + list[1:]).Always().When(func(r *http.Request) bool { return !r.URL.Query().Has("last") }).Do(func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
			rw.Header().Set("Content-Type", "application/json; charset=utf-8")
			rw.Header().Set("Link", "<"+r.URL.Path+"?last=0&n=1000&orderby=>; rel=\"next\"")
			_, _ = io.WriteString(rw, `{"registry":"r","imageName":"apps/web","`+list+`":[]}`)
		})
	}
	_, result := w.clean(rulesOf(t, `"delete":[`+untagged+`]`), nil)
	w.srv.ClearFaults()
	w.demand(outcome{[]digest.Digest{a}, []string{"z"}, []digest.Digest{goes}})
	if r := result.Repositories[0]; r.State != retention.Done || r.Deleted != 1 {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// A repository that changes while it is read is read again, also if its lists happen to agree with the last count.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	for _, during := range []string{"/_manifests", "/_tags"} {
		w := newWorld(t)
		w.oldAndLast()
		c := w.between(isRequest("GET", during), func() { w.put(w.image()) })
		p, err := retention.Make(t.Context(), c, rulesOf(t, `"delete":[`+oldTags+`]`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Repositories[0]; r.Refused != nil || r.Manifests.Total != 3 || len(r.Delete) != 1 {
			t.Errorf("%s", mustJSON(t, r))
		}
		if n := w.srv.Ledger().Count("GetRepositoryProperties"); n < 3 {
			t.Errorf("changed before %s: the counts were read %d times: it was not read again", during, n)
		}
	}
}

// Ages are told by the registry's clock, whatever the local clock says.
func TestClock(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A62 wrong clock", testClock)
}

func testClock(t *testing.T) {
	w := newWorld(t)
	w.srv.Advance(-400 * 24 * time.Hour)
	w.put(w.image(), "a")
	w.put(w.image(), "z")
	w.days(10)
	p := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)) // 400 days by the local clock, 10 by the registry's
	if len(p.Repositories[0].Delete) != 0 {
		t.Errorf("%s", mustJSON(t, p))
	}
	w.days(-20)
	if _, err := retention.Make(t.Context(), w.client(), rulesOf(t, `"delete":[`+oldTags+`]`), nil); !errors.Is(err, retention.ErrClock) {
		t.Error(err)
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byTag, byDigest := w.put(w.image(), "a"), w.put(w.image(), "b")
	child := w.put(w.image())
	w.put(w.index(child), "c")
	goes := w.put(w.image(), "d")
	w.put(w.image(), "z")
	w.days(90)
	host := w.srv.Host()
	used := retention.InUseList("docker://"+host+"/apps/web:a", "docker-pullable://"+host+"/apps/web@"+string(byDigest), strings.ToUpper(host)+"/apps/web:x@"+string(child), "other.azurecr.io/apps/web:d", "apps/web:gone")
	p, _ := w.clean(rulesOf(t, `"delete":[`+oldTags+`,`+untagged+`]`), &retention.PlanOptions{InUse: []retention.InUse{used}})
	w.demand(outcome{[]digest.Digest{byTag, byDigest, child}, []string{"a", "z"}, []digest.Digest{goes}})
	missing := 0
	for _, f := range p.Repositories[0].Findings {
		if f.Code == retention.FoundNotThere {
			missing++
		}
	}
	if missing != 2 {
		t.Errorf("%s", mustJSON(t, p.Repositories[0].Findings))
	}
}

// MeshWeaver-PR3507: what cannot be seen must not be taken for unused.
func TestInUseUnknown(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]retention.InUse{
		"nothing": retention.InUseList(), "others only": retention.InUseList("other.azurecr.io/a:b"), "fails": failing, "nil": nil,
		"nonsense": retention.InUseList("apps/web:a", "apps/web:"), "bad digest": retention.InUseList("apps/web@sha256:12"),
		"a pattern": retention.InUseList("apps/web:a", "apps/*:z"), "a pattern of tags": retention.InUseList("apps/web:a", "apps/web:v*"),
		"a tag in other letters": retention.InUseList("apps/web:a", "apps/web:é"), "a path": retention.InUseList("apps/web:a", "apps//web:a"),
		"an image on a node": retention.InUseList("sha256:"+strings.Repeat("a", 64), "docker://sha256:"+strings.Repeat("b", 64)),
	} {
		w := newWorld(t)
		w.oldAndLast()
		_, err := retention.Make(t.Context(), w.client(), rulesOf(t, `"delete":[`+oldTags+`]`), &retention.PlanOptions{InUse: []retention.InUse{source}})
		if !errors.Is(err, retention.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// moved-tag: an image goes by the time since it lost its tag, and not by its own age.
func TestUntaggingClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cache, err := retention.OpenFileCache(t.TempDir() + "/cache")
	if err != nil {
		t.Fatal(err)
	}
	old := w.put(w.image(), "latest")
	w.put(w.image(), "z")
	w.days(200)
	r := rulesOf(t, `"delete":[{"name":"u","untagged":true,"olderThan":"7d","by":"untagged"}]`)
	opts := &retention.PlanOptions{Cache: cache}
	w.clean(r, opts)
	w.put(w.image(), "latest")
	for range 6 {
		w.days(1)
		if _, result := w.clean(r, opts); result.Repositories[0].Deleted > 0 {
			t.Fatal("deleted too early")
		}
	}
	w.days(2)
	if _, result := w.clean(r, &retention.PlanOptions{}); result.Repositories[0].Deleted > 0 {
		t.Error("deleted though nobody knows since when it is untagged")
	}
	w.clean(r, opts)
	w.demand(outcome{nil, []string{"latest", "z"}, []digest.Digest{old}})
	// Deleted, and pushed again: it is as young as that.
	w.put(w.made[old])
	w.days(3)
	w.clean(r, opts)
	w.demand(outcome{[]digest.Digest{old}, []string{"latest", "z"}, nil})
	w.days(5)
	w.clean(r, opts)
	w.demand(outcome{nil, []string{"latest", "z"}, []digest.Digest{old}})
}

// gitlab-325429: a rule that selects more than anybody meant is stopped by the limits.
func TestLimits(t *testing.T) {
	t.Parallel()
	for limits, refused := range map[string]bool{`{}`: true, `{"percent":100}`: false, `{"percent":100,"manifests":10}`: true, `{"percent":100,"manifests":11}`: false, `{"percent":91.7}`: false} {
		w := newWorld(t)
		for n := range 12 {
			w.put(w.image(), string(rune('a'+n)))
		}
		w.days(90)
		p := w.plan(rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":`+limits+`,"delete":[`+oldTags+`]}]}`))
		if r := p.Repositories[0]; (r.Refused != nil) != refused || refused && r.Refused.Code != retention.RefusedLimits {
			t.Errorf("%s: %s", limits, mustJSON(t, r.Refused))
		}
	}
}

// Text of any kind names what is in use.
func TestInUseText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, host := w.client(), w.srv.Host()
	for text, want := range map[string]string{
		"image: " + host + "/apps/web:v1":                                     host + "/apps/web:v1",
		`{"image":"` + host + `/a/b@sha256:` + strings.Repeat("a", 64) + `"}`: host + "/a/b@sha256:" + strings.Repeat("a", 64),
		"docker pull https://" + host + "/apps/web:v1.":                       host + "/apps/web:v1. " + host + "/apps/web:v1",
		"a tag may end so: " + host + "/apps/web:v1-":                         host + "/apps/web:v1- " + host + "/apps/web:v1",
		"image: " + host + "/apps/web:v1:ro":                                  host + "/apps/web:*",
		"imageID: docker-pullable://" + host + "/apps/web@sha256:12ab...":     host + "/apps/web:*",
		"https://" + host + "/apps//web:v1":                                   "",
		"repository: " + host + "/apps/web\ntag: v1":                          host + "/apps/web:*",
		host + "/apps/web:{{ .Values.tag }}":                                  host + "/apps/web:*",
		"x" + host + "/apps/web:v1 my." + host + "/a:b":                       "",
		"nothing": "",
	} {
		var got []string
		for r, err := range retention.InUseText(c, opener(text))(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, r)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The output of a program that fails after some of it is not all that is in use: the error comes with Close.
func TestInUseOfAProgramThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, host := w.client(), w.srv.Host()
	for name, tried := range map[string]struct {
		source func(*acr.Client, func() (io.ReadCloser, error)) retention.InUse
		output string
	}{
		"text":  {retention.InUseText, host + "/apps/web:v1 " + host + "/apps/web:v2 "},
		"pulls": {retention.InUsePulls, strings.Repeat(`{"OperationName":"Pull","Repository":"apps/web","Tag":"v1"}`, 2)},
	} {
		closed := 0
		read := tried.source(c, func() (io.ReadCloser, error) {
			return failingClose{strings.NewReader(tried.output), func() error { closed++; return errors.New("exit status 1") }}, nil
		})
		for range read(t.Context()) {
			break
		}
		var got error
		n := 0
		for _, err := range read(t.Context()) {
			n++
			got = err
		}
		if n != 3 || got == nil || !strings.Contains(got.Error(), "exit status 1") || closed != 2 {
			t.Errorf("%s: %d, %v, closed %d times", name, n, got, closed)
		}
		_, err := retention.Make(t.Context(), c, retention.KeepNewest(1, retention.Week, "**"), &retention.PlanOptions{InUse: []retention.InUse{read}})
		if !errors.Is(err, retention.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failingClose struct {
	io.Reader
	close func() error
}

func (f failingClose) Close() error { return f.close() }

func TestInUsePulls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, host := w.client(), w.srv.Host()
	for rows, want := range map[string]string{
		`[{"OperationName":"Pull","Repository":"a","Tag":"b"},{"OperationName":"Push","Repository":"x","Tag":"y"}]`:   host + "/a:b",
		`{"OperationName":"pull","Repository":"a","Digest":"d"}` + "\n" + `{"OperationName":"Pull","Repository":"c"}`: host + "/a@d " + host + "/c:*",
		`[{"OperationName":"Pull","Repository":"a","Tag":"b","Digest":"d"}]`:                                          host + "/a:b@d",
		`[{"Repository":"a"}]`:                                              "error",
		`[{"OperationName":"Pull"}]`:                                        "error",
		`[{"OperationName":"Pull","Repo`:                                    "error",
		`[{"OperationName":"Pull","Repository":"a","LoginServer":"other"}]`: "",
	} {
		got := []string{}
		for r, err := range retention.InUsePulls(c, opener(rows))(t.Context()) {
			if err != nil {
				r = "error"
			}
			got = append(got, r)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", rows, got, want)
		}
	}
}

// A plan that was written and read is the same, and one that was damaged is refused.
func TestReadPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.oldAndLast()
	document := string(mustJSON(t, w.plan(rulesOf(t, `"delete":[`+oldTags+`]`))))
	for name, damaged := range map[string]string{
		"cut short": document[:len(document)/2], "another version": strings.Replace(document, `{"version":1`, `{"version":2`, 1), "no JSON": "x",
		"unknown member": strings.Replace(document, `"registry"`, `"Registry"`, 1), "twice": strings.Replace(document, `"registry"`, `"version":1,"registry"`, 1),
		"totals": strings.Replace(document, `"manifests":{"total":2,"delete":1}`, `"manifests":{"total":2,"delete":0}`, 1), "more behind": document + "{}",
	} {
		if damaged == document {
			t.Errorf("%s: not damaged: %s", name, document)
		}
		if _, err := retention.ReadPlan(bytes.NewReader([]byte(damaged))); !errors.Is(err, retention.ErrPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nothing that a registry says can write a line of its own into the table.
func TestTableIsOneLineEach(t *testing.T) {
	t.Parallel()
	p := &retention.Plan{Version: 1, Made: time.Unix(0, 0), Repositories: []*retention.RepositoryPlan{{
		Name: "a", Findings: []retention.Finding{{Code: "x", What: "evil\nGOES all", Detail: "\x1b[2J"}},
	}, {Name: "b", Refused: &retention.Refusal{Code: "x\n\x1b[2J", Text: "y"}}}}
	var b bytes.Buffer
	if err := p.WriteTable(&b); err != nil || strings.ContainsAny(b.String(), "\x1b") || strings.Count(b.String(), "\n") != 4 {
		t.Errorf("%q %v", b.String(), err)
	}
}

// An image with very many tags does not make every line of a table as long as their names.
func TestTableOfManyTags(t *testing.T) {
	t.Parallel()
	kept := retention.Kept{Digest: digest.FromString("a"), Tags: slices.Repeat([]string{"tag"}, 1000), Reason: retention.Reason{Text: "it stays"}}
	p := &retention.Plan{Repositories: []*retention.RepositoryPlan{{Name: "apps/web", Keep: []retention.Kept{kept}}}}
	var b bytes.Buffer
	if err := p.WriteTable(&b); err != nil || b.Len() > 300 || !strings.Contains(b.String(), " and 997 more") {
		t.Errorf("%v\n%.500s", err, b.String())
	}
}

// The table begins with the youngest tag, whatever the digests are.
func TestTableBeginsWithTheYoungest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.put(w.image(), "a")
	w.days(100)
	w.put(w.image(), "c")
	w.days(60)
	w.tag(repository, "b", d)
	w.days(40)
	w.put(w.image(), "z")
	var table bytes.Buffer
	if err := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)).WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	var tags []string
	for line := range strings.Lines(table.String()) {
		if fields := strings.Fields(line); fields[0] == "GOES" {
			tags = append(tags, fields[1])
		}
	}
	if !slices.Equal(tags, []string{"b", "a", "c"}) {
		t.Errorf("%v\n%s", tags, table.String())
	}
}

// What goes along with a manifest is counted, one and many.
func TestTableCountsWhatGoesAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, tag := range []string{"one", "two"} {
		n := i + 1
		var parts []digest.Digest
		for range n {
			parts = append(parts, w.put(w.image(), ""))
		}
		root := w.put(w.index(parts...), tag)
		for range n {
			w.put(w.referrer("application/vnd.example.sbom", root), "")
		}
	}
	w.put(w.image(), "newest") // which always stays
	w.days(100)
	var table bytes.Buffer
	if err := w.plan(rulesOf(t, `"delete":[`+oldTags+`]`)).WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" + 1 image of it + 1 referrer\n", " + 2 images of it + 2 referrers\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}
