package wire_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	date := func(t time.Time) string { return t.Format(http.TimeFormat) }
	const none = -1
	for _, row := range []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"missing", nil, none},
		{"F58 seconds", map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{"F58 fraction", map[string]string{"Retry-After": "1.5"}, 1500 * time.Millisecond},
		{"F58 date", map[string]string{"Retry-After": date(now.Add(20 * time.Second))}, 20 * time.Second},
		{"F58 date against the server's clock", map[string]string{"Retry-After": date(now.Add(6*time.Hour + 20*time.Second)), "Date": date(now.Add(6 * time.Hour))}, 20 * time.Second},
		{"F58 date gone by", map[string]string{"Retry-After": date(now.Add(-time.Hour))}, 0},
		{"F58 milliseconds", map[string]string{"Retry-After-Ms": "250", "Retry-After": "7"}, 250 * time.Millisecond},
		{"F58 milliseconds of Azure", map[string]string{"X-Ms-Retry-After-Ms": "40"}, 40 * time.Millisecond},
		{"F58 unreadable milliseconds", map[string]string{"Retry-After-Ms": "x", "Retry-After": "7"}, 7 * time.Second},
		{"zero", map[string]string{"Retry-After": "0"}, 0},
		{"A35 a day", map[string]string{"Retry-After": "86400"}, 24 * time.Hour},
		{"A35 negative", map[string]string{"Retry-After": "-5"}, none},
		{"A35 1e30", map[string]string{"Retry-After": "1e30"}, math.MaxInt64},
		{"A35 more digits than any number", map[string]string{"Retry-After": strings.Repeat("9", 400)}, math.MaxInt64},
		{"A35 year 9999", map[string]string{"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, math.MaxInt64},
		{"A35 NaN", map[string]string{"Retry-After": "NaN"}, none},
		{"A35 words", map[string]string{"Retry-After": "soon"}, none},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for k, v := range row.header {
				h.Set(k, v)
			}
			d, ok := wire.RetryAfter(h, now)
			if !ok {
				d = none
			}
			if d != row.want {
				t.Errorf("%v, want %v", d, row.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "1e30", "-5", "0x1p5", "Fri, 31 Dec 9999 23:59:59 GMT", "1_0", "9223372036854775807", ""} {
		f.Add(s, s, "Fri, 31 Dec 1999 23:59:59 GMT")
	}
	f.Fuzz(func(t *testing.T, s, ms, date string) {
		h := http.Header{"Retry-After": {s}, "Retry-After-Ms": {ms}, "Date": {date}}
		if d, _ := wire.RetryAfter(h, time.Now()); d < 0 {
			t.Fatalf("%q, %q: %v", s, ms, d)
		}
	})
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	type r struct{ start, end, size int64 }
	for in, want := range map[string]*r{
		"bytes 0-255/1044":              {0, 255, 1044},
		"Bytes 0-0/1":                   {0, 0, 1},
		"bytes 5-9/*":                   {5, 9, -1},
		"bytes */1044":                  {-1, -1, 1044},
		"bytes */*":                     nil,
		"bytes 9-5/10":                  nil,
		"bytes 0-10/10":                 nil,
		"bytes -1-5/10":                 nil,
		"bytes 0-5":                     nil,
		"0-5/10":                        nil,
		"items 0-5/10":                  nil,
		"bytes 0-9223372036854775808/*": nil,
		"bytes 0-+5/10":                 nil,
		"":                              nil,
		"bytes 4294967296-4294967299/10737418240": {4294967296, 4294967299, 10737418240},
	} {
		start, end, size, err := wire.ContentRange(http.Header{"Content-Range": {in}})
		if want == nil {
			if !wire.IsUntrusted(err, wire.BadRange) {
				t.Errorf("%q: %d-%d/%d, %v", in, start, end, size, err)
			}
			continue
		}
		if err != nil || (r{start, end, size}) != *want {
			t.Errorf("%q: %d-%d/%d, %v; want %v", in, start, end, size, err, *want)
		}
	}
	if _, _, _, err := wire.ContentRange(http.Header{}); !wire.IsUntrusted(err, wire.BadRange) {
		t.Error(err)
	}
	if _, _, _, err := wire.ContentRange(http.Header{"Content-Range": {"bytes 0-1/2", "bytes 0-1/2"}}); !wire.IsUntrusted(err, wire.BadRange) {
		t.Error(err)
	}
}

func TestUploadRange(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"0-0": 1, "0-1238": 1239, "bytes=0-9": 10, "bytes 0-9": 10, " 0-9 ": 10, "0-4294967296": 4294967297,
		"": -1, "1-9": -1, "0-": -1, "-9": -1, "0--1": -1, "9-0": -1, "0-9223372036854775807": -1, "x": -1,
	} {
		next, ok := wire.UploadRange(http.Header{"Range": {in}})
		if !ok {
			next = -1
		}
		if next != want {
			t.Errorf("F32 %q: %d, want %d", in, next, want)
		}
	}
}

func FuzzRanges(f *testing.F) {
	f.Add("bytes 0-255/1044", "0-9")
	f.Add("bytes */5", "bytes=0-9")
	f.Fuzz(func(t *testing.T, content, upload string) {
		start, end, size, err := wire.ContentRange(http.Header{"Content-Range": {content}})
		if err == nil && (end < start || start < -1 || size < -1) {
			t.Fatalf("%q: %d-%d/%d", content, start, end, size)
		}
		if next, ok := wire.UploadRange(http.Header{"Range": {upload}}); ok && next < 1 {
			t.Fatalf("%q: %d", upload, next)
		}
	})
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	if b, err := wire.ReadAll(strings.NewReader("12345"), nil, -1, 5); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	b, err := wire.ReadAll(strings.NewReader("123456"), nil, -1, 5)
	if !errors.Is(err, wire.ErrTooLarge) || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
}

// A header that has one value, and two of them: whoever takes the first and whoever takes the last read two responses.
func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status int
		key    string
		values []string
		bad    bool
	}{
		{200, "Content-Type", []string{"application/json", "text/html"}, true},
		{200, "Docker-Content-Digest", []string{"sha256:aa", "sha256:bb"}, true},
		{206, "Content-Range", []string{"bytes 0-1/4", "bytes 2-3/4"}, true},
		{202, "Range", []string{"0-1", "0-1", "0-2"}, true},
		{200, "Content-Type", []string{"application/json", "application/json"}, false},
		{200, "Docker-Content-Digest", []string{"sha256:aa"}, false},
		{200, "Link", []string{"</a>; rel=next", "</b>; rel=prev"}, false},
		{404, "Content-Type", []string{"application/json", "text/html"}, false},
	} {
		err := wire.CheckHeaders(row.status, http.Header{row.key: row.values})
		if row.bad != wire.IsUntrusted(err, wire.Contradiction) || !row.bad && err != nil {
			t.Errorf("%d %s %q: %v", row.status, row.key, row.values, err)
		}
	}
}
