package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// known is what a writer has been told of its repository.
type known struct {
	manifests map[string]bool
	tags      map[string]string // tag to digest
	locked    map[string]bool   // tags that must not be deleted
}

func (k known) clone() known {
	return known{maps.Clone(k.manifests), maps.Clone(k.tags), maps.Clone(k.locked)}
}

func (k known) equal(o known) bool {
	return maps.Equal(k.manifests, o.manifests) && maps.Equal(k.tags, o.tags) && maps.Equal(k.locked, o.locked)
}

// session is an upload that was under way.
type session struct {
	location string
	content  []byte
	told     int // bytes that the registry has acknowledged
}

// writer changes one repository and keeps account of it.
type writer struct {
	api
	repository string
	next       int
	known
	blobs   map[string]bool // by digest; false: deleted
	fresh   map[string]bool // those of the last run
	doubt   func(known)     // the change that nobody was told of, if it is one of known
	upload  *session
	tallied counts
}

type counts struct{ acknowledged, doubtful, made, resumed, blobs, manifests, tags int }

func (c *counts) add(w *writer) {
	c.acknowledged += w.tallied.acknowledged
	c.doubtful += w.tallied.doubtful
	c.made += w.tallied.made
	c.resumed += w.tallied.resumed
	c.manifests += len(w.manifests)
	c.tags += len(w.tags)
	for _, there := range w.blobs {
		if there {
			c.blobs++
		}
	}
}

func newWriter(i int) *writer {
	return &writer{
		repository: fmt.Sprintf("writers/w%d", i), blobs: map[string]bool{}, fresh: map[string]bool{},
		known: known{map[string]bool{}, map[string]string{}, map[string]bool{}},
	}
}

// write makes changes until the program is gone.
func (w *writer) write(wrote chan<- struct{}) {
	for w.round() {
		select {
		case wrote <- struct{}{}:
		default:
		}
	}
	select { // also if the very first write failed: then the test says so
	case wrote <- struct{}{}:
	default:
	}
}

// round makes a few changes; false when the program is gone.
func (w *writer) round() bool {
	i := w.next
	w.next++
	layer := []byte(strings.Repeat(fmt.Sprint(w.repository, i, " "), 1+i%7*900))
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","n":"%s %d"}`, w.repository, i)
	if !w.chunks(layer) || !w.whole(config) {
		return false
	}
	tag, manifest := fmt.Sprint("t", i), image(config, layer)
	d := digest.FromBytes(manifest).String()
	put := func(tag string) bool {
		return w.change(http.StatusCreated, http.MethodPut, "/v2/"+w.repository+"/manifests/"+tag, manifest, func(k known) { k.manifests[d], k.tags[tag] = true, d })
	}
	if !put(tag) || !put("latest") {
		return false
	}
	ok := true
	if ok && i%3 == 0 {
		ok = w.change(http.StatusAccepted, http.MethodDelete, "/acr/v1/"+w.repository+"/_tags/"+tag, nil, func(k known) { delete(k.tags, tag) })
	}
	if ok && i%3 == 1 {
		ok = w.change(http.StatusOK, http.MethodPatch, "/acr/v1/"+w.repository+"/_tags/"+tag, []byte(`{"deleteEnabled":false}`), func(k known) { k.locked[tag] = true })
	}
	if ok && i%5 == 2 {
		ok = w.deleteOld(d)
	}
	return ok
}

// deleteOld deletes a manifest that holds no locked tag, with its tags.
func (w *writer) deleteOld(but string) bool {
	for _, d := range slices.Sorted(maps.Keys(w.manifests)) {
		held := d == but
		for tag := range w.locked {
			held = held || w.tags[tag] == d
		}
		if !held {
			return w.change(http.StatusAccepted, http.MethodDelete, "/v2/"+w.repository+"/manifests/"+d, nil, func(k known) {
				delete(k.manifests, d)
				maps.DeleteFunc(k.tags, func(_, of string) bool { return of == d })
			})
		}
	}
	return true
}

// change sends a write, and notes it when it is acknowledged, or as doubtful when the program is gone.
func (w *writer) change(status int, method, path string, body []byte, apply func(known)) bool {
	a, err := w.send(method, path, body)
	if err != nil {
		w.doubt = apply
		w.tallied.doubtful++
		return false
	}
	if !w.want(a, status, method, path) {
		return false
	}
	apply(w.known)
	w.tallied.acknowledged++
	return true
}

// whole uploads a blob in one request.
func (w *writer) whole(content []byte) bool {
	d := digest.FromBytes(content).String()
	a, err := w.send(http.MethodPost, "/v2/"+w.repository+"/blobs/uploads/?digest="+d, content)
	return err == nil && w.want(a, http.StatusCreated, "POST", "a whole blob") && w.told(d)
}

func (w *writer) told(d string) bool {
	w.blobs[d], w.fresh[d] = true, true
	w.tallied.acknowledged++
	return true
}

// chunks uploads a blob in two chunks.
func (w *writer) chunks(content []byte) bool {
	a, err := w.send(http.MethodPost, "/v2/"+w.repository+"/blobs/uploads/", nil)
	if err != nil || !w.want(a, http.StatusAccepted, "POST", "an upload") {
		return false
	}
	w.upload = &session{location: a.Header.Get("Location"), content: content}
	return w.goOn(len(content)/2) && w.goOn(len(content)) && w.complete()
}

// goOn sends the bytes of the session up to an offset.
func (w *writer) goOn(to int) bool {
	u := w.upload
	a, err := w.send(http.MethodPatch, u.location, u.content[u.told:to])
	if err != nil || !w.want(a, http.StatusAccepted, "PATCH", u.location) {
		return false
	}
	u.told, u.location = to, a.Header.Get("Location")
	w.tallied.acknowledged++
	return true
}

func (w *writer) complete() bool {
	u := w.upload
	d := digest.FromBytes(u.content).String()
	a, err := w.send(http.MethodPut, u.location+"&digest="+url.QueryEscape(d), nil)
	if err != nil || !w.want(a, http.StatusCreated, "PUT", u.location) {
		return false
	}
	w.upload = nil
	return w.told(d)
}

// check demands that the registry holds what the writer knows of, and lets the upload that was under way go on.
func (w *writer) check() {
	w.t.Helper()
	w.checkLists()
	w.checkBlobs(w.fresh)
	w.fresh = map[string]bool{}
	if w.upload == nil {
		return
	}
	u := w.upload
	a, err := w.send(http.MethodGet, u.location, nil)
	switch {
	case err != nil:
		w.t.Errorf("%s: the upload: %v", w.repository, err)
	case a.StatusCode == http.StatusNotFound && u.told == len(u.content): // completed without a word
		w.blobs[digest.FromBytes(u.content).String()] = true
		w.checkBlobs(map[string]bool{digest.FromBytes(u.content).String(): true})
		w.tallied.made++
	case w.want(a, http.StatusNoContent, "GET", "the upload that was under way"):
		last := 0
		if _, err := fmt.Sscanf(a.Header.Get("Range"), "0-%d", &last); err != nil || last+1 < u.told {
			w.t.Errorf("%s: the upload is at %q, %d bytes were acknowledged", w.repository, a.Header.Get("Range"), u.told)
			return
		}
		if last > 0 {
			u.told = last + 1
		}
		u.location = a.Header.Get("Location")
		if w.goOn(len(u.content)) && w.complete() {
			w.tallied.resumed++
		}
	}
	w.upload = nil
}

func (w *writer) checkLists() {
	w.t.Helper()
	found := known{map[string]bool{}, map[string]string{}, map[string]bool{}}
	for _, m := range w.list("_manifests") {
		found.manifests[m.Digest] = true
	}
	for _, tag := range w.list("_tags") {
		found.tags[tag.Name] = tag.Digest
		if !tag.ChangeableAttributes.DeleteEnabled {
			found.locked[tag.Name] = true
		}
	}
	if w.doubt != nil && !found.equal(w.known) {
		made := w.clone()
		w.doubt(made)
		w.known = made
		w.tallied.made++
	}
	w.doubt = nil
	if !found.equal(w.known) {
		w.t.Errorf("%s: %d manifests, %d tags, %d locks are there, but the writer was told of %d, %d, %d (or these are others)",
			w.repository, len(found.manifests), len(found.tags), len(found.locked), len(w.manifests), len(w.tags), len(w.locked))
	}
}

// checkBlobs demands that the blobs are there, byte for byte.
func (w *writer) checkBlobs(blobs map[string]bool) {
	w.t.Helper()
	for d := range blobs {
		a, err := w.send(http.MethodGet, "/v2/"+w.repository+"/blobs/"+d, nil) // net/http follows to storage
		if err != nil || a.StatusCode != http.StatusOK || digest.FromBytes(a.body).String() != d {
			w.t.Errorf("%s: blob %s: status %d, %d bytes, %v", w.repository, d, a.StatusCode, len(a.body), err)
		}
	}
}

func image(config, layer []byte) []byte {
	descriptor := func(mediaType string, b []byte) map[string]any {
		return map[string]any{"mediaType": mediaType, "digest": digest.FromBytes(b), "size": len(b)}
	}
	raw, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

// api calls the registry as its admin user.
type api struct {
	t        *testing.T
	client   *http.Client
	endpoint string
	user     string
	password string
}

type answer struct {
	*http.Response
	body []byte
}

func (c api) send(method, path string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth(c.user, c.password)
	req.GetBody = nil // a write is sent once
	req.Header.Set("Accept", "*/*")
	if strings.Contains(path, "/manifests/") {
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{Response: new(http.Response)}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp, raw}, err
}

func (c api) want(a answer, status int, method, path string) bool {
	if a.StatusCode == status {
		return true
	}
	c.t.Errorf("%s %s: status %d, want %d: %s", method, path, a.StatusCode, status, a.body)
	return false
}

type listed struct {
	Name, Digest         string
	ChangeableAttributes struct{ DeleteEnabled bool }
}

// list reads all pages; a repository that is not there yet has none.
func (w *writer) list(kind string) (all []listed) {
	w.t.Helper()
	for next := "/acr/v1/" + w.repository + "/" + kind + "?n=1000"; next != ""; {
		a, err := w.send(http.MethodGet, next, nil)
		if err == nil && a.StatusCode == http.StatusNotFound && len(w.manifests) == 0 {
			return nil
		}
		var page struct{ Tags, Manifests []listed }
		if err == nil {
			err = json.Unmarshal(a.body, &page)
		}
		if err != nil {
			w.t.Errorf("%s: %v", next, err)
			return nil
		}
		all = append(append(all, page.Tags...), page.Manifests...)
		next, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	return all
}
