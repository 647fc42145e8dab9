package acrtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultHeader is a header of every response that a [Fault] has altered; its value describes the
// fault. A test that checks responses against a contract can use it to skip them. Responses that
// are only late, slow or cut off do not carry it.
const FaultHeader = "X-Acrtest-Fault"

// Fault is one line of the fault script: it says which requests fail and how. [Server.On] creates
// it, and its methods are chained so that the line reads like a sentence:
//
//	s.On("UploadChunk").Nth(2).DropReply()
//	s.On("GetBlobContent").Always().Slow(1 << 10)
//	s.On("GetAccessToken").First(3).Status(503, 2*time.Second)
//
// # Which requests
//
// [Fault.Path] and [Fault.When] restrict the line to some requests of the operation. Of those that
// match, [Fault.Nth], [Fault.First], [Fault.From] and [Fault.Always] select by number; without them
// only the first request is affected. A request is affected by at most one line: the first one in
// the script that selects it. Some requests are answered before the script is consulted, and are
// not counted: those to unknown paths, those over a limit of size or number, and those that the
// login server rejects for their credential with the challenge (status 401). Token requests reach
// the script whatever their credential is.
//
// # What happens
//
// All other methods, except [Fault.Hits] and [Fault.Remove], are actions. Several actions on one
// line affect the same request. A line may be added while requests are in progress; it takes effect
// with its first action.
//
// # Invalid values
//
// A call with a value that makes no sense, such as a status code that no response has, a negative
// number of bytes or a nil function, does not change the line. It fails the test that was passed to
// [New]; if the registry was created with [Start], it is logged; see [WithLogger]. [Fault.Nth] and
// [Fault.From] take a number below 1 for 1. [Fault.First] and [Fault.Informational] take a negative
// number for 0.
type Fault struct {
	script *script
	ops    []string
	when   []func(*http.Request) bool
	from   int
	until  int // the last affected request; 0: no end; never: none
	seen   int
	hits   int
	plan   plan
}

const never = -1

func (f *Fault) matches(op string, r *http.Request) bool {
	if len(f.ops) > 0 && !slices.Contains(f.ops, op) {
		return false
	}
	for _, when := range f.when {
		if !when(r) {
			return false
		}
	}
	return true
}

// Hits returns how many requests the line has affected.
func (f *Fault) Hits() int {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	return f.hits
}

// Remove removes the line from the script.
func (f *Fault) Remove() {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	f.script.faults = slices.DeleteFunc(f.script.faults, func(g *Fault) bool { return g == f })
}

// set changes the line under the lock of the script.
func (f *Fault) set(change func()) *Fault {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	change()
	return f
}

// act adds an action; altered says that the reply is no longer the registry's own.
func (f *Fault) act(altered bool, name string, change func(p *plan)) *Fault {
	return f.set(func() {
		f.plan.names = append(f.plan.names, name)
		f.plan.altered = f.plan.altered || altered
		change(&f.plan)
	})
}

// Delay waits for d before the operation starts.
func (f *Fault) Delay(d time.Duration) *Fault {
	if !f.valid(d >= 0, "Delay", d, "must not be negative") {
		return f
	}
	return f.act(false, "delay "+d.String(), func(p *plan) { p.delay = d })
}

// DelayReply executes the operation, then waits for d before the response starts.
func (f *Fault) DelayReply(d time.Duration) *Fault {
	if !f.valid(d >= 0, "DelayReply", d, "must not be negative") {
		return f
	}
	return f.act(false, "delay reply "+d.String(), func(p *plan) { p.delayReply = d })
}

// Stall does not execute the operation and does not answer. The connection stays open until the
// client closes it or the registry is closed.
func (f *Fault) Stall() *Fault { return f.act(false, "stall", func(p *plan) { p.stall = true }) }

// StallAfter sends n bytes of the response body and then nothing more. The connection stays open.
func (f *Fault) StallAfter(n int64) *Fault {
	if !f.isCount("StallAfter", n) {
		return f
	}
	return f.act(false, "stall after "+itoa(n), func(p *plan) { p.stallAt = n })
}

// StallRequestAfter reads n bytes of the request body and then nothing more. The connection stays
// open.
func (f *Fault) StallRequestAfter(n int64) *Fault {
	if !f.isCount("StallRequestAfter", n) {
		return f
	}
	return f.act(false, "stall request after "+itoa(n), func(p *plan) { p.stallRequestAt = n })
}

// Status answers with the status code, from 200 to 999, instead of executing the operation. It
// reads the request body first, unless [Fault.Early] is given. The response body is an error
// document that fits the code; [Fault.Code] and [Fault.Body] replace it. retryAfter, if given, sets
// the Retry-After header, rounded up to whole seconds.
func (f *Fault) Status(code int, retryAfter ...time.Duration) *Fault {
	if !f.isStatus("Status", code) {
		return f
	}
	for _, d := range retryAfter {
		if !f.valid(d >= 0, "Status", fmt.Sprintf("%d, %v", code, d), "retryAfter must not be negative") {
			return f
		}
	}
	return f.act(true, "status "+strconv.Itoa(code), func(p *plan) {
		p.status = code
		if len(retryAfter) > 0 {
			seconds := strconv.FormatInt(int64((retryAfter[0]+time.Second-1)/time.Second), 10)
			p.edits = append(p.edits, func(h http.Header) { h.Set("Retry-After", seconds) })
		}
	})
}

// Code sets the error code and message in the response of [Fault.Status].
func (f *Fault) Code(code, message string) *Fault {
	return f.act(true, code, func(p *plan) {
		p.body = encodeJSON(errorBody{Errors: []apiError{{Code: code, Message: message}}})
		p.contentType = "application/json; charset=utf-8"
	})
}

// Body sets the response body of [Fault.Status] to something other than an error document, such as
// the HTML page of a proxy.
func (f *Fault) Body(contentType, text string) *Fault {
	return f.act(true, "body", func(p *plan) { p.body, p.contentType = []byte(text), contentType })
}

// Early makes [Fault.Status] answer before the request body has been read.
func (f *Fault) Early() *Fault { return f.act(true, "early", func(p *plan) { p.early = true }) }

// Redirect answers with the status code, from 200 to 999, a Location header and an empty body
// instead of executing the operation.
func (f *Fault) Redirect(status int, location string) *Fault {
	if !f.isStatus("Redirect", status) {
		return f
	}
	return f.Status(status).Header("Location", location).Body("text/html; charset=utf-8", "")
}

// Lag answers like a replica that does not have the object yet: with status 404 and the error code
// that fits the operation. The operation is not executed.
func (f *Fault) Lag() *Fault { return f.act(true, "lag", func(p *plan) { p.lag = true }) }

// Revoke answers with status 401 as if the credential of the request had just been revoked, and
// rejects that credential from then on: the access token of an operation, or the refresh token of a
// GetAccessToken request.
func (f *Fault) Revoke() *Fault { return f.act(true, "revoke", func(p *plan) { p.revoke = true }) }

// DropReply executes the operation and resets the connection instead of sending the response.
func (f *Fault) DropReply() *Fault {
	return f.act(false, "drop reply", func(p *plan) { p.dropReply = true })
}

// ResetAfter resets the connection after n bytes of the response body.
func (f *Fault) ResetAfter(n int64) *Fault {
	if !f.isCount("ResetAfter", n) {
		return f
	}
	return f.act(false, "reset after "+itoa(n), func(p *plan) { p.resetAt = n })
}

// ResetRequestAfter resets the connection after n bytes of the request body. An upload keeps the
// bytes received so far.
func (f *Fault) ResetRequestAfter(n int64) *Fault {
	if !f.isCount("ResetRequestAfter", n) {
		return f
	}
	return f.act(false, "reset request after "+itoa(n), func(p *plan) { p.resetRequestAt = n })
}

// Accept takes n bytes of the request body and executes the operation as if they were the whole
// body.
func (f *Fault) Accept(n int64) *Fault {
	if !f.isCount("Accept", n) {
		return f
	}
	return f.act(true, "accept "+itoa(n), func(p *plan) { p.acceptOnly = n })
}

// Truncate closes the connection after n bytes of the response body, before the Content-Length is
// reached.
func (f *Fault) Truncate(n int64) *Fault {
	if !f.isCount("Truncate", n) {
		return f
	}
	return f.act(true, "truncate "+itoa(n), func(p *plan) { p.truncateAt = n })
}

// TruncateClean ends the response after n bytes of its body in a way the client cannot detect: the
// response has no Content-Length and ends properly.
func (f *Fault) TruncateClean(n int64) *Fault {
	if !f.isCount("TruncateClean", n) {
		return f
	}
	return f.act(true, "truncate clean "+itoa(n), func(p *plan) { p.truncateAt, p.truncateClean = n, true })
}

// FlipByte changes the byte of the response body at the given offset.
func (f *Fault) FlipByte(offset int64) *Fault {
	if !f.isCount("FlipByte", offset) {
		return f
	}
	return f.act(true, "flip byte "+itoa(offset), func(p *plan) { p.flip, p.flipAt = true, offset })
}

// Header sets a header of the response.
func (f *Fault) Header(key, value string) *Fault {
	return f.edit("header "+key, func(h http.Header) { dropKey(h, key); h.Set(key, value) })
}

// AddHeader adds a value to a header of the response.
func (f *Fault) AddHeader(key, value string) *Fault {
	return f.edit("header "+key, func(h http.Header) { h.Add(key, value) })
}

// WithoutHeader removes a header from the response.
func (f *Fault) WithoutHeader(key string) *Fault {
	return f.edit("without header "+key, func(h http.Header) { dropKey(h, key) })
}

// RewriteHeader replaces the value of a response header by rewrite(value).
func (f *Fault) RewriteHeader(key string, rewrite func(string) string) *Fault {
	if !f.valid(rewrite != nil, "RewriteHeader", key+", nil", isNil) {
		return f
	}
	return f.edit("header "+key, func(h http.Header) {
		value := h.Get(key)
		dropKey(h, key)
		h.Set(key, rewrite(value))
	})
}

// Digest sets the Docker-Content-Digest header of the response.
func (f *Fault) Digest(d string) *Fault { return f.Header("Docker-Content-Digest", d) }

// Location sets the Location header of the response.
func (f *Fault) Location(location string) *Fault { return f.Header("Location", location) }

// Link sets the Link header of the response so that next is the URL of the next page.
func (f *Fault) Link(next string) *Fault { return f.Header("Link", "<"+next+`>; rel="next"`) }

// ContentLength sets the Content-Length header of the response. A longer body is cut at n bytes; a
// shorter one ends with the connection closed.
func (f *Fault) ContentLength(n int64) *Fault {
	if !f.isCount("ContentLength", n) {
		return f
	}
	return f.Header("Content-Length", itoa(n))
}

// ReplyStatus executes the operation and sends its response with another status code, from 200 to
// 999.
func (f *Fault) ReplyStatus(code int) *Fault {
	if !f.isStatus("ReplyStatus", code) {
		return f
	}
	return f.act(true, "reply status "+strconv.Itoa(code), func(p *plan) { p.replyStatus = code })
}

// ReplyBody executes the operation and sends its response with another body and the matching
// Content-Length.
func (f *Fault) ReplyBody(text string) *Fault {
	return f.act(true, "reply body", func(p *plan) { p.replaceBody, p.replyBody = true, []byte(text) })
}

// Endless continues the body of the response with blanks and never ends it. It applies to the
// response of the operation or of [Fault.Status].
func (f *Fault) Endless() *Fault { return f.act(true, "endless", func(p *plan) { p.endless = true }) }

// Slow limits the response body to the given number of bytes per second, which is at least 1.
func (f *Fault) Slow(bytesPerSecond int64) *Fault {
	if !f.valid(bytesPerSecond > 0, "Slow", bytesPerSecond, "must be at least one byte per second") {
		return f
	}
	return f.act(false, "slow", func(p *plan) { p.rate = bytesPerSecond })
}

// Informational sends n responses with the given status code, from 100 to 199 but not 101, before
// the final one; none if n is 0.
func (f *Fault) Informational(n, code int) *Fault {
	isInformational := code >= 100 && code < 200 && code != http.StatusSwitchingProtocols // which net/http sends as a final one
	if !f.valid(isInformational, "Informational", fmt.Sprintf("%d, %d", n, code), "the status code must be between 100 and 199, and not 101") {
		return f
	}
	return f.act(true, "informational "+strconv.Itoa(code), func(p *plan) {
		p.informational, p.informationalCode = max(n, 0), code
	})
}

// CloseIdle closes the connection after the response without announcing it, so that the next
// request on it fails.
func (f *Fault) CloseIdle() *Fault {
	return f.act(false, "close idle", func(p *plan) { p.closeIdle = true })
}

// IgnoreRange handles the request as if it had no Range header.
func (f *Fault) IgnoreRange() *Fault {
	return f.act(true, "ignore range", func(p *plan) { p.ignoreRange = true })
}

// Raw writes the given bytes to the connection instead of an HTTP response, and closes it. It works
// over HTTP/1.1 only.
func (f *Fault) Raw(reply string) *Fault {
	return f.act(true, "raw", func(p *plan) { p.raw = []byte(reply) })
}

// Do calls handle with the operation as next. Use it for faults that no other method can express.
func (f *Fault) Do(handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) *Fault {
	if !f.valid(handle != nil, "Do", "nil", isNil) {
		return f
	}
	return f.act(true, "do", func(p *plan) { p.do = handle })
}

func (f *Fault) edit(name string, edit func(http.Header)) *Fault {
	return f.act(true, name, func(p *plan) { p.edits = append(p.edits, edit) })
}

// dropKey removes a header in whatever case it was written.
func dropKey(h http.Header, key string) {
	for k := range h {
		if strings.EqualFold(k, key) {
			delete(h, k)
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
