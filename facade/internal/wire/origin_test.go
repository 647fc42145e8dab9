package wire_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// TestDecide is the truth table of the origin rule: who may go where, and with what.
func TestDecide(t *testing.T) {
	t.Parallel()
	const (
		login   = "https://reg.azurecr.io"
		same    = "https://REG.azurecr.io:443/x"
		port    = "https://reg.azurecr.io:8443/x"
		sub     = "https://evil.reg.azurecr.io/x"
		plain   = "http://reg.azurecr.io/x"
		plain80 = "http://reg.azurecr.io:443/x"
		other   = "https://other.azurecr.io/x"
		storage = "https://acct.blob.core.windows.net/c//d?sig=s"
		data    = "https://reg.westeurope.data.azurecr.io/x"
	)
	type outcome string
	const (
		signed   outcome = "with the token"
		bare     outcome = "without"
		foreign  outcome = "ErrForeignOrigin"
		redirect outcome = "ErrRedirect"
		address  outcome = "ErrForbiddenAddress"
	)
	get, head, post, patch, put, del := http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete
	api, token, upload, blob := call.API, call.Token, call.Upload, call.Blob
	send, redir, follow := wire.StepSend, wire.StepRedirect, wire.StepFollow

	for _, row := range []struct {
		name   string
		call   call.Kind
		step   wire.Step
		method string
		hops   int
		left   bool
		strict bool
		to     string
		want   outcome
	}{
		{"own request", api, send, get, 0, false, false, same, signed},
		{"own request, any method", upload, send, patch, 0, false, false, same, signed},
		{"own request elsewhere", api, send, get, 0, false, false, other, foreign},
		{"own request, other port", token, send, post, 0, false, false, port, foreign},
		{"own request, http", blob, send, get, 0, false, false, plain, foreign},
		{"own request, http on 443", blob, send, get, 0, false, false, plain80, foreign},
		{"own blob request to storage", blob, send, get, 0, false, false, storage, foreign},

		{"A09 token redirected", token, redir, post, 0, false, false, other, redirect},
		{"A09 token redirected, same origin", token, redir, post, 0, false, false, same, redirect},
		{"A10 token redirected, GET", token, redir, get, 0, false, false, same, redirect},
		{"A13 chunk redirected", upload, redir, patch, 0, false, false, other, redirect},
		{"A13 commit redirected, same origin", upload, redir, put, 0, false, false, same, redirect},
		{"upload status redirected", upload, redir, get, 0, false, false, same, redirect},
		{"upload start redirected", upload, redir, post, 0, false, false, same, redirect},

		{"api redirected, same origin", api, redir, get, 0, false, false, same, signed},
		{"api HEAD redirected, same origin", api, redir, head, 2, false, false, same, signed},
		{"api redirected a fourth time", api, redir, get, 3, false, false, same, redirect},
		{"api redirected elsewhere", api, redir, get, 0, false, false, other, foreign},
		{"api redirected to a sub-domain", api, redir, get, 0, false, false, sub, foreign},
		{"api redirected to another port", api, redir, get, 0, false, false, port, foreign},
		{"api redirected to http", api, redir, get, 0, false, false, plain, foreign},
		{"api PUT redirected, same origin", api, redir, put, 0, false, false, same, redirect},
		{"api DELETE redirected, same origin", api, redir, del, 0, false, false, same, redirect},

		{"blob to storage", blob, redir, get, 0, false, false, storage, bare},
		{"blob HEAD to storage", blob, redir, head, 0, false, false, storage, bare},
		{"blob to a data endpoint", blob, redir, get, 0, false, false, data, bare},
		{"blob to storage, strict", blob, redir, get, 0, false, true, storage, bare},
		{"blob to a data endpoint, strict", blob, redir, get, 0, false, true, data, bare},
		{"A05 blob to a sub-domain", blob, redir, get, 0, false, false, sub, bare},
		{"A05 blob to a sub-domain, strict", blob, redir, get, 0, false, true, sub, foreign},
		{"blob to a name that is only the suffix, strict", blob, redir, get, 0, false, true, "https://blob.core.windows.net/", foreign},
		{"blob to a name with the suffix inside, strict", blob, redir, get, 0, false, true, "https://a.blob.core.windows.net.evil.com/", foreign},
		{"A06 blob to another port", blob, redir, get, 0, false, false, port, bare},
		{"A07 blob to http", blob, redir, get, 0, false, false, plain, foreign},
		{"A08 blob to link-local", blob, redir, get, 0, false, false, "https://169.254.169.254/", address},
		{"A08 blob to the host agent", blob, redir, get, 0, false, false, "https://168.63.129.16/", address},
		{"A08 blob to loopback", blob, redir, get, 0, false, false, "https://127.0.0.1/", address},
		{"A08 blob to loopback by name", blob, redir, get, 0, false, false, "https://localhost:8443/", address},
		{"A08 blob to loopback, v6", blob, redir, get, 0, false, false, "https://[::1]/", address},
		{"A08 blob to loopback, mapped", blob, redir, get, 0, false, false, "https://[::ffff:127.0.0.1]/", address},
		{"A08 blob to metadata, NAT64", blob, redir, get, 0, false, false, "https://[64:ff9b::a9fe:a9fe]/", address},
		{"A08 blob to metadata, 6to4", blob, redir, get, 0, false, false, "https://[2002:a83f:8110::1]/", address},
		{"A08 blob to metadata, compatible", blob, redir, get, 0, false, false, "https://[::169.254.169.254]/", address},
		{"A08 blob to loopback, zone", blob, redir, get, 0, false, false, "https://[::1%25lo]/", redirect},
		{"A08 blob to loopback, full-width", blob, redir, get, 0, false, false, "https://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.%EF%BC%91/", redirect},
		{"A08 blob to this machine, no host", blob, redir, get, 0, false, false, "https://:443/", redirect},
		{"A08 blob to unspecified", blob, redir, get, 0, false, false, "https://0.0.0.0/", address},
		{"A08 blob to this network", blob, redir, get, 0, false, false, "https://0.1.2.3/", address},
		{"A08 blob to everyone", blob, redir, get, 0, false, false, "https://255.255.255.255/", address},
		{"A08 blob to multicast", blob, redir, get, 0, false, false, "https://224.0.0.1/", address},
		{"A08 blob to AWS metadata", blob, redir, get, 0, false, false, "https://[fd00:ec2::254]/", address},
		{"A08 blob to metadata, decimal", blob, redir, get, 0, false, false, "https://2852039166/", address},
		{"A08 blob to metadata, hexadecimal", blob, redir, get, 0, false, false, "https://0xa9FEa9FE/", address},
		{"A08 blob to metadata, mixed", blob, redir, get, 0, false, false, "https://169.254.0xa9.0376/", address},
		{"A08 blob to metadata, trailing dot", blob, redir, get, 0, false, false, "https://169.254.169.254./", address},
		{"blob to a name with numbers", blob, redir, get, 0, false, false, "https://1.0xa9.x169.io/", bare},
		{"blob to a private address", blob, redir, get, 0, false, false, "https://10.1.2.3/", bare},
		{"A16 blob back home after it left", blob, redir, get, 1, true, false, same, bare},
		{"blob at home all the way", blob, redir, get, 2, false, false, same, signed},
		{"A36 blob redirected a fourth time", blob, redir, get, 3, false, false, storage, redirect},
		{"blob POST redirected", blob, redir, post, 0, false, false, storage, redirect},

		{"A11 Location elsewhere", upload, follow, patch, 0, false, false, other, foreign},
		{"A12 Location over http", upload, follow, patch, 0, false, false, plain, foreign},
		{"Location at home", upload, follow, patch, 0, false, false, same, signed},
		{"A15 Link elsewhere", api, follow, get, 0, false, false, other, foreign},
		{"Link at home", api, follow, get, 0, false, false, same, signed},
		{"A17 user information, own host", api, follow, get, 0, false, false, "https://evil@reg.azurecr.io/x", foreign},
		{"A17 user information, other host", blob, redir, get, 0, false, false, "https://reg.azurecr.io@evil.com/x", foreign},
		{"A11 Location to a name that folds to our own", upload, follow, patch, 0, false, false, "https://reg.azurecr.%C4%B0o/x", foreign},
		{"A15 Link to a name that folds to our own", api, follow, get, 0, false, false, "https://reg.azurecr.%C4%B0o/x", foreign},
		{"a trailing dot is another host", api, follow, get, 0, false, false, "https://reg.azurecr.io./x", foreign},
		{"blob to storage, trailing dot", blob, redir, get, 0, false, false, "https://acct.blob.core.windows.net./x", bare},
		{"no host", api, follow, get, 0, false, false, "https:///x", foreign},
		{"no host in a redirect", blob, redir, get, 0, false, false, "/x", redirect},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := wire.Move{Call: row.call, Step: row.step, Method: row.method, Login: wire.OriginOf(parse(t, login)), Hops: row.hops, Left: row.left, To: parse(t, row.to)}
			if row.strict {
				m.Storage = wire.StorageSuffixes()
			}
			v, err := wire.Decide(m)
			var got outcome
			switch {
			case wire.IsUntrusted(err, wire.ForeignOrigin):
				got = foreign
			case wire.IsUntrusted(err, wire.BadRedirect):
				got = redirect
			case wire.IsUntrusted(err, wire.ForbiddenAddress):
				got = address
			case err != nil:
				t.Fatal(err)
			case v.Credential:
				got = signed
			default:
				got = bare
			}
			if got != row.want {
				t.Errorf("%s to %s: %s, want %s", row.method, row.to, got, row.want)
			}
			if err != nil && v.Credential {
				t.Error("refused, yet with the credential")
			}
		})
	}
}

func TestLoopbackStorageNeedsLoopbackLogin(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"https://127.0.0.1:2/", "https://localhost:2/", "https://[::1]:2/"} {
		m := wire.Move{Call: call.Blob, Step: wire.StepRedirect, Method: http.MethodGet, Login: wire.Origin{Scheme: "https", Host: "127.0.0.1", Port: "1"}, To: parse(t, to), Loopback: true}
		if v, err := wire.Decide(m); err != nil || v.Credential {
			t.Errorf("%s: %v, %v", to, v, err)
		}
		m.To = parse(t, "https://169.254.169.254/")
		if _, err := wire.Decide(m); !wire.IsUntrusted(err, wire.ForbiddenAddress) {
			t.Errorf("metadata address: %v", err)
		}
	}
}

// Two names that Unicode's case folding makes one are two hosts for DNS: "i" and U+0130, "k" and U+212A.
func TestOriginsFoldASCIIAlone(t *testing.T) {
	t.Parallel()
	for own, other := range map[string]string{
		"https://registry.example.com": "https://reg%C4%B0stry.example.com",
		"https://k.example.com":        "https://%E2%84%AA.example.com",
	} {
		login := parse(t, own)
		if wire.OriginOf(login) == wire.OriginOf(parse(t, other)) {
			t.Errorf("%s has the origin of %s", other, own)
		}
		if u, err := wire.CheckUploadURL(other+"/v2/a/blobs/uploads/u?_state=s", login, "a"); !wire.IsUntrusted(err, wire.ForeignOrigin) {
			t.Errorf("an upload at %v, %v", u, err)
		}
		if u, err := wire.CheckEndpoint(other, []string{own[len("https://"):]}); !errors.Is(err, wire.ErrEndpoint) {
			t.Errorf("an endpoint %v, %v", u, err)
		}
	}
}

func TestOriginOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://A.b/x":       "https://a.b",
		"https://AMZ.BZ/x":    "https://amz.bz",
		"https://a.b:443":     "https://a.b",
		"https://a.b:0443":    "https://a.b",
		"https://a.b:8443":    "https://a.b:8443",
		"http://a.b":          "http://a.b:80",
		"https://[::1]/":      "https://[::1]",
		"https://[::1]:8443/": "https://[::1]:8443",
	} {
		if got := wire.OriginOf(parse(t, in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
