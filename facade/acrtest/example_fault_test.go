package acrtest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// patience is how long the clients below wait for what does not come. For what does come they wait
// longer: the machine may be busy.
const patience = time.Second

// never is the byte at which a reply stalls that does not.
const never = -1

// outcome lists the catalog, and says what the client sees of it: the status and as many bytes as
// come, or that it broke. A client whose reply stalls at a byte loses its patience there.
func outcome(s *acrtest.Server, stallsAt int64) string {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	wait := time.AfterFunc(time.Minute, leave)
	defer wait.Stop()
	if stallsAt == 0 {
		wait.Reset(patience)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/acr/v1/_catalog", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.SetBasicAuth(s.Admin())
	client := s.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	switch {
	case ctx.Err() != nil:
		return "nothing"
	case err != nil:
		return "broken"
	}
	defer resp.Body.Close()
	var body strings.Builder
	if stallsAt > 0 {
		_, err = io.CopyN(&body, resp.Body, stallsAt)
		wait.Reset(patience)
	}
	if err == nil {
		_, err = io.Copy(&body, io.LimitReader(resp.Body, 1000))
	}
	said := fmt.Sprint(resp.StatusCode, " ", body.Len(), " bytes")
	switch {
	case ctx.Err() != nil:
		return said + ", then nothing"
	case err != nil:
		return said + ", then broken"
	}
	return said
}

// Replies that never come, or not whole.
func ExampleFault_ResetAfter() {
	s := start()
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	stalling := func(what string, at int64, _ *acrtest.Fault) { fmt.Println(what, outcome(s, at)); s.ClearFaults() }
	say := func(what string, fault *acrtest.Fault) { stalling(what, never, fault) }
	list := func() *acrtest.Fault { return s.On("ListRepositories") }

	fmt.Println("as it is:", outcome(s, never))
	say("reply dropped:", list().DropReply())
	say("connection reset:", list().ResetAfter(5))
	say("reply cut off:", list().Truncate(5))
	say("cut off without a sign:", list().TruncateClean(5))
	stalling("stalled:", 0, list().Stall())
	stalling("stalled in the middle:", 5, list().StallAfter(5))
	say("slow:", list().Slow(1<<10))
	say("endless:", list().Endless())
	say("no HTTP:", list().Raw("SSH-2.0-OpenSSH\r\n"))
	// Output:
	// as it is: 200 33 bytes
	// reply dropped: broken
	// connection reset: 200 5 bytes, then broken
	// reply cut off: 200 5 bytes, then broken
	// cut off without a sign: 200 5 bytes
	// stalled: nothing
	// stalled in the middle: 200 5 bytes, then nothing
	// slow: 200 33 bytes
	// endless: 200 1000 bytes
	// no HTTP: broken
}

// The names that a script may use are the operation ids of the OpenAPI document, and a few more.
// Here are those about tags.
func ExampleOperations() {
	for _, name := range acrtest.Operations() {
		if strings.Contains(name, "Tag") {
			fmt.Println(name)
		}
	}
	// Output:
	// DeleteTag
	// GetTagProperties
	// ListDeletedTags
	// ListTagNames
	// ListTags
	// UpdateTagAttributes
}

// Replies that are late.
func ExampleFault_Delay() {
	s := start()
	defer s.Close()
	for _, line := range []struct {
		fault *acrtest.Fault
		late  time.Duration
	}{
		{s.On("ListRepositories").Nth(1).Delay(20 * time.Millisecond), 20 * time.Millisecond},
		{s.On("ListRepositories").Nth(2).DelayReply(20 * time.Millisecond), 20 * time.Millisecond},
		{s.On("ListRepositories").Nth(3).Informational(2, http.StatusProcessing), 0},
		{s.On("ListRepositories").Nth(4).CloseIdle(), 0},
	} {
		began := time.Now()
		fmt.Println(outcome(s, never), time.Since(began) >= line.late, line.fault.Hits())
	}
	// Output:
	// 200 22 bytes true 1
	// 200 22 bytes true 1
	// 200 22 bytes true 1
	// 200 22 bytes true 1
}

// Which requests a line of the script meets.
func ExampleFault_Nth() {
	s := start()
	defer s.Close()
	statuses := func(fault *acrtest.Fault) {
		var got []int
		for range 4 {
			status, _ := get(s, "/acr/v1/_catalog")
			got = append(got, status)
		}
		fmt.Println(got, fault.Hits())
		fault.Remove()
	}
	statuses(s.On("ListRepositories").Status(503))
	statuses(s.On("ListRepositories").Nth(3).Status(503))
	statuses(s.On("ListRepositories").First(2).Status(503))
	statuses(s.On("ListRepositories").From(3).Status(503))
	statuses(s.On("ListRepositories").Always().Status(503))
	statuses(s.On().Path("/_catalog").Status(429, time.Minute).Code("TOOMANYREQUESTS", "slow down"))
	statuses(s.On().When(func(r *http.Request) bool { return r.Method == http.MethodDelete }).Status(503))
	// Output:
	// [503 200 200 200] 1
	// [200 200 503 200] 1
	// [503 503 200 200] 2
	// [200 200 503 503] 2
	// [503 503 503 503] 4
	// [429 200 200 200] 1
	// [200 200 200 200] 0
}

// Replies that say something else.
func ExampleFault_Header() {
	s := start()
	defer s.Close()
	s.SeedTags(nil, "samples/app", 3)
	head := func(key string, fault *acrtest.Fault) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Endpoint()+"/acr/v1/samples%2Fapp/_tags?n=2", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.SetBasicAuth(s.Admin())
		resp, err := s.HTTPClient().Transport.RoundTrip(req)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Printf("%s: %q (%d)\n", key, resp.Header[key], resp.StatusCode)
		fault.Remove()
	}
	tags := func() *acrtest.Fault { return s.On("ListTags") }
	head("Link", tags().Link("https://elsewhere.example/next"))
	head("Link", tags().WithoutHeader("Link"))
	head("Link", tags().RewriteHeader("Link", strings.ToUpper))
	head("Location", tags().Location("/v2/other/blobs/uploads/"))
	head("Retry-After", tags().Header("Retry-After", "1").AddHeader("Retry-After", "2").ReplyStatus(503))
	head("Docker-Content-Digest", tags().Digest("sha256:none"))
	head("Content-Length", tags().ContentLength(7))
	head("Content-Length", tags().ReplyBody("{}"))
	head("Content-Type", tags().Status(502).Body("text/html", "<h1>Bad Gateway</h1>"))
	head(acrtest.FaultHeader, tags().FlipByte(2))
	// Output:
	// Link: ["<https://elsewhere.example/next>; rel=\"next\""] (200)
	// Link: [] (200)
	// Link: ["</ACR/V1/SAMPLES%2FAPP/_TAGS?LAST=T000001&N=2&ORDERBY=>; REL=\"NEXT\""] (200)
	// Location: ["/v2/other/blobs/uploads/"] (200)
	// Retry-After: ["1" "2"] (503)
	// Docker-Content-Digest: ["sha256:none"] (200)
	// Content-Length: ["7"] (200)
	// Content-Length: ["2"] (200)
	// Content-Type: ["text/html"] (502)
	// X-Acrtest-Fault: ["flip byte 2"] (200)
}

// What happens to uploads on their way, and what the session says afterwards. That of a lost reply
// is lost: its location is stale.
func ExampleFault_ResetRequestAfter() {
	s := start()
	defer s.Close()
	chunk := func(fault *acrtest.Fault, wait time.Duration) {
		defer fault.Remove()
		send := func(method, location, body string) (*http.Response, error) {
			ctx, leave := context.WithTimeout(context.Background(), time.Minute)
			defer leave()
			if method == http.MethodPatch { // the client leaves when all of it has long been on its way
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { time.AfterFunc(wait, leave) }})
			}
			req, err := http.NewRequestWithContext(ctx, method, s.Endpoint()+location, strings.NewReader(body))
			if err != nil {
				log.Fatal(err)
			}
			req.SetBasicAuth(s.Admin())
			resp, err := s.HTTPClient().Do(req)
			if err == nil {
				resp.Body.Close()
			}
			return resp, err
		}
		began, err := send(http.MethodPost, "/v2/samples/app/blobs/uploads/", "")
		if err != nil {
			log.Fatal(err)
		}
		location := began.Header.Get("Location")
		said := "broken"
		if resp, err := send(http.MethodPatch, location, "0123456789"); err == nil {
			said = resp.Status[:3]
			if next := resp.Header.Get("Location"); next != "" {
				location = next
			}
		}
		status, err := send(http.MethodGet, location, "")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s and %d %q\n", said, status.StatusCode, status.Header.Get("Range"))
	}
	chunk(s.On("UploadChunk").DropReply(), time.Minute)
	chunk(s.On("UploadChunk").ResetRequestAfter(4), time.Minute)
	chunk(s.On("UploadChunk").StallRequestAfter(4), patience)
	chunk(s.On("UploadChunk").Accept(4), time.Minute)
	chunk(s.On("UploadChunk").Status(429).Early(), time.Minute)
	// Output:
	// broken and 404 ""
	// broken and 204 "0-3"
	// broken and 204 "0-3"
	// 202 and 204 "0-3"
	// 429 and 204 "0-0"
}

// What the registry may say of its own accord.
func ExampleFault_Lag() {
	s := start()
	defer s.Close()
	s.SeedImage(nil, "samples/app:v1")
	d := s.SeedBlob(nil, "samples/app", []byte("0123456789"))
	s.On("GetTagProperties").Lag()
	s.On("ListRepositories").Revoke()
	s.On("GetBlobContent").IgnoreRange()

	fmt.Println("a replica that has not heard of it:", code(call(s, "GET", "/acr/v1/samples/app/_tags/v1", "")))
	fmt.Println("a right that was taken away:", code(call(s, "GET", "/acr/v1/_catalog", "")))
	for range 2 {
		_, body := call(s, "GET", "/v2/samples/app/blobs/"+d.String(), "", "Range", "bytes=0-2")
		fmt.Println("a range:", body)
	}
	s.RevokeAccessTokens() // those of all callers, from now on
	s.RevokeRefreshTokens()
	s.Ledger().Reset()
	fmt.Println("in the ledger:", s.Ledger().Count())
	// Output:
	// a replica that has not heard of it: TAG_UNKNOWN
	// a right that was taken away: UNAUTHORIZED
	// a range: 0123456789
	// a range: 012
	// in the ledger: 0
}

// What no action can say is done by hand, around the operation.
func ExampleFault_Do() {
	s := start()
	defer s.Close()
	s.On("ListRepositories").Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Get("n") != "" {
			http.Error(w, "no pages today", http.StatusNotImplemented)
			return
		}
		next.ServeHTTP(w, r)
	})
	fmt.Println(get(s, "/acr/v1/_catalog?n=1"))
	// Output: 501 no pages today
}

// A transcript is written to a file, and says nothing that grants access.
func ExampleRecorder_WriteFile() {
	s := start()
	defer s.Close()
	recorder := acrtest.NewRecorder(s.HTTPClient().Transport)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Endpoint()+"/acr/v1/_catalog", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.SetBasicAuth("admin", "open sesame")
	resp, err := recorder.RoundTrip(req)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()

	file, err := os.CreateTemp("", "transcript-*.txtar")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	file.Close()
	if err := recorder.WriteFile(file.Name()); err != nil { // in a test: testdata/....txtar
		log.Fatal(err)
	}
	raw, err := os.ReadFile(file.Name())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the password is in it:", strings.Contains(string(raw), base64.StdEncoding.EncodeToString([]byte("admin:open sesame"))))

	// A replay says what was not asked.
	replay, err := acrtest.StartReplay(raw)
	if err != nil {
		log.Fatal(err)
	}
	defer replay.Close()
	fmt.Println(strings.HasPrefix(replay.Endpoint(), "https://"), len(replay.Unasked()))
	// Output:
	// the password is in it: false
	// true 1
}
