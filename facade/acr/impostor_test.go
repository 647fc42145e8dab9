package acr_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// portals are answers of somebody else: a portal or proxy that takes every request for one of a browser.
var portals = map[string]func(*http.Request) *http.Response{
	"a page": func(*http.Request) *http.Response {
		return acrsuite.Answer(200, "<html>Your session has ended</html>", "Content-Type", "text/html; charset=utf-8")
	},
	"a page without a type": func(*http.Request) *http.Response {
		resp := acrsuite.Answer(200, "<html>Your session has ended</html>")
		resp.Header.Del("Content-Type")
		return resp
	},
	"a page of unknown length": func(*http.Request) *http.Response {
		resp := acrsuite.Answer(200, "<!DOCTYPE html>\n<html></html>", "Content-Type", "text/plain")
		resp.ContentLength = -1
		return resp
	},
	"a page that calls itself JSON": func(*http.Request) *http.Response { return acrsuite.Answer(200, "<html>Your session has ended</html>") },
	"a page of XHTML": func(*http.Request) *http.Response {
		return acrsuite.Answer(200, "<html/>", "Content-Type", "application/xhtml+xml")
	},
	"somebody's JSON": func(*http.Request) *http.Response {
		return acrsuite.Answer(200, `{"status":"ok","login":"https://portal"}`)
	},
	"a list in JSON": func(*http.Request) *http.Response { return acrsuite.Answer(200, `[]`) },
	"a word in JSON": func(*http.Request) *http.Response { return acrsuite.Answer(200, `true`) },
	"null":           func(*http.Request) *http.Response { return acrsuite.Answer(200, `null`) },
	"words":          func(*http.Request) *http.Response { return acrsuite.Answer(200, "OK", "Content-Type", "text/plain") },
}

// No answer of somebody else is taken for the registry's, by any call.
func TestAnswersOfSomebodyElse(t *testing.T) {
	t.Parallel()
	dgst := acrsuite.GoodDigest
	calls := map[string]func(context.Context, *acr.Client, *acr.Repository) error{
		"Ping":           func(ctx context.Context, c *acr.Client, _ *acr.Repository) error { return c.Ping(ctx) },
		"DeleteManifest": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error { return r.DeleteManifest(ctx, dgst) },
		"DeleteBlob":     func(ctx context.Context, _ *acr.Client, r *acr.Repository) error { return r.DeleteBlob(ctx, dgst) },
		"DeleteTag": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			return r.Artifact("v1").DeleteTag(ctx)
		},
		"Untag": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := r.Artifact("v1").Untag(ctx)
			return err
		},
		"Artifact.Delete": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			return r.Artifact(string(dgst)).Delete(ctx)
		},
		"RestoreManifest": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			return r.RestoreManifest(ctx, dgst, nil)
		},
		"Repository.Delete": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error { _, err := r.Delete(ctx); return err },
		"HeadBlob": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := r.HeadBlob(ctx, dgst)
			return err
		},
		"HeadManifest": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := r.HeadManifest(ctx, "v1")
			return err
		},
		"GetManifest": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := r.GetManifest(ctx, "v1")
			return err
		},
		"Repositories": func(ctx context.Context, c *acr.Client, _ *acr.Repository) error {
			_, err := acr.Collect(c.Repositories(ctx, nil))
			return err
		},
		"Tags": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := acr.Collect(r.Tags(ctx, nil))
			return err
		},
		"UploadBlob": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			_, err := r.UploadBlob(ctx, acrsuite.Stream{Reader: strings.NewReader("x")}, &acr.UploadOptions{Digest: digest.FromString("x")})
			return err
		},
		"GetBlob": func(ctx context.Context, _ *acr.Client, r *acr.Repository) error {
			b, err := r.GetBlob(ctx, dgst, nil)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, b)
			return errors.Join(err, b.Close())
		},
		"Doctor": func(ctx context.Context, c *acr.Client, _ *acr.Repository) error {
			report, err := c.Doctor(ctx, &acr.DoctorOptions{Repository: "a/b"})
			if err != nil {
				return nil //nolint:nilerr // a report is what is asked for
			}
			for _, step := range []string{acr.DoctorToken, acr.DoctorCatalog, acr.DoctorPull} {
				if s := report.Step(step); s.Status == acr.DoctorOK {
					return nil
				}
			}
			return errors.New("no step passed")
		},
	}
	for portal, answer := range portals {
		for name, call := range calls {
			t.Run(portal+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := (&acrsuite.Scripted{Answer: answer}).Client(t)
				if err := call(t.Context(), c, c.Repository("a/b")); err == nil {
					t.Error("somebody else's answer was taken for the registry's")
				}
			})
		}
	}
	for _, body := range []string{"", "{}", `{"x":1}`} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body) }}).Client(t)
		if _, err := c.Repository("a").Delete(t.Context()); !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("200 %q: %v", body, err)
		}
	}
}

// The error about a portal says where, what came and what it looks like.
func TestPortalIsNamed(t *testing.T) {
	t.Parallel()
	c := (&acrsuite.Scripted{Answer: portals["a page"]}).Client(t)
	_, err := acr.Collect(c.Repository("a/b").Tags(t.Context(), nil))
	if !errors.Is(err, acr.ErrMalformedReply) {
		t.Fatal(err)
	}
	for _, text := range []string{"https://registry.azurecr.io/acr/v1/a/b/_tags", "200", "text/html", "portal"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %v", text, err)
		}
	}
}

// HeadBlob believes a registry: one that names the digest or the API, or redirects to storage.
func TestHeadBlobBelievesARegistry(t *testing.T) {
	t.Parallel()
	dgst := digest.FromString("x")
	for name, row := range map[string]struct {
		headers []string
		fine    bool
	}{
		"names the digest": {[]string{"Docker-Content-Digest", string(dgst)}, true},
		"names the API":    {[]string{"Docker-Distribution-Api-Version", "registry/2.0"}, true},
		"names nothing":    {nil, false},
		"names itself":     {[]string{"Docker-Distribution-Api-Version", "portal/1.0", "Content-Type", "application/octet-stream"}, false},
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, "x", row.headers...) }}).Client(t)
		desc, err := c.Repository("a").HeadBlob(t.Context(), dgst)
		if row.fine && (err != nil || desc.Size != 1) || !row.fine && !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("%s: %+v, %v", name, desc, err)
		}
	}
}

// What a registry states as a digest is a digest, or the call fails: whatever it is, it panics nowhere and is not passed over.
func TestStatedDigests(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F79 digest that is none", testStatedDigests)
}

func testStatedDigests(t *testing.T) {
	content := "x"
	other := digest.FromString("y")
	for _, stated := range []string{"garbage", "x", "-", "sha256", "sha256:", ":", "sha256:ab", "md5:" + strings.Repeat("a", 32), string(other), string(digest.SHA512.FromString(content))} {
		with := func(status int, headers ...string) *http.Response {
			resp := acrsuite.Answer(status, "", append(headers, "Docker-Content-Digest", stated)...)
			resp.Header.Del("Content-Type")
			return resp
		}
		for name, call := range map[string]struct {
			answer func(*http.Request) *http.Response
			run    func(context.Context, *acr.Repository) error
		}{
			"upload": {func(*http.Request) *http.Response { return with(201) }, func(ctx context.Context, r *acr.Repository) error {
				_, err := r.UploadBlob(ctx, strings.NewReader(content), nil)
				return err
			}},
			"commit": {func(r *http.Request) *http.Response {
				if r.Method == http.MethodPost {
					resp := acrsuite.Answer(202, "", "Location", "/v2/a/b/blobs/uploads/1")
					resp.Header.Del("Content-Type")
					return resp
				}
				return with(201)
			}, func(ctx context.Context, r *acr.Repository) error {
				w, err := r.StartUpload(ctx, nil)
				if err != nil {
					return err
				}
				defer w.Cancel()
				if _, err := io.WriteString(w, content); err != nil {
					return err
				}
				_, err = w.Commit()
				return err
			}},
			"mount": {func(*http.Request) *http.Response { return with(201) }, func(ctx context.Context, r *acr.Repository) error {
				_, err := r.MountBlob(ctx, digest.FromString(content), "c/d")
				return err
			}},
			"head of a blob": {func(*http.Request) *http.Response { return with(200, "Content-Length", "1") }, func(ctx context.Context, r *acr.Repository) error {
				_, err := r.HeadBlob(ctx, digest.FromString(content))
				return err
			}},
			"put of a manifest": {func(*http.Request) *http.Response { return with(201) }, func(ctx context.Context, r *acr.Repository) error {
				_, err := r.PutManifest(ctx, "v1", []byte(acrsuite.ImageManifest), nil)
				return err
			}},
		} {
			c := (&acrsuite.Scripted{Answer: call.answer}).Client(t)
			if err := call.run(t.Context(), c.Repository("a/b")); !errors.Is(err, acr.ErrDigestMismatch) {
				t.Errorf("%s, %q stated: %v", name, stated, err)
			}
		}
	}
	twice := func(*http.Request) *http.Response {
		resp := acrsuite.Answer(201, "")
		resp.Header["Docker-Content-Digest"] = []string{string(digest.FromString(content)), string(other)}
		return resp
	}
	c := (&acrsuite.Scripted{Answer: twice}).Client(t)
	if _, err := c.Repository("a").UploadBlob(t.Context(), strings.NewReader(content), nil); !errors.Is(err, acr.ErrUntrusted) {
		t.Errorf("two digests: %v", err)
	}
}

// A blob is skipped only if the registry says that it has this one. A HEAD that fails does not end the push.
func TestSkippedBlob(t *testing.T) {
	t.Parallel()
	dgst := digest.FromString("x")
	for name, row := range map[string]struct {
		head    func() *http.Response
		skipped bool
	}{
		"named":     {func() *http.Response { return acrsuite.Answer(200, "x", "Docker-Content-Digest", string(dgst)) }, true},
		"not named": {func() *http.Response { return acrsuite.Answer(200, "x") }, false},
		"another": {func() *http.Response {
			return acrsuite.Answer(200, "x", "Docker-Content-Digest", string(digest.FromString("y")))
		}, false},
		"garbage":              {func() *http.Response { return acrsuite.Answer(200, "x", "Docker-Content-Digest", "garbage") }, false},
		"a page":               {func() *http.Response { return portals["a page"](nil) }, false},
		"storage out of reach": {func() *http.Response { return acrsuite.Answer(307, "", "Location", "https://storage.invalid/x") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := (&acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
				switch {
				case r.URL.Host == "storage.invalid":
					return nil
				case r.Method == http.MethodHead:
					return row.head()
				}
				resp := acrsuite.Answer(201, "", "Docker-Content-Digest", string(dgst))
				return resp
			}}).Client(t)
			var last acr.Progress
			desc, err := c.Repository("a").UploadBlob(t.Context(), acrsuite.Stream{Reader: strings.NewReader("x")}, &acr.UploadOptions{Digest: dgst, Progress: func(p acr.Progress) { last = p }})
			if err != nil || desc.Size != 1 || last.Skipped != row.skipped {
				t.Errorf("%+v, skipped %t, %v", desc, last.Skipped, err)
			}
		})
	}
}

// One odd time stamp does not lose the list, and one odd name is not handed on.
func TestOddEntries(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[string]string{
		"2021-06-02T11:50:19.8445388": "2021-06-02T11:50:19.8445388Z", "2021-06-02t11:50:19z": "2021-06-02T11:50:19Z", "0001-01-01T00:00:00": "0001-01-01T00:00:00Z",
		"yesterday": "0001-01-01T00:00:00Z", "": "0001-01-01T00:00:00Z", "2021-06-02T11:50:19+02:00": "2021-06-02T11:50:19+02:00",
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
			return acrsuite.Answer(200, `{"tags":[{"name":"a","createdTime":"`+stamp+`"},{"name":"b"}]}`)
		}}).Client(t)
		tags, err := acr.Collect(c.Repository("a").Tags(t.Context(), nil))
		if err != nil || len(tags) != 2 {
			t.Errorf("%q: %v", stamp, err)
			continue
		}
		if got := tags[0].CreatedTime.Format("2006-01-02T15:04:05.9999999Z07:00"); got != want {
			t.Errorf("%q: %s", stamp, got)
		}
	}
	for _, name := range []string{`null`, `""`, `"a\u0007b"`, `"../../x"`, `"a/../b"`, `"."`, `"a\u202eb"`, `"a b"`, `"` + strings.Repeat("a", 10_000) + `"`, `"é"`} {
		c := (&acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			if strings.Contains(r.URL.Path, "tags") {
				return acrsuite.Answer(200, `{"name":"a","tags":["v1",`+name+`]}`)
			}
			return acrsuite.Answer(200, `{"repositories":["v1",`+name+`]}`)
		}}).Client(t)
		if names, err := acr.Collect(c.Repositories(t.Context(), nil)); !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("repository %s: %q, %v", name, names, err)
		}
		if names, err := acr.Collect(c.Repository("a").TagNames(t.Context(), nil)); !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("tag %s: %q, %v", name, names, err)
		}
	}
}

// Two readers understand a manifest alike: a specified member in another case is refused, at every level, and members that nobody
// specifies may have any case.
func TestCaseOfMembers(t *testing.T) {
	t.Parallel()
	const good = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]`
	layer := func(member string) string {
		return strings.Replace(good, `"layers":[]`, `"layers":[{`+member+`,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}]`, 1) + "}"
	}
	for manifest, fine := range map[string]bool{
		good + `}`:                                                      true,
		good + `,"x-tool":{"A":1,"a":2}}`:                               true,
		good + `,"x-tool":1,"X-Tool":2}`:                                true,
		good + `,"annotations":{"A":"1","a":"2"}}`:                      true,
		good + `,"x-tool":{"a":1,"a":2}}`:                               false,
		good + `,"Subject":{"digest":"x"}}`:                             false,
		good + `,"\u017fubject":{}}`:                                    false, // a long s
		good + `,"mediatype":"x"}`:                                      false,
		layer(`"mediaType":"a"`):                                        true,
		layer(`"MediaType":"a"`):                                        false,
		layer(`"Digest":"sha256:00"`):                                   false,
		layer(`"mediaType":"a","mediaType":"b"`):                        false,
		layer(`"platform":{"OS":"linux"}`):                              false,
		layer(`"annotations":{"Digest":"x"}`):                           true,
		strings.Replace(good, `"size":2`, `"ſize":3,"size":2`, 1) + `}`: false,
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
			return acrsuite.Answer(200, manifest, "Content-Type", "application/vnd.oci.image.manifest.v1+json")
		}}).Client(t)
		if _, err := c.Repository("a").GetManifest(t.Context(), "v1"); (err == nil) != fine || !fine && !errors.Is(err, acr.ErrManifestMalformed) {
			t.Errorf("%s: %v", manifest, err)
		}
	}
	for _, list := range []string{
		`{"manifests":[],"Manifests":[{"digest":"x"}]}`, `{"manifests":[],"manifests":[]}`,
		`{"manifests":[{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","Digest":"sha256:00","size":1}]}`,
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, list) }}).Client(t)
		if _, err := acr.Collect(c.Repository("a").Referrers(t.Context(), acrsuite.GoodDigest, nil)); !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// A reply of many tiny entries does not cost a multiple of its size in memory.
func TestTinyEntriesAreCheap(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	acrsuite.RowAlone(t, "A69 millions of tiny entries", testTinyEntriesAreCheap)
}

func testTinyEntriesAreCheap(t *testing.T) {
	many := func(head, entry string, tail string) string {
		return head + strings.Repeat(entry+",", (4<<20-200)/(len(entry)+1)) + entry + tail
	}
	for name, row := range map[string]struct {
		body, mediaType string
		run             func(context.Context, *acr.Repository) error
	}{
		"references": {many(`{"manifests":[{"digest":"a","references":[`, `{}`, `]}]}`), "application/json", func(ctx context.Context, r *acr.Repository) error {
			_, err := acr.Collect(r.Manifests(ctx, nil))
			return err
		}},
		"deleted manifests": {many(`{"manifests":[`, `{"digest":"a"}`, `]}`), "application/json", func(ctx context.Context, r *acr.Repository) error {
			_, err := acr.Collect(r.DeletedManifests(ctx, nil))
			return err
		}},
		"layers": {many(`{"schemaVersion":2,"layers":[`, `{}`, `]}`), "application/vnd.oci.image.manifest.v1+json", func(ctx context.Context, r *acr.Repository) error {
			m, err := r.GetManifest(ctx, "v1")
			if err != nil {
				return err
			}
			_, err = m.Image()
			return err
		}},
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response {
			return acrsuite.Answer(200, row.body, "Content-Type", row.mediaType)
		}}).Client(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := row.run(t.Context(), c.Repository("a"))
		runtime.ReadMemStats(&after)
		if spent := (after.TotalAlloc - before.TotalAlloc) / uint64(len(row.body)); err == nil || spent > 60 {
			t.Errorf("%s: %v, and %d times its size", name, err, spent)
		}
	}
}
