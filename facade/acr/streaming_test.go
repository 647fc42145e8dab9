package acr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestConversionWait polls at growing intervals until the conversion has ended, and tells how.
func TestConversionWait(t *testing.T) {
	t.Parallel()
	const details = `"details":"Conversion started for resource a@sha256:1"`
	for name, test := range map[string]struct {
		states []string // the last one repeats
		want   error
		text   string
		took   time.Duration
	}{
		"at once":   {states: []string{"Succeeded"}},
		"later":     {states: []string{"NotStarted", "Running", "Running", "Succeeded"}, took: 1750 * time.Millisecond},
		"new state": {states: []string{"Queued", "Succeeded"}, took: 250 * time.Millisecond},
		"fails":     {states: []string{"Running", "Failed"}, want: acr.ErrorCode("Failed"), text: "conversion 1: Failed: Conversion started", took: 250 * time.Millisecond},
		"canceled":  {states: []string{"Canceled"}, want: acr.ErrorCode("Canceled"), text: "Canceled"},
		"too long":  {states: []string{"Running"}, want: context.DeadlineExceeded, text: "waiting for conversion 1, which is Running", took: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				polls := 0
				s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
					if r.Method != http.MethodGet || r.URL.RequestURI() != "/acr/v1/a/b/_operations/1" {
						t.Errorf("%s %s", r.Method, r.URL)
					}
					state := test.states[min(polls, len(test.states)-1)]
					polls++
					return acrsuite.Answer(200, fmt.Sprintf(`{"status":%q,"startTime":"2026-01-02T03:04:05Z","progress":"0%%",%s}`, state, details))
				}}
				began := time.Now()
				status, err := s.Client(t).Repository("a/b").Conversion("1").Wait(ctx)
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || err != nil && !strings.Contains(err.Error(), test.text) {
					t.Errorf("%+v, %v; want %v with %q", status, err, test.want, test.text)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v, in %d polls", took, test.took, polls)
				}
				if want := test.states[len(test.states)-1]; string(status.State) != want || status.Progress != "0%" || status.StartTime.IsZero() {
					t.Errorf("%+v, want the state %s", status, want)
				}
			})
		})
	}
}

// TestStreamingReplies takes no document of somebody else for an answer.
func TestStreamingReplies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for body, good := range map[string]bool{
		`{"convertPushedImages":false}`: true,
		`{"convertPushedImages":true,"conversionFormat":"overlaybd","status":"Succeeded","id":"x"}`: true,
		`{}`: false, `[]`: false, `{"convertPushedImages":1}`: false, `{"errors":[]}`: false,
		`{"convertPushedImages":true,"conversionFormat":"a\u0007"}`: false,
	} {
		r := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body) }}).Client(t).Repository("a")
		if _, err := r.Streaming(ctx); (err == nil) != good || err != nil && !errors.Is(err, acr.ErrMalformedReply) {
			t.Errorf("Streaming: %s: %v", body, err)
		}
	}
	for body, good := range map[string]bool{
		`{"id":"7dfcc117-d980","status":"Canceled"}`: true,
		`{}`: false, `{"id":""}`: false, `{"id":"../../x"}`: false, `{"id":"x:cancel"}`: false, `{"id":7}`: false,
	} {
		r := (&acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
			return acrsuite.Answer(map[string]int{"GET": 200, "POST": 202}[r.Method], body)
		}}).Client(t).Repository("a")
		_, started := r.StartConversion(ctx, acrsuite.GoodDigest)
		_, last := r.LastConversion(ctx, acrsuite.GoodDigest)
		for _, err := range []error{started, last} {
			if (err == nil) != good || err != nil && !errors.Is(err, acr.ErrMalformedReply) {
				t.Errorf("conversion: %s: %v", body, err)
			}
		}
	}
	for body, good := range map[string]bool{
		`{"status":"Running"}`: true, `{}`: false, `{"status":""}`: false, `{"status":"a\nb"}`: false, `{"status":"Running","progress":40}`: false,
	} {
		c := (&acrsuite.Scripted{Answer: func(*http.Request) *http.Response { return acrsuite.Answer(200, body) }}).Client(t).Repository("a").Conversion("1")
		_, polled := c.Poll(ctx)
		_, canceled := c.Cancel(ctx)
		for _, err := range []error{polled, canceled} {
			if (err == nil) != good || err != nil && !errors.Is(err, acr.ErrMalformedReply) {
				t.Errorf("operation: %s: %v", body, err)
			}
		}
	}
}

// TestQuarantineScopes asks for the right to push when the quarantine changes, and else only for that to
// metadata.
func TestQuarantineScopes(t *testing.T) {
	t.Parallel()
	w := acrsuite.NewWorld(t)
	f := w.Fixture(acrsuite.CallNamed(t, "Artifact.UpdateManifestAttributes"))
	by := f.Repository().Artifact(string(f.Image))
	for _, test := range []struct {
		change acr.ChangeableAttributes
		scope  string
	}{
		{acr.ChangeableAttributes{ReadEnabled: new(true)}, "repository:" + f.Name + ":metadata_write"},
		{acr.ChangeableAttributes{QuarantineState: new("Failed")}, "repository:" + f.Name + ":metadata_write,pull,push"},
	} {
		w.Srv.Ledger().Reset()
		m, err := by.UpdateManifestAttributes(t.Context(), test.change)
		if err != nil || test.change.QuarantineState != nil && m.QuarantineState != "Failed" {
			t.Errorf("%+v, %v", m, err)
		}
		for _, r := range w.Srv.Ledger().Requests() {
			if r.Operation == "GetAccessToken" && r.Scope != test.scope {
				t.Errorf("scope %q, want %q", r.Scope, test.scope)
			}
		}
		if n := w.Srv.Ledger().Count("GetAccessToken"); n != 1 {
			t.Errorf("%d tokens, want 1", n)
		}
	}
}

// TestQueryMetadataPages follows the tokens of pages, and stops where it has to.
func TestQueryMetadataPages(t *testing.T) {
	t.Parallel()
	w := acrsuite.NewWorld(t)
	f := w.Fixture(acrsuite.CallNamed(t, "Client.QueryMetadata"))
	w.Srv.SeedManifests(t, f.Name, 249) // and the image
	rows, err := acr.Collect(f.Repository().QueryMetadata(t.Context(), "Manifests | project digest | order by digest asc"))
	seen := map[string]bool{}
	for _, row := range rows {
		var m struct{ Digest string }
		if err := json.Unmarshal(row, &m); err != nil {
			t.Fatal(err)
		}
		seen[m.Digest] = true
	}
	if n := w.Srv.Ledger().Count("QueryRepositoryMetadata"); len(seen) != 250 || err != nil || n != 3 {
		t.Errorf("%d rows in %d pages, %v", len(seen), n, err)
	}
	w.Srv.Ledger().Reset()
	for _, err := range f.Client.QueryMetadata(t.Context(), "Manifests") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n := w.Srv.Ledger().Count("QueryMetadata"); n != 1 {
		t.Errorf("%d pages for the first row", n)
	}
	_, err = acr.Collect(f.Client.QueryMetadata(t.Context(), "Tags"))
	if refusal, ok := errors.AsType[*acr.Error](err); !ok || refusal.StatusCode != 400 {
		t.Errorf("a table that is not there: %v", err)
	}
}

// TestQueryMetadataReplies ends with an error, after the rows that came before, and never goes on for
// ever.
func TestQueryMetadataReplies(t *testing.T) {
	t.Parallel()
	const row = `{"digest":"x"}`
	for name, test := range map[string]struct {
		pages []string // the last one repeats
		rows  int
		want  error
	}{
		"null":             {pages: []string{`{"count":0,"$skipToken":null,"data":null}`}},
		"no token":         {pages: []string{`{"data":[` + row + `]}`}, rows: 1},
		"empty page":       {pages: []string{`{"$skipToken":"2","data":[]}`, `{"data":[` + row + `]}`}, rows: 1},
		"leads back":       {pages: []string{`{"$skipToken":"2","data":[` + row + `]}`}, rows: 2, want: acr.ErrListEndless},
		"no rows":          {pages: []string{`{}`}, want: acr.ErrMalformedReply},
		"somebody else":    {pages: []string{`{"repositories":["a"]}`}, want: acr.ErrMalformedReply},
		"a row of numbers": {pages: []string{`{"data":[1]}`}, want: acr.ErrMalformedReply},
		"too many rows":    {pages: []string{`{"data":[` + strings.Repeat("{},", 60_000) + `{}]}`}, want: acr.ErrMalformedReply},
		"endless token":    {pages: []string{`{"$skipToken":"` + strings.Repeat("x", 20_000) + `","data":[]}`}, want: acr.ErrMalformedReply},
		"cut off":          {pages: []string{`{"data":[` + row, `{"data":[` + row + `]}`}, rows: 1},
		"never whole":      {pages: []string{`{"data":[` + row}, want: acr.ErrMalformedReply},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := &acrsuite.Scripted{Answer: func(r *http.Request) *http.Response {
				body, _ := io.ReadAll(r.Body)
				if asked == 0 && string(body) != `{"query":"Manifests"}` {
					t.Errorf("the first request is %s", body)
				}
				page := test.pages[min(asked, len(test.pages)-1)]
				asked++
				return acrsuite.Answer(200, page)
			}}
			rows, err := acr.Collect(s.Client(t).QueryMetadata(t.Context(), "Manifests"))
			if len(rows) != test.rows || !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("%d rows, %v; want %d, %v", len(rows), err, test.rows, test.want)
			}
		})
	}
}
