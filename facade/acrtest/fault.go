package acrtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultHeader is put on every reply that a [Fault] has altered, and names what it did, so that a witness which holds replies
// against a contract can tell a script from the registry. Replies that are only late, slow or cut off do not carry it.
const FaultHeader = "X-Acrtest-Fault"

// Fault is a line of the fault script: which requests it meets, and what happens to them. It is made by [Server.On] and reads
// like a sentence:
//
//	s.On("UploadChunk").Nth(2).DropReply()
//	s.On("GetBlobContent").Always().Slow(1 << 10)
//	s.On("GetAccessToken").First(3).Status(503, 2*time.Second)
//
// Without [Fault.Nth], [Fault.First], [Fault.From] or [Fault.Always] it happens once, to the first request that matches. A request
// meets at most one fault: the first line of the script that is due. Only requests that the registry would serve are counted: one
// that is refused for its credential or a budget is answered before the script is asked. Several actions on one line happen to
// the same request. A line may be written while requests are under way; it takes effect with its first action.
type Fault struct {
	script *script
	ops    []string
	when   []func(*http.Request) bool
	from   int
	until  int // inclusive, 0 is for ever, never is before the first
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

// Hits tells how many requests have met the fault.
func (f *Fault) Hits() int {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	return f.hits
}

// Remove takes the line out of the script.
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

// Nth lets the fault happen to the nth matching request alone, counted from 1.
func (f *Fault) Nth(n int) *Fault {
	n = f.counted("Nth", n)
	return f.set(func() { f.from, f.until = n, n })
}

// First lets the fault happen to the first n matching requests, to none when n is 0.
func (f *Fault) First(n int) *Fault {
	if n <= 0 {
		n = never
	}
	return f.set(func() { f.from, f.until = 1, n })
}

// From lets the fault happen to the nth matching request, counted from 1, and all after it.
func (f *Fault) From(n int) *Fault {
	n = f.counted("From", n)
	return f.set(func() { f.from, f.until = n, 0 })
}

// counted complains of a number that no request has: it fails the test of [New], and is logged for [Start].
func (f *Fault) counted(method string, n int) int {
	if n < 1 {
		f.script.complain(fmt.Sprintf("acrtest: %s(%d): requests are counted from 1", method, n))
	}
	return max(n, 1)
}

// Always lets the fault happen to every matching request.
func (f *Fault) Always() *Fault { return f.From(1) }

// Path restricts the fault to requests whose decoded path holds the text.
func (f *Fault) Path(text string) *Fault {
	return f.When(func(r *http.Request) bool { return strings.Contains(r.URL.Path, text) })
}

// When restricts the fault to requests of which match, called under the lock of the script, says so. It must not read the body.
func (f *Fault) When(match func(*http.Request) bool) *Fault {
	return f.set(func() { f.when = append(f.when, match) })
}

// Delay lets d pass before the request is looked at.
func (f *Fault) Delay(d time.Duration) *Fault {
	return f.act(false, "delay "+d.String(), func(p *plan) { p.delay = d })
}

// DelayReply lets d pass after the operation is done and before its reply begins.
func (f *Fault) DelayReply(d time.Duration) *Fault {
	return f.act(false, "delay reply "+d.String(), func(p *plan) { p.delayReply = d })
}

// Stall never answers and does nothing; the connection stays open until the caller gives up or the emulator closes.
func (f *Fault) Stall() *Fault { return f.act(false, "stall", func(p *plan) { p.stall = true }) }

// StallAfter sends n bytes of the reply's body and then nothing more, with the connection open.
func (f *Fault) StallAfter(n int64) *Fault {
	return f.act(false, "stall after "+itoa(n), func(p *plan) { p.stallAt = n })
}

// StallRequestAfter reads n bytes of the request's body and then nothing more, with the connection open.
func (f *Fault) StallRequestAfter(n int64) *Fault {
	return f.act(false, "stall request after "+itoa(n), func(p *plan) { p.stallRequestAt = n })
}

// Status answers with the code and does nothing else, after reading the request's body; [Fault.Early] leaves that unread. The
// body is an error of the registry, see [Fault.Code] and [Fault.Body]; a wait gives Retry-After in whole seconds.
func (f *Fault) Status(code int, retryAfter ...time.Duration) *Fault {
	return f.act(true, "status "+strconv.Itoa(code), func(p *plan) {
		p.status = code
		if len(retryAfter) > 0 {
			seconds := strconv.FormatInt(int64((retryAfter[0]+time.Second-1)/time.Second), 10)
			p.edits = append(p.edits, func(h http.Header) { h.Set("Retry-After", seconds) })
		}
	})
}

// Code gives the error of [Fault.Status] a code and a message.
func (f *Fault) Code(code, message string) *Fault {
	return f.act(true, code, func(p *plan) {
		p.body = encodeJSON(errorBody{Errors: []apiError{{Code: code, Message: message}}})
		p.contentType = "application/json; charset=utf-8"
	})
}

// Body gives [Fault.Status] a body other than an error of the registry, such as the HTML of a proxy.
func (f *Fault) Body(contentType, text string) *Fault {
	return f.act(true, "body", func(p *plan) { p.body, p.contentType = []byte(text), contentType })
}

// Early lets [Fault.Status] answer before the request's body is read.
func (f *Fault) Early() *Fault { return f.act(true, "early", func(p *plan) { p.early = true }) }

// Redirect answers with the status, a Location and nothing else.
func (f *Fault) Redirect(status int, location string) *Fault {
	return f.Status(status).Header("Location", location).Body("text/html; charset=utf-8", "")
}

// Lag answers as a replica that has not heard of the object yet: 404 with the code that fits the operation.
func (f *Fault) Lag() *Fault { return f.act(true, "lag", func(p *plan) { p.lag = true }) }

// Revoke answers 401 as if the credential of the request had just been revoked, and refuses it from then on: an access token on
// an operation, a refresh token on GetAccessToken.
func (f *Fault) Revoke() *Fault { return f.act(true, "revoke", func(p *plan) { p.revoke = true }) }

// DropReply does the operation and resets the connection in place of a reply.
func (f *Fault) DropReply() *Fault {
	return f.act(false, "drop reply", func(p *plan) { p.dropReply = true })
}

// ResetAfter resets the connection after n bytes of the reply's body.
func (f *Fault) ResetAfter(n int64) *Fault {
	return f.act(false, "reset after "+itoa(n), func(p *plan) { p.resetAt = n })
}

// ResetRequestAfter resets the connection after n bytes of the request's body. What has come by then is the operation's to keep.
func (f *Fault) ResetRequestAfter(n int64) *Fault {
	return f.act(false, "reset request after "+itoa(n), func(p *plan) { p.resetRequestAt = n })
}

// Accept takes n bytes of the request's body and does the operation as if that were all.
func (f *Fault) Accept(n int64) *Fault {
	return f.act(true, "accept "+itoa(n), func(p *plan) { p.acceptOnly = n })
}

// Truncate ends the connection after n bytes of the reply's body, in good order but too early for its length.
func (f *Fault) Truncate(n int64) *Fault {
	return f.act(true, "truncate "+itoa(n), func(p *plan) { p.truncateAt = n })
}

// TruncateClean ends the reply after n bytes of its body without any sign that there is more: no Content-Length, a proper end.
func (f *Fault) TruncateClean(n int64) *Fault {
	return f.act(true, "truncate clean "+itoa(n), func(p *plan) { p.truncateAt, p.truncateClean = n, true })
}

// FlipByte changes the byte of the reply's body at the given offset.
func (f *Fault) FlipByte(offset int64) *Fault {
	return f.act(true, "flip byte "+itoa(offset), func(p *plan) { p.flip, p.flipAt = true, offset })
}

// Header sets a header of the reply.
func (f *Fault) Header(key, value string) *Fault {
	return f.edit("header "+key, func(h http.Header) { dropKey(h, key); h.Set(key, value) })
}

// AddHeader adds a line to a header of the reply.
func (f *Fault) AddHeader(key, value string) *Fault {
	return f.edit("header "+key, func(h http.Header) { h.Add(key, value) })
}

// WithoutHeader leaves a header out of the reply.
func (f *Fault) WithoutHeader(key string) *Fault {
	return f.edit("without header "+key, func(h http.Header) { dropKey(h, key) })
}

// RewriteHeader replaces a header of the reply by what rewrite makes of it.
func (f *Fault) RewriteHeader(key string, rewrite func(string) string) *Fault {
	return f.edit("header "+key, func(h http.Header) {
		value := h.Get(key)
		dropKey(h, key)
		h.Set(key, rewrite(value))
	})
}

// Digest sets the Docker-Content-Digest of the reply.
func (f *Fault) Digest(d string) *Fault { return f.Header("Docker-Content-Digest", d) }

// Location sets the Location of the reply.
func (f *Fault) Location(location string) *Fault { return f.Header("Location", location) }

// Link sets the Link of the reply to the given URL, as that of the next page.
func (f *Fault) Link(next string) *Fault { return f.Header("Link", "<"+next+`>; rel="next"`) }

// ContentLength sets the length that the reply claims. The body ends there, or the connection too early.
func (f *Fault) ContentLength(n int64) *Fault { return f.Header("Content-Length", itoa(n)) }

// ReplyStatus does the operation and sends its reply with another status.
func (f *Fault) ReplyStatus(code int) *Fault {
	return f.act(true, "reply status "+strconv.Itoa(code), func(p *plan) { p.replyStatus = code })
}

// ReplyBody does the operation and sends its reply with another body, and the length of that.
func (f *Fault) ReplyBody(text string) *Fault {
	return f.act(true, "reply body", func(p *plan) { p.replaceBody, p.replyBody = true, []byte(text) })
}

// Endless lets the reply's body, that of the operation or of [Fault.Status], go on with blanks for ever.
func (f *Fault) Endless() *Fault { return f.act(true, "endless", func(p *plan) { p.endless = true }) }

// Slow sends the reply's body at the given number of bytes a second.
func (f *Fault) Slow(bytesPerSecond int64) *Fault {
	return f.act(false, "slow", func(p *plan) { p.rate = max(1, bytesPerSecond) })
}

// Informational sends n replies with the given 1xx status before the final one.
func (f *Fault) Informational(n, code int) *Fault {
	return f.act(true, "informational "+strconv.Itoa(code), func(p *plan) {
		p.informational = slices.Repeat([]int{code}, n)
	})
}

// CloseIdle closes the connection after the reply without announcing it, so that the next request on it meets a closed door.
func (f *Fault) CloseIdle() *Fault {
	return f.act(false, "close idle", func(p *plan) { p.closeIdle = true })
}

// IgnoreRange takes the Range header off the request.
func (f *Fault) IgnoreRange() *Fault {
	return f.act(true, "ignore range", func(p *plan) { p.ignoreRange = true })
}

// Raw writes the bytes to the connection in place of any HTTP reply and closes it. It works over HTTP/1.1 alone.
func (f *Fault) Raw(reply string) *Fault {
	return f.act(true, "raw", func(p *plan) { p.raw = []byte(reply) })
}

// Do calls handle with the operation as next, for what no other action can say.
func (f *Fault) Do(handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) *Fault {
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
