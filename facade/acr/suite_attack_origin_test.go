package acr_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

var _ = expect("A01", "A02", "A03", "A04", "A09", "A10", "A18", "A19", "A21", "A22")

// TestAttacksOnSignIn: challenges and token endpoints that want the credential elsewhere.
func TestAttacksOnSignIn(t *testing.T) {
	t.Parallel()
	row(t, "A01 realm at an attacker", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			a := w.attacker(nil)
			strangeRealm(w, a.url+"/oauth2/token", a)
		}
	})
	row(t, "A02 realm without TLS", refused, func(t *testing.T) {
		a := plainAttacker(t)
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			strangeRealm(w, a.url+"/oauth2/token", a)
		}
	})
	row(t, "A03 realm at the metadata service", refused, func(t *testing.T) {
		strangeRealm(newWorld(t), "https://169.254.169.254/metadata/identity/oauth2/token")
	})
	row(t, "A04 challenge from storage", refused, func(t *testing.T) {
		for _, by := range bothWays {
			w := newWorldBy(t, by)
			w.over(callsOf(downloadCall), func(f *fixture) {
				f.srv.On("GetBlobContent").Always().Status(http.StatusUnauthorized).
					Header("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), "repository:"+f.name+":pull"))
				f.mustFail(f.run())
				f.atMost(1, "GetAccessToken")
				f.atMost(2, "GetBlob")
				f.untouched()
			})
		}
	})
	row(t, "A09 redirect of an access token request", refused, func(t *testing.T) {
		redirectedSignIn(t, []signIn{byEntra, byPassword, byRefresh, byAnonymous}, "GetAccessToken", "GetAccessTokenWithBasic")
	})
	row(t, "A10 redirect of the exchange", refused, func(t *testing.T) {
		redirectedSignIn(t, []signIn{byEntra}, "ExchangeEntraToken")
	})
	row(t, "A18 cookies", refused, func(t *testing.T) {
		for _, by := range bothWays {
			newWorldBy(t, by).over(callsOf(), func(f *fixture) {
				f.srv.On().Always().When(func(r *http.Request) bool {
					if r.Header.Get("Cookie") != "" {
						f.errorf("%s %s was sent with a cookie", r.Method, r.URL.Path)
					}
					return true
				}).AddHeader("Set-Cookie", "session=c00kie-of-the-registry; Path=/; Secure")
				f.mustWork(f.run())
				f.mustWork(f.client.Ping(f.ctx))
				f.untouched()
			})
		}
	})
	row(t, "A19 Basic challenge for an Entra credential", refused, func(t *testing.T) {
		for _, by := range bothWays {
			newWorldBy(t, by).over(callsOf(), func(f *fixture) {
				f.srv.On(f.call.op).Always().Status(http.StatusUnauthorized).Header("WWW-Authenticate", `Basic realm="registry"`)
				if err := f.run(); f.call.op != "CancelUpload" { // which has nothing to tell
					f.mustFail(err)
				}
				noBasic(f)
			})
		}
		newWorld(t).over(callsOf(readCall), func(f *fixture) {
			f.srv.On(tokenOperations...).Always().Status(http.StatusUnauthorized).Header("WWW-Authenticate", `Basic realm="registry"`)
			f.mustFail(f.run())
			noBasic(f)
		})
	})
	row(t, "A21 challenge for another service", refused, func(t *testing.T) {
		newWorld(t).over(callsOf(), func(f *fixture) {
			f.srv.On(f.call.op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", challenge(f.srv.Endpoint()+"/oauth2/token", "attacker.example", "repository:"+f.name+":pull"))
			err := f.run()
			if f.worksOrTyped(err); f.call.kind != examineCall && f.call.op != "ExchangeEntraToken" {
				f.mustWork(err)
				if !strings.Contains(f.log.String(), "another service") {
					f.errorf("the other service is not in the log")
				}
			}
			for _, s := range f.spy.requests(func(s sight) bool { return s.Form != nil }) {
				if got := s.Form.Get("service"); got != f.srv.Host() {
					f.errorf("service %q was asked for", got)
				}
			}
		})
	})
	row(t, "A22 challenge for a wider scope", refused, func(t *testing.T) {
		wide := []string{
			"*", "repository:*:*", "registry:catalog:*", "repository:other/private:pull,push,delete", "repository:NAME:*",
			"repository:NAME:pull,push,delete,metadata_read,metadata_write " + strings.Repeat("x", 1<<10), strings.Repeat("repository:a:pull ", 1<<12)[:60<<10],
		}
		w := newWorld(t)
		widen := func(f *fixture, scope string) {
			f.note = scope[:min(len(scope), 40)]
			c := challenge(f.srv.Endpoint()+"/oauth2/token", f.srv.Host(), strings.ReplaceAll(scope, "NAME", f.name)) + `,error="insufficient_scope"`
			f.srv.On(f.call.op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", c)
			f.worksOrTyped(f.run())
			narrow(f)
		}
		i := 0
		w.over(callsOf(), func(f *fixture) { // each call one of them, some calls all of them
			widen(f, wide[i%len(wide)])
			i++
		})
		for _, method := range []string{"Client.Repositories", "Repository.GetManifest", "Repository.PutManifest", "Repository.DeleteManifest", "BlobWriter.Write"} {
			for _, scope := range wide {
				widen(w.fixture(callNamed(t, method)), scope)
			}
		}
		f := w.fixture(callNamed(t, "Repository.GetManifest"))
		widen(f, wide[5]) // some of it the call may need, but it is too long to be read
		for _, r := range f.srv.Ledger().Requests("GetAccessToken") {
			if r.Scope != "repository:"+f.name+":pull" {
				f.errorf("scope %q was asked for", r.Scope)
			}
		}
	})
}

// strangeRealm answers the first request of every call with a challenge that names another realm: the call works all the same, and
// nobody else sees anything. Then it does so always, for every kind of credential.
func strangeRealm(w *world, realm string, attackers ...*attacker) {
	script := func(f *fixture, times int) {
		fault := f.srv.On(f.call.op)
		if times == 0 {
			fault.Always()
		}
		fault.Status(http.StatusUnauthorized).Header("WWW-Authenticate", challenge(realm, f.srv.Host(), "repository:"+f.name+":pull"))
	}
	w.over(callsOf(), func(f *fixture) {
		script(f, 1)
		err := f.run()
		if f.worksOrTyped(err); f.call.kind != examineCall && f.call.op != "ExchangeEntraToken" {
			f.mustWork(err)
		}
		f.untouched(attackers...)
	})
	for _, w.sign = range []signIn{byEntra, byPassword, byRefresh, byAnonymous} {
		f := w.fixture(callNamed(w.t, "Repository.GetManifest"))
		script(f, 0)
		f.note = string(f.sign)
		f.mustFail(f.run())
		f.untouched(attackers...)
	}
	w.sign = byEntra
}

// redirectedSignIn redirects the token requests of every call to elsewhere and, within the registry, to another path.
func redirectedSignIn(t *testing.T, signs []signIn, operations ...string) {
	t.Helper()
	plain := plainAttacker(t)
	for _, by := range bothWays {
		w := newWorldBy(t, by)
		a := w.attacker(nil)
		status := inTurn(307, 308)
		w.over(callsOf(), func(f *fixture) {
			f.srv.On(operations...).Always().Redirect(status(), a.url+"/oauth2/token")
			if err := f.run(); f.call.op == "ExchangeEntraToken" && operations[0] == "GetAccessToken" {
				f.mustWork(err) // it needs no access token
			} else {
				f.mustFail(err, acr.ErrUntrusted)
			}
			f.untouched(a)
			if f.call.kind != examineCall {
				f.atMost(1, operations...)
			}
		})
		any30x := inTurn(307, 301, 308, 302, 307, 303, 308)
		for _, w.sign = range signs {
			for _, target := range []string{a.url + "/", plain.url + "/", "/oauth2/token?again=1", "//" + a.host() + "/x", "http://" + w.srv.Host() + "/oauth2/token"} {
				f := w.fixture(callNamed(t, "Repository.GetManifest"))
				f.note = string(w.sign) + " " + target
				f.srv.On(operations...).Always().Redirect(any30x(), target)
				f.mustFail(f.run(), acr.ErrUntrusted)
				f.atMost(1, operations...)
				f.untouched(a, plain)
			}
		}
		w.sign = byEntra
	}
}

// noBasic demands that nothing was sent with Basic.
func noBasic(f *fixture) {
	f.t.Helper()
	for _, r := range f.srv.Ledger().Requests() {
		if r.Credential == "basic" {
			f.errorf("%s was sent with Basic", r.Operation)
		}
	}
}

// narrow demands that no token was asked for but for what the call is about.
func narrow(f *fixture) {
	f.t.Helper()
	for _, r := range f.srv.Ledger().Requests("GetAccessToken", "GetAccessTokenWithBasic") {
		if len(r.Scope) > 1<<10 {
			f.errorf("a scope of %d bytes was asked for", len(r.Scope))
		}
		for scope := range strings.FieldsSeq(r.Scope) {
			typ, rest, _ := strings.Cut(scope, ":")
			name, actions, _ := strings.Cut(rest, ":")
			mine := typ == "registry" && (name == "catalog" || name == "deleted_catalog") && !f.call.has("name") || typ == "repository" && name == f.name
			switch {
			case f.call.kind == examineCall && scope == "registry:catalog:*":
			case typ == "repository" && name == f.source && actions == "pull" && f.call.has("from"):
			case !mine, typ == "repository" && strings.Contains(actions, "*"):
				f.errorf("scope %q was asked for", scope)
			case strings.Contains(actions, "delete") && !strings.Contains(actions, "deleted") && f.call.kind != deleteCall:
				f.errorf("scope %q was asked for, by what deletes nothing", scope)
			}
		}
	}
}
