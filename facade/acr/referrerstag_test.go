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
