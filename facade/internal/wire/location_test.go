package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

func reply(t testing.TB, at string, header http.Header) *http.Response {
	t.Helper()
	return &http.Response{Header: header, Request: &http.Request{Method: http.MethodPatch, URL: parse(t, at)}}
}

func TestUploadLocation(t *testing.T) {
	t.Parallel()
	const prefix = "https://reg.azurecr.io/v2/library/hello/blobs/uploads/"
	for _, row := range []struct {
		name, location string
		want           string
		err            wire.Matter
	}{
		{"F30 relative", "/v2/library/hello/blobs/uploads/u1?_nouploadcache=false&_state=a%2Fb-_%3D%3D", prefix + "u1?_nouploadcache=false&_state=a%2Fb-_%3D%3D", ""},
		{"F30 absolute", "https://REG.azurecr.io:443/v2/library/hello/blobs/uploads/u1?s=1", "https://REG.azurecr.io:443/v2/library/hello/blobs/uploads/u1?s=1", ""},
		{"F30 query only", "?_state=2", prefix + "u0?_state=2", ""},
		{"F30 relative to the session", "u2?_state=2", prefix + "u2?_state=2", ""},
		{"F30 odd bytes in the state", "/v2/library/hello/blobs/uploads/u1?_state=q%2Fw%2B%3D+x;y//..//z", prefix + "u1?_state=q%2Fw%2B%3D+x;y//..//z", ""},
		{"F30 escaped slash in the name", "/v2/library%2Fhello/blobs/uploads/u1?s=1", "https://reg.azurecr.io/v2/library%2Fhello/blobs/uploads/u1?s=1", ""},
		{"F30 fragment", "/v2/library/hello/blobs/uploads/u1?s=1#f", prefix + "u1?s=1", ""},
		{"F30 dot segments that stay inside", "/v2/library/hello/blobs/uploads/x/../u1?s=1", prefix + "u1?s=1", ""},

		{"F31 missing", "", "", wire.BadLocation},
		{"A11 other host", "https://evil.com/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A11 no scheme", "//evil.com/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A11 other port", "https://reg.azurecr.io:8443/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A11 sub-domain", "https://x.reg.azurecr.io/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A12 http", "http://reg.azurecr.io/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A14 other path", "/acr/v1/library/hello", "", wire.BadLocation},
		{"A14 other repository", "/v2/library/other/blobs/uploads/u1", "", wire.BadLocation},
		{"A14 token endpoint", "/oauth2/token", "", wire.BadLocation},
		{"A14 no session", "/v2/library/hello/blobs/uploads/", "", wire.BadLocation},
		{"A14 a blob", "/v2/library/hello/blobs/sha256:00", "", wire.BadLocation},
		{"A14 dot segments out", "/v2/library/hello/blobs/uploads/../../manifests/x", "", wire.BadLocation},
		{"A14 escaped dot segments", "/v2/library/hello/blobs/uploads/%2e%2e/%2e%2e/manifests/x", "", wire.BadLocation},
		{"A14 escaped dot segments and slashes", "/v2/library/hello/blobs/uploads/%2e%2e%2fx", "", wire.BadLocation},
		{"A17 own host as user", "https://reg.azurecr.io@evil.com/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A17 user", "https://evil@reg.azurecr.io/v2/library/hello/blobs/uploads/u1", "", wire.ForeignOrigin},
		{"A44 control character", "/v2/library/hello/blobs/uploads/u1?s=\x01", "", wire.BadLocation},
		{"A44 blank", "/v2/library/hello/blobs/uploads/u1?s=a b", "", wire.BadLocation},
		{"backslash", `\\evil.com\v2/library/hello/blobs/uploads/u1`, "", wire.BadLocation},
		{"opaque", "https:reg.azurecr.io", "", wire.BadLocation},
		{"bad escape", "/v2/library/hello/blobs/uploads/%zz", "", wire.BadLocation},
		{"64 KiB", "/v2/library/hello/blobs/uploads/" + strings.Repeat("u", 64<<10), "", wire.BadLocation},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if row.location != "" {
				h.Set("Location", row.location)
			}
			u, err := wire.UploadLocation(reply(t, prefix+"u0?_state=1", h), parse(t, "https://reg.azurecr.io"), "library/hello")
			if row.err != "" {
				if !wire.IsUntrusted(err, row.err) {
					t.Fatalf("%v, %v; want %v", u, err, row.err)
				}
				return
			}
			if err != nil || u.String() != row.want {
				t.Fatalf("%v, %v; want %s", u, err, row.want)
			}
		})
	}
	t.Run("given twice", func(t *testing.T) {
		t.Parallel()
		h := http.Header{"Location": {"/v2/a/blobs/uploads/u", "/v2/a/blobs/uploads/u"}}
		if _, err := wire.UploadLocation(reply(t, prefix, h), parse(t, "https://reg.azurecr.io"), "a"); !wire.IsUntrusted(err, wire.BadLocation) {
			t.Fatal(err)
		}
	})
}

func TestAt(t *testing.T) {
	t.Parallel()
	r, _ := http.NewRequest(http.MethodPut, "https://reg.azurecr.io/v2/a/blobs/uploads/x?digest=sha256%3A00", nil)
	if err := wire.At(parse(t, "https://reg.azurecr.io/v2/a/blobs/uploads/u?_state=q%2Fw%2B%3D+x"))(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got, want := r.URL.String(), "https://reg.azurecr.io/v2/a/blobs/uploads/u?_state=q%2Fw%2B%3D+x&digest=sha256%3A00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := wire.At(parse(t, "https://REG.azurecr.io:443/x"))(t.Context(), r); err != nil {
		t.Error("the same origin, written otherwise:", err)
	}
	if r.URL.Host != "reg.azurecr.io" {
		t.Error("another connection for the same origin:", r.URL.Host)
	}
	if err := wire.At(parse(t, "https://evil.com/"))(t.Context(), r); !wire.IsUntrusted(err, wire.ForeignOrigin) {
		t.Error(err)
	}
}

func FuzzLocation(f *testing.F) {
	for _, s := range []string{"/v2/a/blobs/uploads/u?_state=1", "//evil/v2/a/blobs/uploads/u", "?x", "https://evil@reg.azurecr.io/v2/a/blobs/uploads/u", "/v2/a/blobs/uploads/%2e%2e/x", `\\evil\x`} {
		f.Add(s)
	}
	login := parse(f, "https://reg.azurecr.io")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := wire.CheckUploadURL(s, login, "a")
		if err != nil {
			return
		}
		if wire.OriginOf(u) != wire.OriginOf(login) || u.User != nil || !strings.HasPrefix(u.Path, "/v2/a/blobs/uploads/") || strings.Contains(u.Path+"/", "/../") {
			t.Fatalf("%q was let through as %v", s, u)
		}
		if _, q, ok := strings.Cut(s, "?"); ok {
			q, _, _ = strings.Cut(q, "#")
			if !strings.Contains(strings.SplitN(s, "?", 2)[0], "#") && u.RawQuery != q {
				t.Fatalf("query of %q became %q", s, u.RawQuery)
			}
		}
	})
}
