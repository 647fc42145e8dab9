package acr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// slowly delays each request by some time of its own.
type slowly struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(rand.N(50 * time.Millisecond))
	resp, err := s.RoundTripper.RoundTrip(r)
	time.Sleep(rand.N(50 * time.Millisecond))
	return resp, err
}

// withoutReferrersAPI returns a registry that has no referrers API.
func withoutReferrersAPI(t *testing.T, opts ...acrtest.Option) *acrtest.Server {
	t.Helper()
	srv := acrsuite.NewServer(t, opts...)
	srv.On("PutManifest").Always().WithoutHeader("OCI-Subject")
	srv.On("ListReferrers").Always().Status(http.StatusNotFound).Body("text/plain", "404 page not found\n")
	return srv
}

// Several clients that note referrers of one subject at once lose none of them.
func TestReferrersTagOfManyClients(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "F89 many writers of a referrers tag", testReferrersTagOfManyClients)
}

func testReferrersTagOfManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := withoutReferrersAPI(t, acrtest.WithMemoryNetwork())
		subject := putIndex(t, acrsuite.NewClient(t, srv).Repository("library/hello"), "v1", "x").Digest
		const clients, each = 4, 10
		var wg sync.WaitGroup
		for n := range clients {
			client := acrsuite.Checked(t, srv)
			client.Transport = slowly{client.Transport}
			r := acrsuite.NewClientVia(t, srv, client).Repository("library/hello")
			wg.Go(func() {
				for i := range each {
					if _, err := r.PutManifest(t.Context(), "", referrer("a/b", subject, fmt.Sprint(n, i)), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		all, err := acr.Collect(acrsuite.NewClient(t, srv).Repository("library/hello").Referrers(t.Context(), subject, nil))
		if err != nil || len(all) != clients*each {
			t.Errorf("%d of %d referrers: %v", len(all), clients*each, err)
		}
	})
}

// A client that overwrites the tag every time is told of, in the end.
func TestReferrersTagOverwritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			switch {
			case r.Method == http.MethodPut:
				return acrsuite.Answer(201, "")
			case strings.Contains(r.URL.Path, "/referrers/"):
				return acrsuite.Answer(404, "404 page not found\n", "Content-Type", "text/plain")
			}
			return acrsuite.Answer(200, `{"schemaVersion":2,"manifests":[]}`, "Content-Type", ocispec.MediaTypeImageIndex)
		}}
		_, err := s.Client(t).Repository("a").PutManifest(t.Context(), "", referrer("a/b", acrsuite.GoodDigest, "x"), nil)
		if err == nil || !strings.Contains(err.Error(), "overwritten") {
			t.Error(err)
		}
	})
}

// What other clients write into the index under a referrers tag stays, known or not.
func TestReferrersTagKeepsMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := withoutReferrersAPI(t, acrtest.WithMemoryNetwork())
		r := acrsuite.NewClient(t, srv).Repository("library/hello")
		subject := putIndex(t, r, "v1", "x").Digest
		entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"x-entry":{"b":1,"a":[12345678901234567890]}}`, ocispec.MediaTypeImageIndex, subject, 1)
		tag := strings.Replace(string(subject), ":", "-", 1)
		index := `{"x-tool":{"a":1,"A":2},"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + entry + `],"annotations":{"k":"v"}}`
		if _, err := r.PutManifest(t.Context(), tag, []byte(index), nil); err != nil {
			t.Fatal(err)
		}
		added, err := r.PutManifest(t.Context(), "", referrer("a/b", subject, "y"), nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.GetManifest(t.Context(), tag)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		var entries []json.RawMessage
		if err := errors.Join(json.Unmarshal(m.Content, &got), json.Unmarshal(got["manifests"], &entries)); err != nil {
			t.Fatal(err)
		}
		if string(got["x-tool"]) != `{"a":1,"A":2}` || string(got["annotations"]) != `{"k":"v"}` || len(entries) != 2 || string(entries[0]) != entry || !strings.Contains(string(entries[1]), string(added.Digest)) {
			t.Errorf("%s", m.Content)
		}
	})
}

// What is put is what can be gotten: members that have to be objects or lists of them are.
func TestPutManifestOfOtherTypes(t *testing.T) {
	t.Parallel()
	s := &acrsuite.Scripted{}
	r := s.Client(t).Repository("a")
	descriptor := fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":1}`, digest.FromString("x"))
	for mediaType, members := range map[string][]string{
		ocispec.MediaTypeImageManifest:                  {`"config":%s,"layers":[]`, `"config":` + descriptor + `,"layers":%s`, `"config":` + descriptor + `,"layers":[%s]`, `"config":` + descriptor + `,"layers":[],"subject":%s`},
		ocispec.MediaTypeImageIndex:                     {`"manifests":%s`, `"manifests":[%s]`, `"manifests":[],"subject":%s`},
		"application/vnd.oci.artifact.manifest.v1+json": {`"subject":%s`},
	} {
		for _, member := range members {
			for _, value := range []string{`5`, `"x"`, `true`, `[5]`, `[[]]`, `{"digest":5}`} {
				content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,%s}`, mediaType, fmt.Sprintf(member, value))
				if _, err := r.PutManifest(t.Context(), "v1", []byte(content), nil); !errors.Is(err, acr.ErrManifestMalformed) {
					t.Errorf("%s: %v", content, err)
				}
			}
		}
	}
	if sent := s.Requests(); len(sent) > 0 {
		t.Errorf("sent %q", sent)
	}
}

// Deleting a referrer removes its entry from the referrers tag, and nothing else; beside others who add
// and remove theirs none is lost.
func TestDeleteReferrerOfTag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := withoutReferrersAPI(t, acrtest.WithMemoryNetwork())
		first := acrsuite.NewClient(t, srv).Repository("library/hello")
		subject := putIndex(t, first, "v1", "x").Digest
		const clients, each = 3, 6
		put := func(r *acr.Repository, n, i int) digest.Digest {
			d, err := r.PutManifest(t.Context(), "", referrer("a/b", subject, fmt.Sprint(n, i)), nil)
			if err != nil {
				t.Error(err)
			}
			return d.Digest
		}
		var wg sync.WaitGroup
		for n := range clients {
			client := acrsuite.Checked(t, srv)
			client.Transport = slowly{client.Transport}
			r := acrsuite.NewClientVia(t, srv, client).Repository("library/hello")
			var old []digest.Digest
			for i := range each {
				old = append(old, put(first, n, i))
			}
			wg.Go(func() {
				for i, d := range old { // one goes, another comes
					if err := r.DeleteManifest(t.Context(), d); err != nil {
						t.Error(err)
					}
					put(r, n, each+i)
				}
			})
		}
		wg.Wait()
		all, err := acr.Collect(first.Referrers(t.Context(), subject, nil))
		if err != nil || len(all) != clients*each {
			t.Errorf("%d of %d referrers: %v", len(all), clients*each, err)
		}
		for _, d := range all {
			if _, err := first.HeadManifest(t.Context(), string(d.Digest)); err != nil {
				t.Errorf("%s is listed: %v", d.Digest, err)
			}
			if err := acrsuite.NewClient(t, srv).Repository("library/hello").Artifact(string(d.Digest)).Delete(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if all, err := acr.Collect(first.Referrers(t.Context(), subject, nil)); err != nil || len(all) > 0 {
			t.Errorf("left: %v, %v", all, err)
		}
	})
}

// An entry that a client of another kind has left behind does not keep others from adding theirs: the
// registry refuses an index that names what it does not have.
func TestReferrersTagDeadEntry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := withoutReferrersAPI(t, acrtest.WithMemoryNetwork())
		r := acrsuite.NewClient(t, srv).Repository("library/hello")
		subject := putIndex(t, r, "v1", "x").Digest
		put := func(text string) digest.Digest {
			d, err := r.PutManifest(t.Context(), "", referrer("a/b", subject, text), nil)
			if err != nil {
				t.Error(err)
			}
			return d.Digest
		}
		kept, dead := put("kept"), put("dead")
		// The other client deletes the manifest, and leaves the index as it is.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, srv.Endpoint()+"/v2/library/hello/manifests/"+string(dead), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(srv.Admin())
		other := srv.HTTPClient()
		defer other.CloseIdleConnections()
		resp, err := other.Do(req)
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
		began := time.Now()
		added := put("added")
		all, err := acr.Collect(r.Referrers(t.Context(), subject, nil))
		if err != nil || len(all) != 2 || all[0].Digest != kept || all[1].Digest != added {
			t.Errorf("%v, %v", all, err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("took %s: a replica may only be behind", took)
		}
	})
}

// What a deletion costs, with a referrers API and without one.
func TestDeleteManifestCost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		without   bool
		referrers bool // are deleted, instead of images
		want      map[string]int
	}{
		"with an API":            {want: map[string]int{"DeleteManifest": 3, "ListReferrers": 1}},
		"referrers, with an API": {referrers: true, want: map[string]int{"DeleteManifest": 3, "ListReferrers": 1}},
		"without":                {without: true, want: map[string]int{"DeleteManifest": 3, "ListReferrers": 3, "GetManifest": 3}},
		"referrers, without":     {without: true, referrers: true, want: map[string]int{"DeleteManifest": 3, "ListReferrers": 3, "GetManifest": 9, "PutManifest": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := acrsuite.NewServer(t, acrtest.WithMemoryNetwork())
				if test.without {
					srv = withoutReferrersAPI(t, acrtest.WithMemoryNetwork())
				}
				r := acrsuite.NewClient(t, srv).Repository("library/hello")
				subject := putIndex(t, r, "v1", "x").Digest
				var doomed []digest.Digest
				for i := range 3 {
					content := referrer("a/b", subject, fmt.Sprint(i))
					if !test.referrers {
						content = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"n":"%d"}}`, ocispec.MediaTypeImageIndex, i)
					}
					d, err := r.PutManifest(t.Context(), "", content, nil)
					if err != nil {
						t.Fatal(err)
					}
					doomed = append(doomed, d.Digest)
				}
				r = acrsuite.NewClient(t, srv).Repository("library/hello")
				srv.Ledger().Reset()
				for _, d := range doomed {
					if err := r.DeleteManifest(t.Context(), d); err != nil {
						t.Error(err)
					}
				}
				for _, op := range []string{"DeleteManifest", "ListReferrers", "GetManifest", "PutManifest"} {
					if n := srv.Ledger().Count(op); n != test.want[op] {
						t.Errorf("%d %s, want %d", n, op, test.want[op])
					}
				}
			})
		})
	}
}

// An identity that may only delete deletes, and asks about referrers once.
func TestDeleteManifestWithoutPull(t *testing.T) {
	t.Parallel()
	srv := acrsuite.NewServer(t, acrtest.WithRepositoryToken("cleaner", "secret", "library/hello content/delete"))
	seeded := []digest.Digest{srv.SeedImage(t, "library/hello:v1"), srv.SeedImage(t, "library/hello:v2"), srv.SeedImage(t, "library/hello:v3")}
	client, err := acr.NewClientWithPassword(srv.Endpoint(), "cleaner", "secret", &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for _, d := range seeded {
		if err := client.Repository("library/hello").DeleteManifest(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
	srv.Ledger().AtMost(t, 2, "ListReferrers")
}
