package acrtest

import "fmt"

// counted complains of a number that no request has: it fails the test of [New], and is logged for
// [Start].
func (f *Fault) counted(method string, n int) int {
	if n < 1 {
		f.script.complain(fmt.Sprintf("acrtest: %s(%d): the number of a request starts at 1", method, n))
	}
	return max(n, 1)
}

// valid complains of a call with an argument that makes no sense, as counted does, unless ok. The
// caller leaves the line as it is then.
func (f *Fault) valid(ok bool, method string, argument any, mistake string) bool {
	if !ok {
		f.script.complain(fmt.Sprintf("acrtest: %s(%v): %s", method, argument, mistake))
	}
	return ok
}

const isNil = "the function is nil"

// isStatus complains of a status code that net/http refuses to send, or that no final response has.
func (f *Fault) isStatus(method string, code int) bool {
	return f.valid(code >= 200 && code <= 999, method, code, "the status code of a response must be between 200 and 999")
}

// isCount complains of a number of bytes that no body has.
func (f *Fault) isCount(method string, n int64) bool {
	return f.valid(n >= 0, method, n, "must not be negative")
}
