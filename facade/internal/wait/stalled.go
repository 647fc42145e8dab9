package wait

// ErrStalled is returned when the other side stays silent for longer than is allowed: it does not
// begin its response, sends no further byte of it, or takes no further byte of a request. It is a
// timeout in the sense of net.Error.
var ErrStalled error = timeout("transfer stalled")

// timeout is the text of an error that net.Error and context users recognize as a timeout.
type timeout string

func (e timeout) Error() string { return string(e) }

// Timeout returns true.
func (timeout) Timeout() bool { return true }

// Temporary returns true: the same request may succeed later.
func (timeout) Temporary() bool { return true }
