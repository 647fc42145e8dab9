package attack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestAttacksByError: errors are shown to people and written to logs.
func TestAttacksByError(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A55 storage that fails behind a signed link", func(t *testing.T) {
		faults := map[string]func(*acrtest.Fault){
			"403": func(f *acrtest.Fault) { f.Status(http.StatusForbidden) }, "500": func(f *acrtest.Fault) { f.Status(http.StatusInternalServerError) },
			"reset": func(f *acrtest.Fault) { f.ResetAfter(0) }, "reset in the body": func(f *acrtest.Fault) { f.ResetAfter(10) }, "no HTTP": func(f *acrtest.Fault) { f.Raw("what?\r\n\r\n") },
			"other bytes": func(f *acrtest.Fault) { f.FlipByte(3) }, "redirect": func(f *acrtest.Fault) { f.Redirect(307, "http://storage.example/x?sig=c2lnbmF0dXJl") },
		}
		for name, script := range faults {
			synctest.Test(t, func(t *testing.T) {
				acrsuite.NewWorld(t, acrtest.WithMemoryNetwork()).Over(acrsuite.CallsOf(acrsuite.DownloadCall), func(f *acrsuite.Fixture) {
					f.Note = name
					script(f.Srv.On("GetBlobContent").Always())
					err := f.Run() // whatever it ends with is looked through
					if err == nil && name != "other bytes" {
						f.Errorf("succeeded")
					}
					if err != nil && strings.Contains(err.Error(), "sig=") || strings.Contains(f.Log.String(), "sig=") {
						f.Errorf("shows a signature: %v", err)
					}
				})
			})
		}
	})
	acrsuite.Row(t, "A56 token endpoint that repeats what it was sent", func(t *testing.T) {
		echo := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			body, _ := io.ReadAll(r.Body)
			text := fmt.Sprintf("%s %s", body, r.Header.Get("Authorization"))
			if err := r.ParseForm(); err == nil {
				text += fmt.Sprint(r.Form)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Ms-Correlation-Request-Id", text[:min(len(text), 2000)])
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":%q,"detail":%q}]}`, text, text) // who is gone is gone
		}
		for sign, op := range map[acrsuite.SignIn]string{acrsuite.ByEntra: "ExchangeEntraToken", acrsuite.ByRefresh: "GetAccessToken", acrsuite.ByPassword: "GetAccessTokenWithBasic"} {
			w := acrsuite.NewWorld(t)
			w.Sign = sign
			each := acrsuite.CallsOf(acrsuite.ReadCall)
			if sign == acrsuite.ByEntra {
				each = acrsuite.CallsOf()
			}
			w.Over(each, func(f *acrsuite.Fixture) {
				f.Srv.On(op).Always().Do(echo)
				f.MustFail(f.Run())
				shown(f, f.Log.String())
				if acrsuite.Secrets.LookHard("the log of "+f.Call.Method, f.Log.String()) {
					f.Errorf("the log shows a secret")
				}
			})
		}
		w := acrsuite.NewWorld(t)
		w.Over(acrsuite.CallsOf(acrsuite.ReadCall), func(f *acrsuite.Fixture) { // an operation may repeat its credential as well
			f.Srv.On(f.Call.Op).Always().Do(echo)
			f.MustFail(f.Run())
		})
		w = acrsuite.NewWorld(t)
		m := &acrsuite.Mask{Base: w.Spy}
		w.Transport.Transport = m
		w.Over(acrsuite.CallsOf(acrsuite.ReadCall), func(f *acrsuite.Fixture) { // and one that nobody takes for a token who does not know it
			const token = "0paque-token%d-of-the-registry"
			m.Wear(func(id string) string { return strings.ReplaceAll(token, "token%d", id) })
			f.Srv.On(f.Call.Op).Always().Status(http.StatusBadRequest).
				Body("application/json", fmt.Sprintf(`{"errors":[{"code":"DENIED","message":"no: `+token+`, `+token+`"}]}`, 0, 1))
			err := f.Run()
			f.MustFail(err)
			if text := fmt.Sprintf("%v %+v %s", err, err, f.Log); strings.Contains(text, "0paque") {
				f.Errorf("shows a token: %s", text)
			}
		})
	})
	acrsuite.Row(t, "A67 registry that repeats the access token", func(t *testing.T) { repeatedTokens(t, "raw") })
	acrsuite.Row(t, "A68 registry that repeats the access token in another form", func(t *testing.T) {
		repeatedTokens(t, slices.DeleteFunc(slices.Sorted(maps.Keys(acrsuite.Encodings)), func(name string) bool { return name == "raw" })...)
	})
	acrsuite.Row(t, "A57 error messages with a life of their own", func(t *testing.T) {
		messages := []string{
			"\x1b[2J\x1b]0;owned\x07", "first\nlevel=info msg=\"second line\"", "a\r\nb", "\u202eevil\u2066\u200b", strings.Repeat("long ", 200_000), strings.Repeat("long enough ", 1_200), "\x00\x01\x7f\u0085\u2028", "\xff\xfe",
			"see https://user:hunter2hunter2@h/?sig=c2lnbmF0dXJl&_state=abc", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.signature",
		}
		w, i := acrsuite.NewWorld(t), 0
		w.Options = []acrsuite.Option{acrsuite.Once}
		say := func(f *acrsuite.Fixture, message string) {
			f.Note = fmt.Sprintf("%.30q", message)
			body, _ := json.Marshal(map[string]any{"errors": []map[string]any{{"code": message, "message": message, "detail": message}}}) // strings only
			f.Srv.On(f.Call.Op).Always().Status(http.StatusBadRequest).Header("X-Ms-Correlation-Request-Id", "a\tb\u202e").
				Body("application/json", string(body))
			err := f.Run()
			if f.Call.Op == "CancelUpload" {
				return
			}
			f.MustFail(err)
			shown(f, fmt.Sprint(err))
		}
		w.Over(acrsuite.CallsOf(), func(f *acrsuite.Fixture) {
			say(f, messages[i%len(messages)])
			i++
		})
		for _, m := range messages {
			say(w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest")), m)
		}
		for _, body := range []string{"\x1b[31mplain\x1b[0m\n", "<html>\n<script>", strings.Repeat("x", 1<<20), `{"errors":[{"code":1}]}`, "\x00"} {
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Srv.On(f.Call.Op).Always().Status(http.StatusBadRequest).Body("text/plain", body)
			err := f.Run()
			f.MustFail(err)
			shown(f, fmt.Sprint(err))
		}
	})
	acrsuite.Row(t, "A58 whatever can be printed", func(t *testing.T) {
		for _, sign := range []acrsuite.SignIn{acrsuite.ByEntra, acrsuite.ByPassword, acrsuite.ByRefresh, acrsuite.ByAnonymous} {
			w := acrsuite.NewWorld(t)
			w.Sign = sign
			f := w.Fixture(acrsuite.CallNamed(t, "Repository.GetManifest"))
			f.Note = string(sign)
			f.MustWork(f.Run())
			o := f.ClientOptions()
			for what, v := range map[string]any{
				"a Client": f.Client, "a Repository": f.Repository(), "an Artifact": f.Artifact(), "an Artifact by value": *f.Artifact(), "options": o, "options by value": *o,
			} {
				acrsuite.Secrets.LookValue(what, v)
			}
			if sign == acrsuite.ByEntra {
				printEverything(f)
			}
			if sign != acrsuite.ByAnonymous {
				l, err := f.Client.Login(f.Ctx)
				f.MustWork(err)
				for _, v := range []any{l, &l, []acr.Login{l}, map[string]acr.Login{"x": l}} {
					acrsuite.Secrets.LookValue("a Login", v)
				}
				if l.Password() == "" {
					f.Errorf("the login is empty")
				}
			}
			// The error of a refused call holds its request and response.
			f.Srv.On("GetManifest").Always().Status(http.StatusForbidden).AddHeader("Set-Cookie", "a=b")
			err := f.Run()
			var raw *azcore.ResponseError
			if !errors.As(err, &raw) {
				f.Errorf("%v has no azcore error behind it", err)
				continue
			}
			acrsuite.Secrets.LookValue("an azcore error", raw)
			if raw.RawResponse != nil && raw.RawResponse.Request != nil && raw.RawResponse.Request.Header.Get("Authorization") != "" {
				f.Errorf("the request in the error is signed")
			}
		}
	})
}

// printEverything prints a value of each exported type of the library, as it is once a client has signed in and used it.
func printEverything(f *acrsuite.Fixture) {
	f.T.Helper()
	governor, err := acr.NewGovernor(nil)
	f.MustWork(err)
	o := f.ClientOptions()
	o.Governor = governor
	c, err := acr.NewClient(f.Srv.Endpoint(), f.Cred, o)
	f.MustWork(err)
	r := c.Repository(f.Name)
	ctx, usage := acr.WithUsage(f.Ctx)
	w, err := r.StartUpload(ctx, nil)
	f.MustWork(err)
	cp, err := w.Checkpoint()
	f.MustWork(err)
	f.MustWork(w.Cancel())
	reader, err := r.GetBlob(ctx, f.Blob, nil)
	f.MustWork(err)
	view, err := r.BlobReaderAt(ctx, f.Blob)
	f.MustWork(err)
	_, err = view.ReadAt(make([]byte, 10), 0)
	f.MustWork(err)
	m, err := r.GetManifest(ctx, f.Tag)
	f.MustWork(err)
	conversion, err := r.StartConversion(ctx, f.Image)
	f.MustWork(err)
	status, err := conversion.Poll(ctx)
	f.MustWork(err)
	report, err := c.Doctor(ctx, nil)
	f.MustWork(err)
	login, err := c.Login(ctx)
	f.MustWork(err)
	_, refusal := r.GetManifest(ctx, "none")
	refused, _ := errors.AsType[*acr.Error](refusal)
	printed := []any{
		c, r, r.Artifact(f.Tag), r.Artifact(f.Tag).Name(), o, governor, governor.Usage(f.Srv.Host()), acr.GovernorOptions{}, w, cp, reader, view, m.Descriptor, conversion, status, report, login, refused,
		refused.Details, usage(), acr.RequestMetrics{}, acr.ResponseTimeouts{}, acr.ArgumentError{},
	}
	for _, v := range printed {
		acrsuite.Secrets.LookValue(fmt.Sprintf("a %T", v), v)
		acrsuite.Secrets.LookValue(fmt.Sprintf("a %T within a struct", v), struct{ v any }{v})
		acrsuite.Secrets.LookValue(fmt.Sprintf("a %T within a list", v), []any{v, &v})
	}
	f.MustWork(reader.Close())
}

// shown demands that a text can be shown: one line at most for an error, no control or bidirectional characters, some 4 KiB.
func shown(f *acrsuite.Fixture, text string) {
	f.T.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !acrsuite.PrintableLine(line) || strings.Contains(line, "\x1b") {
			f.Errorf("shows control characters: %.300q", line)
		}
		if len(line) > 5<<10 {
			f.Errorf("shows %d bytes", len(line))
		}
	}
	if text != "" && strings.Count(text, "\n") > 0 && text != f.Log.String() {
		f.Errorf("shows several lines: %.300q", text)
	}
}
