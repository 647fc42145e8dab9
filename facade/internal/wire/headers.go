package wire

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentRange reads the Content-Range of a 206, "bytes start-end/size", or of a 416, "bytes */size" (then start and end are -1). size is -1 for "*".
// Errors: ErrUntrusted.
func ContentRange(h http.Header) (start, end, size int64, err error) {
	bad := Untrusted(BadRange, "not bytes start-end/size")
	v := h.Values("Content-Range")
	if len(v) != 1 {
		return 0, 0, 0, Untrusted(BadRange, strconv.Itoa(len(v))+" of them")
	}
	unit, rest, ok := strings.Cut(strings.TrimSpace(v[0]), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, bad
	}
	span, total, ok := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok {
		return 0, 0, 0, bad
	}
	size = -1
	if total != "*" {
		if size, ok = number(total); !ok {
			return 0, 0, 0, bad
		}
	}
	if span == "*" {
		if size < 0 {
			return 0, 0, 0, bad
		}
		return -1, -1, size, nil
	}
	from, to, _ := strings.Cut(span, "-")
	start, ok1 := number(from)
	end, ok2 := number(to)
	if !ok1 || !ok2 || end < start || size >= 0 && end >= size {
		return 0, 0, 0, bad
	}
	return start, end, size, nil
}

// UploadRange reads the Range of an upload reply, "0-n" (ACR) or "bytes=0-n", and returns the next offset, n+1. ok is false where it is missing or says something
// else. "0-0" gives 1, but a session without a byte says the same: only the caller knows what it has sent.
func UploadRange(h http.Header) (next int64, ok bool) {
	v := strings.TrimSpace(h.Get("Range"))
	for _, prefix := range []string{"bytes=", "bytes "} {
		if rest, found := strings.CutPrefix(v, prefix); found {
			v = rest
			break
		}
	}
	from, to, found := strings.Cut(v, "-")
	start, ok1 := number(from)
	last, ok2 := number(to)
	if !found || !ok1 || !ok2 || start != 0 || last == 1<<63-1 {
		return 0, false
	}
	return last + 1, true
}

// number reads digits and nothing else.
func number(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// RetryAfter reads x-ms-retry-after-ms, retry-after-ms and Retry-After (seconds, or an HTTP-date, which is taken against the reply's Date where there is one: the
// two clocks may differ). ok is false where there is none that can be read, or it is negative; a date gone by is 0. Absurd values are cut to the largest Duration.
func RetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	for _, key := range []string{"X-Ms-Retry-After-Ms", "Retry-After-Ms"} {
		if d, ok = amount(h.Get(key), time.Millisecond); ok {
			return d, true
		}
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if d, ok = amount(v, time.Second); ok {
		return d, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(at.Sub(now), 0), true
}

// amount reads a plain or scientific number of units.
func amount(s string, unit time.Duration) (time.Duration, bool) {
	if s = strings.TrimSpace(s); s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	if f *= float64(unit); f >= float64(1<<63-1) {
		return 1<<63 - 1, true
	}
	return time.Duration(f), true
}

// IsVisible reports whether s is visible ASCII alone: no blank, no control character, nothing beyond 0x7e. So are tokens,
// media types and the keys that lists continue from.
func IsVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// singular are the headers of a response that are acted upon and have one value. Location is looked at where it is read.
var singular = []string{
	"Content-Type", "Content-Encoding", "Content-Range", "Docker-Content-Digest", "Docker-Upload-Uuid", "Etag", "Oci-Subject",
	"Range",
}

// CheckHeaders refuses a successful response or redirect that gives two values to a header that has one: another reader
// in between may have taken the other. A value that is repeated is fine.
//
// Errors: ErrUntrusted.
func CheckHeaders(status int, h http.Header) error {
	if status >= http.StatusBadRequest {
		return nil
	}
	for _, key := range singular {
		values := h[key]
		for i := 1; i < len(values); i++ {
			if values[i] != values[0] {
				return Untrusted(Contradiction, "two values of "+key)
			}
		}
	}
	return nil
}
