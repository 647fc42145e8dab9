package acrsuite

import (
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// ErrLeft is why the calls of this file are given up.
var ErrLeft = errors.New("the caller has left")

// DialTime is how long net/http goes on dialling for a request that was given up: the connection would serve the next one.
const DialTime = 10 * time.Second

// LeftIn demands that a call ended promptly, for the reason that it was left.
func (f *Fixture) LeftIn(took time.Duration, err error, want ...error) {
	f.T.Helper()
	if took > Promptly {
		f.Errorf("returned %v after it was left", took)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			f.Errorf("%v, want %v", err, w)
		}
	}
	if err != nil {
		Secrets.LookError("the error of a call that was left", err)
		if strings.ContainsAny(err.Error(), "\n\r") {
			f.Errorf("the error has lines: %v", err)
		}
	}
}

// Running gives the goroutines of the library and of its connections, but for idle ones.
func (f *Fixture) Running() []string {
	f.Client.CloseIdleConnections()
	f.Transport.CloseIdleConnections()
	synctest.Wait()
	return stragglers("facade/internal/transfer.", "facade/internal/wire.", "facade/internal/auth.", "facade/acr.", "net/http.(*persistConn)", "net/http.(*Transport)")
}

// NothingRuns demands that there are no more goroutines of the library and of its connections than there were before.
func (f *Fixture) NothingRuns(before []string) {
	f.T.Helper()
	f.Client.CloseIdleConnections()
	synctest.Wait()
	if left := stragglers("facade/internal/transfer.", "facade/internal/auth.", "facade/acr."); len(left) > 0 {
		f.Errorf("%d goroutines are left, such as\n%s", len(left), left[0])
	}
	time.Sleep(DialTime) //nolint:forbidigo // the time of a bubble
	if left := f.Running(); len(left) > len(before) {
		f.Errorf("%d goroutines are left, before there were %d; the last is\n%s", len(left), len(before), left[len(left)-1])
	}
}

var bubbleNumber = regexp.MustCompile(`synctest bubble \d+`)

// stragglers are the goroutines of this bubble, but for this one, whose stack holds one of the words.
func stragglers(words ...string) []string {
	buf := make([]byte, 256<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := strings.Split(string(buf[:n]), "\n\n")
	mine := bubbleNumber.FindString(all[0])
	if mine == "" {
		return []string{"stragglers was called outside of a bubble"}
	}
	return slices.DeleteFunc(all[1:], func(stack string) bool {
		header, _, _ := strings.Cut(stack, "\n")
		return !strings.HasSuffix(strings.TrimSuffix(header, "]:"), mine) || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(stack, w) })
	})
}

// InBubble runs test in a bubble of its own, with a world whose network is in memory.
func InBubble(t *testing.T, test func(t *testing.T, w *World), opts ...acrtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, NewWorld(t, append([]acrtest.Option{acrtest.WithMemoryNetwork()}, opts...)...))
	})
}
