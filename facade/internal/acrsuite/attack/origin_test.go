package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestAttacksOnSignIn: challenges and token endpoints that want the credential elsewhere.
func TestAttacksOnSignIn(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A01 realm at an attacker", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			a := w.Attacker(nil)
			strangeRealm(w, a.URL+"/oauth2/token", a)
		}
	})
	acrsuite.Row(t, "A02 realm without TLS", func(t *testing.T) {
		a := acrsuite.PlainAttacker(t)
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			strangeRealm(w, a.URL+"/oauth2/token", a)
		}
	})
	acrsuite.Row(t, "A03 realm at the metadata service", func(t *testing.T) {
		strangeRealm(acrsuite.NewWorld(t), "https://169.254.169.254/metadata/identity/oauth2/token")
	})
	acrsuite.Row(t, "A04 challenge from storage", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			w := acrsuite.NewWorldBy(t, by)
			w.Over(acrsuite.CallsOf(acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
				f.Srv.On("GetBlobContent").Always().Status(http.StatusUnauthorized).
					Header("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), "repository:"+f.Name+":pull"))
				f.MustFail(f.Run())
				f.AtMost(1, "GetAccessToken")
				f.AtMost(2, "GetBlob")
				f.Untouched()
			})
		}
	})
	acrsuite.Row(t, "A09 redirect of an access token request", func(t *testing.T) {
		redirectedSignIn(t, []acrsuite.SignIn{acrsuite.ByEntra, acrsuite.ByPassword, acrsuite.ByRefresh, acrsuite.ByAnonymous}, "GetAccessToken", "GetAccessTokenWithBasic")
	})
	acrsuite.Row(t, "A10 redirect of the exchange", func(t *testing.T) {
		redirectedSignIn(t, []acrsuite.SignIn{acrsuite.ByEntra}, "ExchangeEntraToken")
	})
	acrsuite.Row(t, "A18 cookies", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			acrsuite.NewWorldBy(t, by).Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				f.Srv.On().Always().When(func(r *http.Request) bool {
					if r.Header.Get("Cookie") != "" {
						f.Errorf("%s %s was sent with a cookie", r.Method, r.URL.Path)
					}
					return true
				}).AddHeader("Set-Cookie", "session=c00kie-of-the-registry; Path=/; Secure")
				f.MustWork(f.Run())
				f.MustWork(f.Client.Ping(f.Ctx))
				f.Untouched()
			})
		}
	})
	acrsuite.Row(t, "A19 Basic challenge for an Entra credential", func(t *testing.T) {
		for _, by := range acrsuite.BothWays {
			acrsuite.NewWorldBy(t, by).Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
				f.Srv.On(f.Call.Op).Always().Status(http.StatusUnauthorized).Header("WWW-Authenticate", `Basic realm="registry"`)
				if err := f.Run(); f.Call.Op != "CancelUpload" { // which has nothing to tell
					f.MustFail(err)
				}
				noBasic(f)
			})
		}
		acrsuite.NewWorld(t).Over(acrsuite.CallsOf(acrsuite.ReadCall), func(f *acrsuite.Fixture) {
			f.Srv.On(acrsuite.TokenOperations...).Always().Status(http.StatusUnauthorized).Header("WWW-Authenticate", `Basic realm="registry"`)
			f.MustFail(f.Run())
			noBasic(f)
		})
	})
	acrsuite.Row(t, "A21 challenge for another service", func(t *testing.T) {
		acrsuite.NewWorld(t).Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
			f.Srv.On(f.Call.Op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", "attacker.example", "repository:"+f.Name+":pull"))
			err := f.Run()
			if f.WorksOrTyped(err); f.Call.Kind != acrsuite.ExamineCall && f.Call.Kind != acrsuite.LoginCall {
				f.MustWork(err)
				if !strings.Contains(f.Log.String(), "another service") {
					f.Errorf("the other service is not in the log")
				}
			}
			for _, s := range f.Spy.Requests(func(s acrsuite.Sight) bool { return s.Form != nil }) {
				if got := s.Form.Get("service"); got != f.Srv.Host() {
					f.Errorf("service %q was asked for", got)
				}
			}
		})
	})
	acrsuite.Row(t, "A22 challenge for a wider scope", func(t *testing.T) {
		wide := []string{
			"*", "repository:*:*", "registry:catalog:*", "repository:other/private:pull,push,delete", "repository:NAME:*",
			"repository:NAME:pull,push,delete,metadata_read,metadata_write " + strings.Repeat("x", 1<<10), strings.Repeat("repository:a:pull ", 1<<12)[:60<<10],
		}
		w := acrsuite.NewWorld(t)
		widen := func(f *acrsuite.Fixture, scope string) {
			f.Note = scope[:min(len(scope), 40)]
			c := acrsuite.Challenge(f.Srv.Endpoint()+"/oauth2/token", f.Srv.Host(), strings.ReplaceAll(scope, "NAME", f.Name)) + `,error="insufficient_scope"`
			f.Srv.On(f.Call.Op).Status(http.StatusUnauthorized).Header("WWW-Authenticate", c)
			f.WorksOrTyped(f.Run())
			narrow(f)
		}
		i := 0
		w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) { // each call one of them, some calls all of them
			widen(f, wide[i%len(wide)])
			i++
		})
		for _, method := range []string{"Client.Repositories", "Repository.GetManifest", "Repository.PutManifest", "Repository.DeleteManifest", "BlobWriter.Write"} {
			for _, scope := range wide {
				widen(w.Fixture(acrsuite.CallNamed(t, method)), scope)
			}
		}
		f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
		widen(f, wide[5]) // some of it the call may need, but it is too long to be read
		for _, r := range f.Srv.Ledger().Requests("GetAccessToken") {
			if r.Scope != "repository:"+f.Name+":pull" {
				f.Errorf("scope %q was asked for", r.Scope)
			}
		}
	})
}

// strangeRealm answers the first request of every call with a challenge that names another realm: the call works all the same, and
// nobody else sees anything. Then it does so always, for every kind of credential.
func strangeRealm(w *acrsuite.World, realm string, attackers ...*acrsuite.Attacker) {
	script := func(f *acrsuite.Fixture, times int) {
		fault := f.Srv.On(f.Call.Op)
		if times == 0 {
			fault.Always()
		}
		fault.Status(http.StatusUnauthorized).Header("WWW-Authenticate", acrsuite.Challenge(realm, f.Srv.Host(), "repository:"+f.Name+":pull"))
	}
	w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
		script(f, 1)
		err := f.Run()
		if f.WorksOrTyped(err); f.Call.Kind != acrsuite.ExamineCall && f.Call.Kind != acrsuite.LoginCall {
			f.MustWork(err)
		}
		f.Untouched(attackers...)
	})
	for _, w.Sign = range []acrsuite.SignIn{acrsuite.ByEntra, acrsuite.ByPassword, acrsuite.ByRefresh, acrsuite.ByAnonymous} {
		f := w.Fixture(acrsuite.CallNamed(w.T, "Repository.GetManifest"))
		script(f, 0)
		f.Note = string(f.Sign)
		f.MustFail(f.Run())
		f.Untouched(attackers...)
	}
	w.Sign = acrsuite.ByEntra
}

// redirectedSignIn redirects the token requests of every call to elsewhere and, within the registry, to another path.
func redirectedSignIn(t *testing.T, signs []acrsuite.SignIn, operations ...string) {
	t.Helper()
	plain := acrsuite.PlainAttacker(t)
	for _, by := range acrsuite.BothWays {
		w := acrsuite.NewWorldBy(t, by)
		a := w.Attacker(nil)
		status := acrsuite.InTurn(307, 308)
		w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
			f.Srv.On(operations...).Always().Redirect(status(), a.URL+"/oauth2/token")
			if err := f.Run(); f.Call.Op == "ExchangeEntraToken" && operations[0] == "GetAccessToken" {
				f.MustWork(err) // it needs no access token
			} else {
				f.MustFail(err, acr.ErrUntrusted)
			}
			f.Untouched(a)
			if f.Call.Kind != acrsuite.ExamineCall {
				f.AtMost(1, operations...)
			}
		})
		any30x := acrsuite.InTurn(307, 301, 308, 302, 307, 303, 308)
		for _, w.Sign = range signs {
			for _, target := range []string{a.URL + "/", plain.URL + "/", "/oauth2/token?again=1", "//" + a.Host() + "/x", "http://" + w.Srv.Host() + "/oauth2/token"} {
				f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
				f.Note = string(w.Sign) + " " + target
				f.Srv.On(operations...).Always().Redirect(any30x(), target)
				f.MustFail(f.Run(), acr.ErrUntrusted)
				f.AtMost(1, operations...)
				f.Untouched(a, plain)
			}
		}
		w.Sign = acrsuite.ByEntra
	}
}

// noBasic demands that nothing was sent with Basic.
func noBasic(f *acrsuite.Fixture) {
	f.T.Helper()
	for _, r := range f.Srv.Ledger().Requests() {
		if r.Credential == "basic" {
			f.Errorf("%s was sent with Basic", r.Operation)
		}
	}
}

// narrow demands that no token was asked for but for what the call is about.
func narrow(f *acrsuite.Fixture) {
	f.T.Helper()
	for _, r := range f.Srv.Ledger().Requests("GetAccessToken", "GetAccessTokenWithBasic") {
		if len(r.Scope) > 1<<10 {
			f.Errorf("a scope of %d bytes was asked for", len(r.Scope))
		}
		for scope := range strings.FieldsSeq(r.Scope) {
			typ, rest, _ := strings.Cut(scope, ":")
			name, actions, _ := strings.Cut(rest, ":")
			mine := typ == "registry" && (name == "catalog" || name == "deleted_catalog") && !f.Call.Has("name") || typ == "repository" && name == f.Name
			switch {
			case f.Call.Kind == acrsuite.ExamineCall && scope == "registry:catalog:*":
			case typ == "repository" && name == f.Source && actions == "pull" && f.Call.Has("from"):
			case !mine, typ == "repository" && strings.Contains(actions, "*"):
				f.Errorf("scope %q was asked for", scope)
			case strings.Contains(actions, "delete") && !strings.Contains(actions, "deleted") && f.Call.Kind != acrsuite.DeleteCall:
				f.Errorf("scope %q was asked for, by what deletes nothing", scope)
			}
		}
	}
}
