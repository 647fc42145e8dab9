package transport

import "github.com/acrkit/acrkit/facade/internal/wait"

var (
	// ErrHeaderTimeout is returned when no response header arrives within the [Timeouts] after the request was sent.
	// It matches [wait.ErrStalled], and is a timeout in the sense of net.Error.
	ErrHeaderTimeout error = timeoutError{"timeout awaiting response headers", wait.ErrStalled}
	// errClientTimeout is returned when a request takes longer than the Timeout of the caller's http.Client.
	errClientTimeout error = timeoutError{"http.Client.Timeout of the transport exceeded", nil}
)

// timeoutError is a timeout in the sense of net.Error.
type timeoutError struct {
	text string
	kind error // matched with errors.Is; nil for none
}

func (e timeoutError) Error() string { return e.text }

// Unwrap returns the kind of timeout.
func (e timeoutError) Unwrap() error { return e.kind }

// Timeout returns true.
func (timeoutError) Timeout() bool { return true }

// Temporary returns true.
func (timeoutError) Temporary() bool { return true }
