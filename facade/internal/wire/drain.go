package wire

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// drainSize is how much of what is left of a reply is read at most.
	drainSize = 64 << 10
	// drainTime is how long what is left of a reply is worth reading: a new connection costs less.
	drainTime = time.Second
)

// ReadAll reads r to its end, at most limit bytes. Where there is more, the first limit bytes come back with a Refusal of ErrTooLarge.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if int64(len(b)) > limit {
		return b[:limit], Refuse(ErrTooLarge, "more than "+strconv.FormatInt(limit, 10)+" bytes")
	}
	return b, err
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
