package acrsuite

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
)

// OneLine demands of an error's text what every error of the package promises.
func OneLine(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if !strings.HasPrefix(text, "acr: ") || strings.Count(text, "acr: ") > 1 || len(text) > 4<<10 {
		t.Errorf("%q", text)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("control character %U in %q", r, text)
		}
	}
}

// Alone demands that the directory has the named files and no others.
func Alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the directory has %q, want %q", got, names)
	}
}

// InUse is how much memory is held.
func InUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// PrintableLine tells whether a text is one line without control and bidirectional characters.
func PrintableLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}

// sentinels are what an error can be told by, besides *acr.Error and *acr.ArgumentError.
var sentinels = []error{
	acr.ErrUntrusted, acr.ErrTooLarge, acr.ErrTagExists, acr.ErrWaitTimeout, acr.ErrClosed, acr.ErrSourceChanged, acr.ErrABAC, acr.ErrClockSkew,
	acr.ErrDigestMismatch, acr.ErrSizeMismatch, acr.ErrMalformedReply, acr.ErrManifestMalformed, acr.ErrListEndless, acr.ErrUploadLost, acr.ErrStalled,
	acr.ErrNotMounted, acr.ErrFirewall, acr.ErrNoRole, acr.ErrNoBearer, acr.ErrBadTokenReply, acr.ErrRevoked, acr.ErrExpired, acr.ErrWrongAudience,
	acr.ErrARMAudienceDisabled, acr.ErrMissingAction, acr.ErrAnonymous, acr.ErrWrongPassword, acr.ErrRegistryNotFound, acr.ErrCatalogRole,
}

// Typed tells whether a caller can tell an error from others without reading its text.
func Typed(err error) bool {
	if _, ok := errors.AsType[*acr.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*acr.ArgumentError](err); ok {
		return true
	}
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// MustFail demands an error that is one of the wanted ones; of any type when none is given.
func (f *Fixture) MustFail(err error, want ...error) {
	f.T.Helper()
	switch {
	case err == nil:
		f.Errorf("succeeded")
	case len(want) == 0 && !Typed(err):
		f.Errorf("an error that cannot be told from others: %T %v", err, err)
	}
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	if err != nil && len(want) > 0 {
		f.Errorf("%v, want one of %v", err, want)
	}
}

// WorksOrTyped demands that the call went well or failed with a typed error.
func (f *Fixture) WorksOrTyped(err error) {
	f.T.Helper()
	if err != nil && !Typed(err) {
		f.Errorf("an error that cannot be told from others: %T %v", err, err)
	}
}

// AtMost demands that no more than n requests of the operations were sent.
func (f *Fixture) AtMost(n int, operations ...string) {
	f.T.Helper()
	if got := len(f.Sent(operations...)); got > n {
		f.Errorf("%d requests of %v, want at most %d", got, operations, n)
	}
}

// Promptly is how soon a call returns once its context has ended.
const Promptly = 100 * time.Millisecond

// ContentRange reads a Content-Range.
func ContentRange(v string) (from, to, size int64) {
	_, _ = fmt.Sscanf(v, "bytes %d-%d/%d", &from, &to, &size) // what is no range stays zero
	return from, to, size
}

// StatusError stands for an *acr.Error of the status.
type StatusError int

func (e StatusError) Error() string { return "status " + strconv.Itoa(int(e)) }
