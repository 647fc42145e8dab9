package wire_test

import (
	"errors"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/wire"
)

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, endpoint string
		allowed        []string
		want           string // empty: refused
	}{
		{"plain name", "myreg.azurecr.io", nil, "https://myreg.azurecr.io"},
		{"with scheme", "https://myreg.azurecr.io", nil, "https://myreg.azurecr.io"},
		{"with slash", "https://myreg.azurecr.io/", nil, "https://myreg.azurecr.io"},
		{"upper case", "HTTPS://MyReg.AzureCR.io", nil, "https://myreg.azurecr.io"},
		{"default port", "myreg.azurecr.io:443", nil, "https://myreg.azurecr.io"},
		{"China", "myreg.azurecr.cn", nil, "https://myreg.azurecr.cn"},
		{"US Government", "myreg.azurecr.us", nil, "https://myreg.azurecr.us"},
		{"Germany", "myreg.azurecr.de", nil, "https://myreg.azurecr.de"},
		{"regional", "myreg.westeurope.geo.azurecr.io", nil, "https://myreg.westeurope.geo.azurecr.io"},
		{"name with a hash label", "myreg-d3f2.azurecr.io", nil, "https://myreg-d3f2.azurecr.io"},

		{"A20 suffix inside", "https://evil.azurecr.io.attacker.com", nil, ""},
		{"A20 suffix without a dot", "https://evilazurecr.io", nil, ""},
		{"A20 the suffix itself", "https://azurecr.io", nil, ""},
		{"A20 empty label", "https://.azurecr.io", nil, ""},
		{"A20 two labels", "https://a.b.azurecr.io", nil, ""},
		{"A20 data endpoint", "https://myreg.westeurope.data.azurecr.io", nil, ""},
		{"A20 four labels", "https://a.b.c.geo.azurecr.io", nil, ""},
		{"A20 trailing dot", "https://myreg.azurecr.io.", nil, ""},
		{"A20 trailing dot, named", "https://myreg.azurecr.io.", []string{"myreg.azurecr.io."}, ""},
		{"A20 IDN", "https://m\u00fcreg.azurecr.io", nil, ""},
		{"A20 fullwidth dot", "https://evil\uff0eazurecr.io", nil, ""},
		{"A20 punycode", "https://xn--mreg-0ra.azurecr.io", nil, ""},
		{"A20 address", "https://20.1.2.3", nil, ""},
		{"A20 loopback", "https://127.0.0.1:5000", nil, ""},
		{"A20 loopback name", "localhost:5000", nil, ""},
		{"A20 other port", "https://myreg.azurecr.io:8443", nil, ""},
		{"A20 other host", "https://registry.example.com", nil, ""},
		{"A20 user information", "https://myreg.azurecr.io@evil.com", nil, ""},
		{"A20 user information before an allowed host", "https://u:p@myreg.azurecr.io", nil, ""},
		{"A20 backslash", `https://evil.com\.azurecr.io`, nil, ""},
		{"A20 percent", "https://evil.com%2f.azurecr.io", nil, ""},
		{"A20 path", "https://myreg.azurecr.io/v2", nil, ""},
		{"A20 query", "https://myreg.azurecr.io?x", nil, ""},
		{"A20 empty query", "https://myreg.azurecr.io/?", nil, ""},
		{"A20 fragment", "https://evil.com#.azurecr.io", nil, ""},
		{"A20 empty fragment", "https://myreg.azurecr.io#", nil, ""},
		{"A20 newline", "https://myreg.azurecr.io\n", nil, ""},
		{"A20 blank", " myreg.azurecr.io", nil, ""},
		{"A20 NUL", "myreg.azurecr.io\x00", nil, ""},
		{"A20 empty", "", nil, ""},
		{"A20 scheme only", "https://", nil, ""},
		{"A20 port only", "https://:443", nil, ""},
		{"A20 empty port", "https://myreg.azurecr.io:", nil, ""},
		{"A20 port out of range", "https://myreg.azurecr.io:70000", nil, ""},
		{"A20 port zero", "registry.example.com:0", []string{"registry.example.com:0"}, ""},
		{"A23 http", "http://myreg.azurecr.io", nil, ""},
		{"A23 http, named", "http://127.0.0.1:5000", []string{"127.0.0.1:5000"}, ""},
		{"A23 other scheme", "ftp://myreg.azurecr.io", nil, ""},

		{"named host", "https://registry.example.com", []string{"registry.example.com"}, "https://registry.example.com"},
		{"named host, other case", "https://Registry.example.com", []string{"registry.EXAMPLE.com"}, "https://registry.example.com"},
		{"named host and port", "registry.example.com:5000", []string{"registry.example.com:5000"}, "https://registry.example.com:5000"},
		{"named host, other port", "registry.example.com:5001", []string{"registry.example.com:5000"}, ""},
		{"named host without port, other port", "registry.example.com:5001", []string{"registry.example.com"}, ""},
		{"named sub-domain", "a.registry.example.com", []string{"registry.example.com"}, ""},
		{"no wildcards", "a.example.com", []string{"*.example.com"}, ""},
		{"named loopback", "https://127.0.0.1:5000", []string{"127.0.0.1:5000"}, "https://127.0.0.1:5000"},
		{"named by its URL", "registry.example.com:5000", []string{"https://Registry.example.com:5000"}, "https://registry.example.com:5000"},
		{"named by its URL, slash", "registry.example.com", []string{"HTTPS://registry.example.com/"}, "https://registry.example.com"},
		{"named by a URL, other port", "registry.example.com:5001", []string{"https://registry.example.com:5000"}, ""},
		{"named by a URL with a path", "registry.example.com", []string{"https://registry.example.com/v2/"}, ""},
		{"named by a URL, other scheme", "registry.example.com", []string{"http://registry.example.com"}, ""},
		{"named by a URL with user information", "registry.example.com", []string{"https://me@registry.example.com"}, ""},
		{"named loopback, v6", "https://[::1]:5000", []string{"[::1]:5000"}, "https://[::1]:5000"},
		{"named v6 without port", "https://[::1]", []string{"::1"}, "https://[::1]"},
		{"zone", "https://[fe80::1%25eth0]:5000", []string{"[fe80::1%eth0]:5000"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			u, err := wire.CheckEndpoint(row.endpoint, row.allowed)
			if row.want == "" {
				if !errors.Is(err, wire.ErrEndpoint) {
					t.Fatalf("%v, %v; want ErrEndpoint", u, err)
				}
				return
			}
			if err != nil || u.String() != row.want {
				t.Fatalf("%v, %v; want %s", u, err, row.want)
			}
		})
	}
}

func FuzzCheckEndpoint(f *testing.F) {
	for _, s := range []string{"myreg.azurecr.io", "https://a.b.geo.azurecr.io/", "https://x@y.azurecr.io", "https://[::1]:5000", "https://azurecr.io."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := wire.CheckEndpoint(s, nil)
		if err != nil {
			return
		}
		again, err := wire.CheckEndpoint(u.String(), nil)
		if err != nil || *again != *u || u.Scheme != "https" || u.User != nil || u.Path != "" {
			t.Fatalf("%q gave %v, and that %v, %v", s, u, again, err)
		}
	})
}
