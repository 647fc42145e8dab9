package contract_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/contract"
)

// recordingDir holds recorded traffic of real registries. It lies beside the checkout and is no part of it.
const recordingDir = "../../../../shared/recordings"

// departures are violations that the recorders made, or the programs that were recorded: not the registry. Each expression
// matches the text of the violations it is the reason for.
var departures = []struct {
	match *regexp.Regexp
	why   string
}{
	{
		regexp.MustCompile(`^contract: GetBlob GET .* -> 200: header (X-Ms-[A-Za-z-]+|Last-Modified) is not declared$`),
		"The recorder sat behind the redirect: it filed the answer of storage under the registry's address.",
	},
	{
		regexp.MustCompile(`GetManifestProperties GET "/acr/v1/hello-world/_manifests/wrong-digest": path parameter digest: breaks "pattern"`),
		"The recorded program asked for a digest that is none, on purpose. The answer (404 in text/plain) is as declared.",
	},
	{
		regexp.MustCompile(`POST "/oauth2/(exchange|token)": request body: content type "" is not declared$`),
		"The recorder runs in a browser and keeps no Content-Type of forms.",
	},
	{
		regexp.MustCompile(`: carries an Authorization header that is neither Bearer nor Basic$`),
		"The recorders put a word of their own in the place of tokens.",
	},
	{
		regexp.MustCompile(`^contract: UploadChunk PATCH .*: Content-Range (0-1238 is not of 1652|1239-2478 is not of 1656) bytes$`),
		"The recorder keeps bytes in base64.",
	},
}

type recording struct {
	Exchanges []struct {
		Request struct {
			Method  string            `json:"method"`
			URL     string            `json:"url"`
			Headers map[string]values `json:"headers"`
			Body    *string           `json:"body"`
		} `json:"request"`
		Response struct {
			Status  int               `json:"status"`
			Headers map[string]values `json:"headers"`
			Body    *string           `json:"body"`
		} `json:"response"`
	} `json:"exchanges"`
}

// values is one header value or several.
type values []string

func (v *values) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*v = values{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(v))
}

// collector is a test that takes note of errors in place of failing.
type collector struct{ errors []string }

func (c *collector) Helper()        {}
func (c *collector) Cleanup(func()) {}
func (c *collector) Errorf(format string, args ...any) {
	c.errors = append(c.errors, fmt.Sprintf(format, args...))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestRecordings holds what real registries were seen to say against the document.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(recordingDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no recordings in %s: recorded traffic is not part of the project", recordingDir)
	}
	held, strangers, violations, excused := 0, 0, 0, 0
	used := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		if err := json.Unmarshal(data, &rec); err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		notes := &collector{}
		var reply *http.Response
		checker := contract.New(notes, roundTrip(func(*http.Request) (*http.Response, error) { return reply, nil }))
		for i := range rec.Exchanges {
			if strings.Contains(rec.Exchanges[i].Request.URL, "//login.microsoftonline.com/") {
				strangers++
				continue
			}
			var req *http.Request
			req, reply = replay(t, &rec, i)
			before := len(notes.errors)
			resp, err := checker.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			held++
			for _, text := range notes.errors[before:] {
				if why := excuse(text); why != "" {
					used[why] = true
					excused++
					continue
				}
				violations++
				t.Errorf("%s, exchange %d: %s", filepath.Base(file), i, text)
			}
		}
	}
	for _, departure := range departures {
		if !used[departure.why] {
			t.Errorf("stale departure: %s", departure.why)
		}
	}
	t.Logf("contract: recorded exchanges held %d (and %d with Entra, not held), violations %d, departures of the recorders %d in %d kinds",
		held, strangers, violations, excused, len(departures))
}

// replay returns a recorded request and its answer.
func replay(t *testing.T, rec *recording, i int) (*http.Request, *http.Response) {
	t.Helper()
	exchange := rec.Exchanges[i]
	var body io.Reader
	if text := exchange.Request.Body; text != nil && *text != "" {
		body = strings.NewReader(*text)
	}
	req, err := http.NewRequestWithContext(t.Context(), exchange.Request.Method, exchange.Request.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	fill(req.Header, exchange.Request.Headers)
	text := ""
	if exchange.Response.Body != nil {
		text = *exchange.Response.Body
	}
	resp := &http.Response{
		StatusCode: exchange.Response.Status, Request: req, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
	fill(resp.Header, exchange.Response.Headers)
	return req, resp
}

func fill(header http.Header, recorded map[string]values) {
	for name, values := range recorded {
		for _, value := range values {
			header.Add(name, value)
		}
	}
}

func excuse(text string) string {
	for _, departure := range departures {
		if departure.match.MatchString(text) {
			return departure.why
		}
	}
	return ""
}
