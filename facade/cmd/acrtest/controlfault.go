package main

import (
	"net/http"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// sentence is a line of the fault script: which requests, which of them, and what happens. Its
// words are the methods of acrtest.Fault.
type sentence struct {
	On   []string `json:"on"`
	Path string   `json:"path,omitzero"`

	Nth    int  `json:"nth,omitzero"`
	First  int  `json:"first,omitzero"`
	From   int  `json:"from,omitzero"`
	Always bool `json:"always,omitzero"`

	Delay             duration          `json:"delay,omitzero"`
	DelayReply        duration          `json:"delay_reply,omitzero"`
	Stall             bool              `json:"stall,omitzero"`
	StallAfter        *int64            `json:"stall_after,omitzero"`
	StallRequestAfter *int64            `json:"stall_request_after,omitzero"`
	Status            int               `json:"status,omitzero"`
	RetryAfter        duration          `json:"retry_after,omitzero"`
	Early             bool              `json:"early,omitzero"`
	Code              string            `json:"code,omitzero"`
	Message           string            `json:"message,omitzero"`
	ContentType       string            `json:"content_type,omitzero"`
	Body              *string           `json:"body,omitzero"`
	Redirect          string            `json:"redirect,omitzero"` // with status, 307 without
	Raw               *string           `json:"raw,omitzero"`
	Informational     int               `json:"informational,omitzero"` // how many of 102
	DropReply         bool              `json:"drop_reply,omitzero"`
	ResetAfter        *int64            `json:"reset_after,omitzero"`
	ResetRequestAfter *int64            `json:"reset_request_after,omitzero"`
	Accept            *int64            `json:"accept,omitzero"`
	Truncate          *int64            `json:"truncate,omitzero"`
	TruncateClean     *int64            `json:"truncate_clean,omitzero"`
	FlipByte          *int64            `json:"flip_byte,omitzero"`
	Endless           bool              `json:"endless,omitzero"`
	Slow              int64             `json:"slow,omitzero"`
	ReplyStatus       int               `json:"reply_status,omitzero"`
	ReplyBody         *string           `json:"reply_body,omitzero"`
	ContentLength     *int64            `json:"content_length,omitzero"`
	Header            map[string]string `json:"header,omitzero"`
	WithoutHeader     []string          `json:"without_header,omitzero"`
	Digest            string            `json:"digest,omitzero"`
	Location          string            `json:"location,omitzero"`
	Link              string            `json:"link,omitzero"`
	IgnoreRange       bool              `json:"ignore_range,omitzero"`
	CloseIdle         bool              `json:"close_idle,omitzero"`
	Lag               bool              `json:"lag,omitzero"`
	Revoke            bool              `json:"revoke,omitzero"`
}

// scripted is a sentence in force.
type scripted struct {
	sentence

	fault *acrtest.Fault
}

func (c *control) addFault(body []byte, _ *http.Request) (any, error) {
	var s sentence
	if err := read(body, &s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := knownOperations(s.On); err != nil {
		return nil, err
	}
	f := c.registry.On(s.On...)
	s.choose(f)
	if s.answer(f)+s.disturb(f)+s.change(f) == 0 {
		f.Remove()
		return nil, refuse("the line has no action")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &scripted{s, f})
	return map[string]int{"line": len(c.faults)}, nil
}

// check refuses words that would be left out.
func (s *sentence) check() error {
	if err := s.checkNumbers(); err != nil {
		return err
	}
	chosen := 0
	for _, n := range []int{s.Nth, s.First, s.From} {
		if n < 0 {
			return refuse("nth, first and from start at 1")
		}
		if n > 0 {
			chosen++
		}
	}
	if s.Always {
		chosen++
	}
	if chosen > 1 {
		return refuse("use only one of nth, first, from and always")
	}
	says := s.Code != "" || s.Message != "" || s.Body != nil || s.ContentType != "" || s.Early || s.RetryAfter != 0
	if says && (s.Status == 0 || s.Redirect != "") {
		return refuse("code, message, body, content_type, early and retry_after need a status and no redirect")
	}
	return nil
}

// maxInformational bounds how many informational replies a line sends.
const maxInformational = 100_000

// checkNumbers refuses numbers that no request or reply can have.
func (s *sentence) checkNumbers() error {
	for name, n := range map[string]*int64{
		"stall_after": s.StallAfter, "stall_request_after": s.StallRequestAfter, "reset_after": s.ResetAfter, "reset_request_after": s.ResetRequestAfter,
		"accept": s.Accept, "truncate": s.Truncate, "truncate_clean": s.TruncateClean, "flip_byte": s.FlipByte, "content_length": s.ContentLength, "slow": &s.Slow,
	} {
		if n != nil && *n < 0 {
			return refuse("%s must not be negative", name)
		}
	}
	for name, d := range map[string]duration{"delay": s.Delay, "delay_reply": s.DelayReply, "retry_after": s.RetryAfter} {
		if d < 0 {
			return refuse("%s must not be negative", name)
		}
	}
	for name, status := range map[string]int{"status": s.Status, "reply_status": s.ReplyStatus} {
		if status != 0 && (status < 200 || status > 599) {
			return refuse("%s must be between 200 and 599", name)
		}
	}
	if s.Informational < 0 || s.Informational > maxInformational {
		return refuse("informational must be between 0 and %d", maxInformational)
	}
	return nil
}

// listFaults gives the script with how often each line was met.
func (c *control) listFaults([]byte, *http.Request) (any, error) {
	type line struct {
		sentence

		Hits int `json:"hits"`
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := []line{}
	for _, f := range c.faults {
		lines = append(lines, line{f.sentence, f.fault.Hits()})
	}
	return lines, nil
}

func (c *control) clearFaults([]byte, *http.Request) (any, error) {
	c.registry.ClearFaults()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
	return struct{}{}, nil
}

// choose says which requests the line meets.
func (s *sentence) choose(f *acrtest.Fault) {
	if s.Path != "" {
		f.Path(s.Path)
	}
	switch {
	case s.Nth > 0:
		f.Nth(s.Nth)
	case s.First > 0:
		f.First(s.First)
	case s.From > 0:
		f.From(s.From)
	case s.Always:
		f.Always()
	}
}

// when counts the words of a sentence that are there.
func when(there bool, do func()) int {
	if !there {
		return 0
	}
	do()
	return 1
}

// number is when, for a number of which zero is one.
func number(n *int64, do func(int64) *acrtest.Fault) int { return when(n != nil, func() { do(*n) }) }

// answer takes the words for what is answered in place of the operation.
func (s *sentence) answer(f *acrtest.Fault) int {
	status := s.Status
	if status == 0 {
		status = http.StatusTemporaryRedirect
	}
	return when(s.Redirect != "", func() { f.Redirect(status, s.Redirect) }) +
		when(s.Redirect == "" && s.Status != 0, func() {
			var wait []time.Duration
			if s.RetryAfter > 0 {
				wait = append(wait, time.Duration(s.RetryAfter))
			}
			f.Status(s.Status, wait...)
			when(s.Code != "", func() { f.Code(s.Code, s.Message) })
			when(s.Body != nil, func() { f.Body(s.ContentType, *s.Body) })
			when(s.Early, func() { f.Early() })
		}) +
		when(s.Raw != nil, func() { f.Raw(*s.Raw) }) +
		when(s.Lag, func() { f.Lag() }) +
		when(s.Revoke, func() { f.Revoke() }) +
		when(s.Stall, func() { f.Stall() })
}

// disturb takes the words for what happens on the line.
func (s *sentence) disturb(f *acrtest.Fault) int {
	return when(s.Delay > 0, func() { f.Delay(time.Duration(s.Delay)) }) +
		when(s.DelayReply > 0, func() { f.DelayReply(time.Duration(s.DelayReply)) }) +
		when(s.Informational > 0, func() { f.Informational(s.Informational, http.StatusProcessing) }) +
		when(s.DropReply, func() { f.DropReply() }) +
		when(s.Slow > 0, func() { f.Slow(s.Slow) }) +
		when(s.CloseIdle, func() { f.CloseIdle() }) +
		number(s.StallAfter, f.StallAfter) +
		number(s.StallRequestAfter, f.StallRequestAfter) +
		number(s.ResetAfter, f.ResetAfter) +
		number(s.ResetRequestAfter, f.ResetRequestAfter) +
		number(s.Accept, f.Accept) +
		number(s.Truncate, f.Truncate) +
		number(s.TruncateClean, f.TruncateClean)
}

// change takes the words for what the reply says instead.
func (s *sentence) change(f *acrtest.Fault) int {
	for key, value := range s.Header {
		f.Header(key, value)
	}
	for _, key := range s.WithoutHeader {
		f.WithoutHeader(key)
	}
	return len(s.Header) + len(s.WithoutHeader) +
		when(s.ReplyStatus != 0, func() { f.ReplyStatus(s.ReplyStatus) }) +
		when(s.ReplyBody != nil, func() { f.ReplyBody(*s.ReplyBody) }) +
		when(s.Digest != "", func() { f.Digest(s.Digest) }) +
		when(s.Location != "", func() { f.Location(s.Location) }) +
		when(s.Link != "", func() { f.Link(s.Link) }) +
		when(s.IgnoreRange, func() { f.IgnoreRange() }) +
		when(s.Endless, func() { f.Endless() }) +
		number(s.FlipByte, f.FlipByte) +
		number(s.ContentLength, f.ContentLength)
}
