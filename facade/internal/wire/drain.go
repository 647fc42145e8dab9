package wire

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// drainSize is how much of what is left of a reply is read at most.
	drainSize = 64 << 10
	// drainTime is how long what is left of a reply is worth reading: a new connection costs less.
	drainTime = time.Second
)

// ReadAll reads r to its end, at most limit bytes, into buf if it is large enough; length is how long r
// states to be, or -1. A stated length is not believed further than to size the buffer. If there is
// more, the first limit bytes are returned with a Refusal of ErrTooLarge.
func ReadAll(r io.Reader, buf []byte, length, limit int64) ([]byte, error) {
	tooLarge := Refuse(ErrTooLarge, "more than "+strconv.FormatInt(limit, 10)+" bytes")
	if length > limit {
		return nil, tooLarge
	}
	// One byte more than stated, so that the end is met without growing.
	buf = slices.Grow(buf[:0], int(min(max(length+1, 512), limit+1)))
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf[:limit], tooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) == cap(buf):
			buf = slices.Grow(buf, len(buf))
		}
	}
}

// Drain reads what little is left of a reply so that its connection can be used again, and closes it.
func Drain(resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 512)
	for n, start := 0, time.Now(); n < drainSize && time.Since(start) < drainTime; {
		m, err := resp.Body.Read(buf)
		if n += m; err != nil {
			return
		}
	}
}
