package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

func TestScopeKeys(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		scopes []string
		want   string
	}{
		{[]string{"repository:a:push,pull"}, "repository:a:pull,push"},
		{[]string{"repository:a:pull", "repository:a:push"}, "repository:a:pull,push"},
		{[]string{"repository:b:pull repository:a:pull"}, "repository:a:pull repository:b:pull"},
		{[]string{"repository:a:pull,pull"}, "repository:a:pull"},
		{[]string{"repository:host:5000/x:pull"}, "repository:host:5000/x:pull"},
		{[]string{"registry:catalog:*"}, "registry:catalog:*"},
		{[]string{"", "x", "x:y", "x::y", ":a:b", "repository:a:", "repository:a:,"}, ""},
	} {
		if got := auth.Key(row.scopes...); got != row.want {
			t.Errorf("%q: %q, want %q", row.scopes, got, row.want)
		}
	}
}

func TestScopeCovers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		have, want string
		covers     bool
	}{
		{"repository:a:pull,push", "repository:a:pull", true},
		{"repository:a:pull", "repository:a:pull,push", false},
		{"repository:a:*", "repository:a:delete", true},
		{"repository:*:*", "repository:a/b:delete repository:c:pull", true},
		{"repository:*:pull", "repository:a:push", false},
		{"repository:*:*", "registry:catalog:*", false},
		{"repository:a:pull repository:b:pull", "repository:b:pull", true},
		{"repository:a:pull", "repository:ab:pull", false},
		{"", "repository:a:pull", false},
		{"repository:a:pull", "", true},
	} {
		if got := auth.Covers(row.have, row.want); got != row.covers {
			t.Errorf("%q covers %q: %v", row.have, row.want, got)
		}
	}
}

// A22: a challenge's scope counts within what the call needs, and no further.
func TestScopeWithin(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, need, challenge, method, want string }{
		{"the same", "repository:a:pull", "repository:a:pull", http.MethodGet, "repository:a:pull"},
		{"our table was wrong", "repository:a:metadata_read", "repository:a:pull", http.MethodGet, "repository:a:metadata_read,pull"},
		{"more than a read needs", "repository:a:pull", "repository:a:pull,push,delete", http.MethodGet, "repository:a:pull"},
		{"a write", "repository:a:pull", "repository:a:pull,push,delete", http.MethodPut, "repository:a:pull,push"},
		{"a delete", "repository:a:pull", "repository:a:delete,metadata_write", http.MethodDelete, "repository:a:delete,pull"},
		{"everything", "repository:a:pull", "repository:*:*", http.MethodGet, "repository:a:pull"},
		{"every action", "repository:a:pull", "repository:a:*", http.MethodDelete, "repository:a:pull"},
		{"unknown action", "repository:a:pull", "repository:a:own", http.MethodPut, "repository:a:pull"},
		{"other repository", "repository:a:pull", "repository:b:pull", http.MethodGet, "repository:a:pull"},
		{"other type", "repository:a:pull", "registry:catalog:*", http.MethodGet, "repository:a:pull"},
		{"nothing needed", "", "repository:a:pull", http.MethodGet, ""},
		{"64 KiB", "repository:a:pull", strings.Repeat("repository:a:metadata_read ", 3000), http.MethodGet, "repository:a:pull"},
		{"many", "repository:a:pull", "x:1:y x:2:y x:3:y x:4:y x:5:y x:6:y x:7:y x:8:y x:9:y x:10:y x:11:y x:12:y x:13:y x:14:y x:15:y x:16:y repository:a:metadata_read", http.MethodGet, "repository:a:pull"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.Within(row.need, row.challenge, row.method); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
