package attack_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestAttacksOnParsers: replies that are no replies, and good ones in strange clothes.
func TestAttacksOnParsers(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A38 endless headers", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			w.Options = []acrsuite.Option{acrsuite.Once}
			each := acrsuite.CallsOf()
			if by == acrsuite.OwnTransport {
				each = acrsuite.CallsOf(acrsuite.LoginCall, acrsuite.ReadCall)
			}
			w.Over(each, func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().Header("X-Padding", strings.Repeat("x", 1<<20))
				if err := f.Run(); err == nil && f.Call.Op != "CancelUpload" {
					f.Errorf("took a header of 1 MiB")
				}
			})
			for size, taken := range map[int]bool{40 << 10: true, 100 << 10: false} { // 64 KiB are the limit
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
				f.Note = fmt.Sprintf("a header of %d bytes", size)
				f.Srv.On("GetManifest").Always().Header("X-Padding", strings.Repeat("x", size))
				if err := f.Run(); (err == nil) != taken {
					f.Errorf("%v", err)
				}
			}
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On("GetManifest").Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				for range 10_000 {
					rw.Header().Add("WWW-Authenticate", acrsuite.Challenge("https://attacker.example", "x", "y"))
				}
				rw.WriteHeader(http.StatusUnauthorized)
			})
			if err := f.Run(); err == nil {
				f.Errorf("took 10,000 challenges")
			}
		}
		// Of what a header of allowed size holds, eight challenges count.
		w := acrsuite.NewWorld(t)
		for n, obeyed := range map[int]bool{0: true, 6: true, 7: true, 8: false, 100: false} {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Note = fmt.Sprint(n, " challenges before it")
			f.Srv.On("GetManifest").Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				for range n {
					rw.Header().Add("WWW-Authenticate", `Basic realm="x"`)
				}
				rw.Header().Add("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), "repository:"+f.Name+":pull"))
				rw.WriteHeader(http.StatusUnauthorized)
			})
			if err := f.Run(); (err == nil) != obeyed {
				f.Errorf("%v", err)
			}
		}
	})
	acrsuite.Row(t, "A39 malformed links", func(t *testing.T) {
		acrsuite.NewWorld(t).Over(acrsuite.CallsOf(acrsuite.ListCall), func(f *acrsuite.Fixture) {
			f.MustWork(f.Run())
			path := f.Srv.Ledger().Requests(f.Call.Op)[0].Path
			next := "<" + path + "?last=zzz&n=1>"
			for link, works := range map[string]bool{
				next: true /* no relation: not a next page */, next + `; rel="next"`: true, next + `; rel=next`: true, next + ` ; title="a, b; c" ; REL="prev next"`: true,
				`</elsewhere>; rel="first", ` + next + `; rel="next"`: true, "<" + path + `?last=a%3Eb>; rel="next"`: true, next + `;rel="next",` + next + `;rel="next"`: true,
				"<" + path + `?last=a>b>; rel="next"`: false, "<" + path: false, `<>; rel="next"`: false, "nonsense": false, "; rel=next": false,
				next + `; rel="next`: false, "<" + path + "?" + strings.Repeat("x", 60<<10) + `>; rel="next"`: false, `<` + path + `?last=a>; rel="next", <` + path + `?last=b>; rel="next"`: false,
				strings.Repeat(`<x>; rel="a",`, 100): false, `<\>; rel=next`: false, `<%zz>; rel=next`: false,
			} {
				f.Note = link[:min(len(link), 60)]
				f.Srv.ClearFaults()
				f.Srv.On(f.Call.Op).Header("Link", link)
				err := f.Run()
				if works {
					f.MustWork(err)
				} else {
					f.MustFail(err, acr.ErrUntrusted)
				}
			}
			f.Srv.ClearFaults()
			f.Srv.On(f.Call.Op).Header("Link", "")
			f.MustWork(f.Run())
		})
	})
	acrsuite.Row(t, "A40 token replies that hold no token", func(t *testing.T) {
		replies := []string{"{}", "null", "[]", `"eyJ"`, "17", `{"access_token":null,"refresh_token":null}`, `{"access_token":"","refresh_token":""}`, `{"access_token":7,"refresh_token":7}`,
			`{"access_token":["a"],"refresh_token":{"a":"b"}}`, `{"access_token":`, "", "<html>", "\x00\xff", strings.Repeat("[", 20_000)}
		w, i := acrsuite.NewWorld(t), 0
		one := func(f *acrsuite.Fixture, reply string) {
			f.Note = reply[:min(len(reply), 20)]
			op := "GetAccessToken"
			if f.Call.Op == "ExchangeEntraToken" || i%2 == 0 {
				op = "ExchangeEntraToken"
			}
			f.Srv.On(op).Always().ReplyBody(reply)
			f.MustFail(f.Run(), acr.ErrBadTokenReply)
			if f.Call.Op != op && f.Call.Kind != acrsuite.ExamineCall {
				f.AtMost(0, f.Call.Op)
			}
			i++
		}
		w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) { one(f, replies[i%len(replies)]) })
		for _, reply := range replies {
			one(w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest")), reply)
			one(w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest")), reply)
		}
	})
	acrsuite.Row(t, "A42 tokens of strange form", strangeTokens)
	acrsuite.Row(t, "A43 challenges of strange form", func(t *testing.T) {
		for _, host := range []string{"servicescope.azurecr.io", "scopeservice.azurecr.io"} {
			i := 0
			w := acrsuite.NewWorld(t, acrtest.WithLoginServer(host), acrtest.WithInlineBlobs())
			each := acrsuite.SteadyCalls()
			if strings.HasPrefix(host, "scope") {
				each = acrsuite.CallsOf(acrsuite.ReadCall, acrsuite.ListCall)
			}
			w.Over(each, func(f *acrsuite.Fixture) {
				forms := strangeChallenges(f.Srv.Endpoint()+"/oauth2/token", host, f.Name)
				form := forms[i%len(forms)]
				i++
				f.Note = form
				f.Srv.On(f.Call.Op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", form)
				if err := f.Run(); f.Call.Op != "ExchangeEntraToken" {
					f.MustWork(err)
				}
			})
		}
	})
}

// strangeChallenges say the same in all the ways that RFC 9110 allows, and some more.
func strangeChallenges(realm, service, name string) []string {
	scope := "repository:" + name + ":pull"
	return []string{
		fmt.Sprintf(`Bearer realm="%s", service="%s", scope="%s"`, realm, service, scope),
		fmt.Sprintf(`Bearer scope="%s" ,service="%s",	realm="%s"`, scope, service, realm),
		fmt.Sprintf(`bEaReR REALM="%s",SERVICE="%s",Scope="%s"`, realm, service, scope),
		fmt.Sprintf(`Bearer realm=%s,service=%s`, realm, service),
		fmt.Sprintf(`Bearer realm="%s",service="%s",scope="%s",error="invalid_token",error_description="it is \"expired\", so, scope=\\"`, realm, service, scope),
		fmt.Sprintf(`Basic realm="x, y", Bearer realm="%s",service="%s",scope="%s", Negotiate`, realm, service, scope),
		fmt.Sprintf(`Negotiate a87421==, Digest realm="service=scope", qop="auth,auth-int", Bearer realm="%s",service="%s"`, realm, service),
		fmt.Sprintf(`,, Bearer realm = "%s" , service = "%s"`, realm, service),
		`Bearer`,
	}
}

// strangeTokens lets the registry's tokens look strange to the client: every call works all the same.
func strangeTokens(t *testing.T) {
	claims := func(payload string) func(string) string {
		return func(id string) string {
			return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + id
		}
	}
	masks := map[string]func(id string) string{
		"opaque": func(id string) string { return "opaque-" + id }, "no dots": func(id string) string { return strings.Repeat("x", 2000) + id },
		"two parts": func(id string) string { return "eyJhbGciOiJSUzI1NiJ9." + id }, "six parts": func(id string) string { return "a.b.c.d.e." + id },
		"many dots": func(id string) string { return strings.Repeat(".", 10_000) + id }, "two dots": func(id string) string { return ".." + id },
		"null": claims("null"), "array": claims("[]"), "no exp": claims("{}"), "exp string": claims(`{"exp":"4102444800"}`), "exp word": claims(`{"exp":"soon"}`),
		"exp float": claims(`{"exp":4102444800.5}`), "exp negative": claims(`{"exp":-1}`), "exp 2^63": claims(`{"exp":9223372036854775808}`), "exp 1e400": claims(`{"exp":1e400}`),
		"exp object": claims(`{"exp":{}}`), "exp zero": claims(`{"exp":0}`), "deep": claims(strings.Repeat("[", 5000)), "access word": claims(`{"exp":4102444800,"access":"all"}`),
		"url alphabet": claims("{\"x\":\"\u00ff\u00fe\u00fb?>~\",\"exp\":4102444800}"),
		"padded": func(id string) string {
			return "eyJhbGciOiJSUzI1NiJ9." + base64.StdEncoding.EncodeToString([]byte(`{"exp":4102444800,"x":"~~~???"}`)) + "." + id
		},
	}
	names := make([]string, 0, len(masks))
	for name := range masks {
		names = append(names, name)
	}
	i := 0
	w := acrsuite.NewWorld(t)
	m := &acrsuite.Mask{Base: w.Spy}
	w.Transport.Transport = m
	w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
		f.Note = names[i%len(names)]
		m.Wear(masks[f.Note])
		i++
		f.MustWork(f.Run())
	})
	for name, wear := range masks {
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
		f.Note = name
		m.Wear(wear)
		for range 3 {
			f.MustWork(f.Run())
		}
		f.AtMost(1, "ExchangeEntraToken")
		f.AtMost(1, "GetAccessToken")
	}
	f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
	m.Wear(func(id string) string { return strings.Repeat(".", 1<<20) + id })
	f.MustFail(f.Run(), acr.ErrBadTokenReply)
}
