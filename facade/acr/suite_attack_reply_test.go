package acr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("A38", "A39", "A40", "A42", "A43")

// TestAttacksOnParsers: replies that are no replies, and good ones in strange clothes.
func TestAttacksOnParsers(t *testing.T) {
	t.Parallel()
	row(t, "A38 endless headers", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			w.options = []option{once}
			each := callsOf()
			if by == ownTransport {
				each = callsOf(loginCall, readCall)
			}
			w.over(each, func(f *fixture) {
				f.srv.On(f.call.op).Always().Header("X-Padding", strings.Repeat("x", 1<<20))
				if err := f.run(); err == nil && f.call.op != "CancelUpload" {
					f.errorf("took a header of 1 MiB")
				}
			})
			for size, taken := range map[int]bool{40 << 10: true, 100 << 10: false} { // 64 KiB are the limit
				f := w.fixture(callNamed(t, "Repository.GetManifest"))
				f.note = fmt.Sprintf("a header of %d bytes", size)
				f.srv.On("GetManifest").Always().Header("X-Padding", strings.Repeat("x", size))
				if err := f.run(); (err == nil) != taken {
					f.errorf("%v", err)
				}
			}
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On("GetManifest").Always().Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				for range 10_000 {
					rw.Header().Add("WWW-Authenticate", challenge("https://attacker.example", "x", "y"))
				}
				rw.WriteHeader(http.StatusUnauthorized)
			})
			if err := f.run(); err == nil {
				f.errorf("took 10,000 challenges")
			}
		}
		// Of what a header of allowed size holds, eight challenges count.
		w := newWorld(t)
		for n, obeyed := range map[int]bool{0: true, 6: true, 7: true, 8: false, 100: false} {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.note = fmt.Sprint(n, " challenges before it")
			f.srv.On("GetManifest").Do(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				for range n {
					rw.Header().Add("WWW-Authenticate", `Basic realm="x"`)
				}
				rw.Header().Add("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), "repository:"+f.name+":pull"))
				rw.WriteHeader(http.StatusUnauthorized)
			})
			if err := f.run(); (err == nil) != obeyed {
				f.errorf("%v", err)
			}
		}
	})
	row(t, "A39 malformed links", refused, func(t *testing.T) {
		newWorld(t).over(callsOf(listCall), func(f *fixture) {
			f.mustWork(f.run())
			path := f.srv.Ledger().Requests(f.call.op)[0].Path
			next := "<" + path + "?last=zzz&n=1>"
			for link, works := range map[string]bool{
				next: true /* no relation: not a next page */, next + `; rel="next"`: true, next + `; rel=next`: true, next + ` ; title="a, b; c" ; REL="prev next"`: true,
				`</elsewhere>; rel="first", ` + next + `; rel="next"`: true, "<" + path + `?last=a%3Eb>; rel="next"`: true, next + `;rel="next",` + next + `;rel="next"`: true,
				"<" + path + `?last=a>b>; rel="next"`: false, "<" + path: false, `<>; rel="next"`: false, "nonsense": false, "; rel=next": false,
				next + `; rel="next`: false, "<" + path + "?" + strings.Repeat("x", 60<<10) + `>; rel="next"`: false, `<` + path + `?last=a>; rel="next", <` + path + `?last=b>; rel="next"`: false,
				strings.Repeat(`<x>; rel="a",`, 100): false, `<\>; rel=next`: false, `<%zz>; rel=next`: false,
			} {
				f.note = link[:min(len(link), 60)]
				f.srv.ClearFaults()
				f.srv.On(f.call.op).Header("Link", link)
				err := f.run()
				if works {
					f.mustWork(err)
				} else {
					f.mustFail(err, acr.ErrUntrusted)
				}
			}
			f.srv.ClearFaults()
			f.srv.On(f.call.op).Header("Link", "")
			f.mustWork(f.run())
		})
	})
	row(t, "A40 token replies that hold no token", refused, func(t *testing.T) {
		replies := []string{"{}", "null", "[]", `"eyJ"`, "17", `{"access_token":null,"refresh_token":null}`, `{"access_token":"","refresh_token":""}`, `{"access_token":7,"refresh_token":7}`,
			`{"access_token":["a"],"refresh_token":{"a":"b"}}`, `{"access_token":`, "", "<html>", "\x00\xff", strings.Repeat("[", 20_000)}
		w, i := newWorld(t), 0
		one := func(f *fixture, reply string) {
			f.note = reply[:min(len(reply), 20)]
			op := "GetAccessToken"
			if f.call.op == "ExchangeEntraToken" || i%2 == 0 {
				op = "ExchangeEntraToken"
			}
			f.srv.On(op).Always().ReplyBody(reply)
			f.mustFail(f.run(), acr.ErrBadTokenReply)
			if f.call.op != "ExchangeEntraToken" && f.call.kind != examineCall {
				f.atMost(0, f.call.op)
			}
			i++
		}
		w.over(callsOf(), func(f *fixture) { one(f, replies[i%len(replies)]) })
		for _, reply := range replies {
			one(w.fixture(callNamed(t, "Repository.GetManifest")), reply)
			one(w.fixture(callNamed(t, "Repository.GetManifest")), reply)
		}
	})
	row(t, "A42 tokens of strange form", refused, strangeTokens)
	row(t, "A43 challenges of strange form", refused, func(t *testing.T) {
		for _, host := range []string{"servicescope.azurecr.io", "scopeservice.azurecr.io"} {
			i := 0
			w := newWorld(t, acrtest.WithLoginServer(host), acrtest.WithInlineBlobs())
			each := steadyCalls()
			if strings.HasPrefix(host, "scope") {
				each = callsOf(readCall, listCall)
			}
			w.over(each, func(f *fixture) {
				forms := strangeChallenges(f.srv.Endpoint()+"/oauth2/token", host, f.name)
				form := forms[i%len(forms)]
				i++
				f.note = form
				f.srv.On(f.call.op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", form)
				if err := f.run(); f.call.op != "ExchangeEntraToken" {
					f.mustWork(err)
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
	w := newWorld(t)
	m := &mask{base: w.spy}
	w.transport.Transport = m
	w.over(callsOf(), func(f *fixture) {
		f.note = names[i%len(names)]
		m.wear(masks[f.note])
		i++
		f.mustWork(f.run())
	})
	for name, wear := range masks {
		f := w.fixture(callNamed(t, "Repository.GetManifest"))
		f.note = name
		m.wear(wear)
		for range 3 {
			f.mustWork(f.run())
		}
		f.atMost(1, "ExchangeEntraToken")
		f.atMost(1, "GetAccessToken")
	}
	f := w.fixture(callNamed(t, "Repository.GetManifest"))
	m.wear(func(id string) string { return strings.Repeat(".", 1<<20) + id })
	f.mustFail(f.run(), acr.ErrBadTokenReply)
}

// mask gives the client other tokens than the registry issued, and the registry its own.
type mask struct {
	base http.RoundTripper

	mu   sync.Mutex
	face func(id string) string
	real map[string]string
}

func (m *mask) wear(face func(id string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.face, m.real = face, map[string]string{}
}

// RoundTrip implements http.RoundTripper.
func (m *mask) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	m.mu.Lock()
	if token, ok := strings.CutPrefix(out.Header.Get("Authorization"), "Bearer "); ok && m.real[token] != "" {
		out.Header.Set("Authorization", "Bearer "+m.real[token])
	}
	m.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return m.base.RoundTrip(out)
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		if token := m.real[form.Get("refresh_token")]; token != "" {
			form.Set("refresh_token", token)
		}
		m.mu.Unlock()
		text := form.Encode()
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
	resp, err := m.base.RoundTrip(out)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var reply map[string]string
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	for key, token := range reply {
		reply[key] = m.face(fmt.Sprintf("token%d", len(m.real)))
		m.real[reply[key]] = token
	}
	m.mu.Unlock()
	if body, err = json.Marshal(reply); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}
