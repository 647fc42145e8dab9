package acr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
)

var _ = expect("A55", "A56", "A57", "A58")

// TestAttacksByError: errors are shown to people and written to logs.
func TestAttacksByError(t *testing.T) {
	t.Parallel()
	row(t, "A55 storage that fails behind a signed link", refused, func(t *testing.T) {
		faults := map[string]func(*acrtest.Fault){
			"403": func(f *acrtest.Fault) { f.Status(http.StatusForbidden) }, "500": func(f *acrtest.Fault) { f.Status(http.StatusInternalServerError) },
			"reset": func(f *acrtest.Fault) { f.ResetAfter(0) }, "reset in the body": func(f *acrtest.Fault) { f.ResetAfter(10) }, "no HTTP": func(f *acrtest.Fault) { f.Raw("what?\r\n\r\n") },
			"other bytes": func(f *acrtest.Fault) { f.FlipByte(3) }, "redirect": func(f *acrtest.Fault) { f.Redirect(307, "http://storage.example/x?sig=c2lnbmF0dXJl") },
		}
		for name, script := range faults {
			synctest.Test(t, func(t *testing.T) {
				newWorld(t, acrtest.WithMemoryNetwork()).over(callsOf(downloadCall), func(f *fixture) {
					f.note = name
					script(f.srv.On("GetBlobContent").Always())
					err := f.run() // whatever it ends with is looked through
					if err == nil && name != "other bytes" {
						f.errorf("succeeded")
					}
					if err != nil && strings.Contains(err.Error(), "sig=") || strings.Contains(f.log.String(), "sig=") {
						f.errorf("shows a signature: %v", err)
					}
				})
			})
		}
	})
	row(t, "A56 token endpoint that repeats what it was sent", refused, func(t *testing.T) {
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
		for sign, op := range map[signIn]string{byEntra: "ExchangeEntraToken", byRefresh: "GetAccessToken", byPassword: "GetAccessTokenWithBasic"} {
			w := newWorld(t)
			w.sign = sign
			each := callsOf(readCall)
			if sign == byEntra {
				each = callsOf()
			}
			w.over(each, func(f *fixture) {
				f.srv.On(op).Always().Do(echo)
				f.mustFail(f.run())
				shown(f, f.log.String())
				if secrets.lookHard("the log of "+f.call.method, f.log.String()) {
					f.errorf("the log shows a secret")
				}
			})
		}
		w := newWorld(t)
		w.over(callsOf(readCall), func(f *fixture) { // an operation may repeat its credential as well
			f.srv.On(f.call.op).Always().Do(echo)
			f.mustFail(f.run())
		})
		w = newWorld(t)
		m := &mask{base: w.spy}
		w.transport.Transport = m
		w.over(callsOf(readCall), func(f *fixture) { // and one that nobody takes for a token who does not know it
			const token = "0paque-token%d-of-the-registry"
			m.wear(func(id string) string { return strings.ReplaceAll(token, "token%d", id) })
			f.srv.On(f.call.op).Always().Status(http.StatusBadRequest).
				Body("application/json", fmt.Sprintf(`{"errors":[{"code":"DENIED","message":"no: `+token+`, `+token+`"}]}`, 0, 1))
			err := f.run()
			f.mustFail(err)
			if text := fmt.Sprintf("%v %+v %s", err, err, f.log); strings.Contains(text, "0paque") {
				f.errorf("shows a token: %s", text)
			}
		})
	})
	row(t, "A57 error messages with a life of their own", refused, func(t *testing.T) {
		messages := []string{
			"\x1b[2J\x1b]0;owned\x07", "first\nlevel=info msg=\"second line\"", "a\r\nb", "\u202eevil\u2066\u200b", strings.Repeat("long ", 200_000), strings.Repeat("long enough ", 1_200), "\x00\x01\x7f\u0085\u2028", "\xff\xfe",
			"see https://user:hunter2hunter2@h/?sig=c2lnbmF0dXJl&_state=abc", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.signature",
		}
		w, i := newWorld(t), 0
		w.options = []option{once}
		say := func(f *fixture, message string) {
			f.note = fmt.Sprintf("%.30q", message)
			body, _ := json.Marshal(map[string]any{"errors": []map[string]any{{"code": message, "message": message, "detail": message}}}) // strings only
			f.srv.On(f.call.op).Always().Status(http.StatusBadRequest).Header("X-Ms-Correlation-Request-Id", "a\tb\u202e").
				Body("application/json", string(body))
			err := f.run()
			if f.call.op == "CancelUpload" {
				return
			}
			f.mustFail(err)
			shown(f, fmt.Sprint(err))
		}
		w.over(callsOf(), func(f *fixture) {
			say(f, messages[i%len(messages)])
			i++
		})
		for _, m := range messages {
			say(w.fixture(callNamed(t, "Repository.GetManifest")), m)
		}
		for _, body := range []string{"\x1b[31mplain\x1b[0m\n", "<html>\n<script>", strings.Repeat("x", 1<<20), `{"errors":[{"code":1}]}`, "\x00"} {
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.srv.On(f.call.op).Always().Status(http.StatusBadRequest).Body("text/plain", body)
			err := f.run()
			f.mustFail(err)
			shown(f, fmt.Sprint(err))
		}
	})
	row(t, "A58 whatever can be printed", refused, func(t *testing.T) {
		for _, sign := range []signIn{byEntra, byPassword, byRefresh, byAnonymous} {
			w := newWorld(t)
			w.sign = sign
			f := w.fixture(callNamed(t, "Repository.GetManifest"))
			f.note = string(sign)
			f.mustWork(f.run())
			o := f.clientOptions()
			for what, v := range map[string]any{
				"a Client": f.client, "a Repository": f.repository(), "an Artifact": f.artifact(), "an Artifact by value": *f.artifact(), "options": o, "options by value": *o,
			} {
				secrets.lookValue(what, v)
			}
			if sign != byAnonymous {
				l, err := f.client.Login(f.ctx)
				f.mustWork(err)
				for _, v := range []any{l, &l, []acr.Login{l}, map[string]acr.Login{"x": l}} {
					secrets.lookValue("a Login", v)
				}
				if l.Password == "" {
					f.errorf("the login is empty")
				}
			}
			// The error of a refused call holds its request and response.
			f.srv.On("GetManifest").Always().Status(http.StatusForbidden).AddHeader("Set-Cookie", "a=b")
			err := f.run()
			var raw *azcore.ResponseError
			if !errors.As(err, &raw) {
				f.errorf("%v has no azcore error behind it", err)
				continue
			}
			secrets.lookValue("an azcore error", raw)
			if raw.RawResponse != nil && raw.RawResponse.Request != nil && raw.RawResponse.Request.Header.Get("Authorization") != "" {
				f.errorf("the request in the error is signed")
			}
		}
	})
}

// shown demands that a text can be shown: one line at most for an error, no control or bidirectional characters, some 4 KiB.
func shown(f *fixture, text string) {
	f.t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !printableLine(line) || strings.Contains(line, "\x1b") {
			f.errorf("shows control characters: %.300q", line)
		}
		if len(line) > 5<<10 {
			f.errorf("shows %d bytes", len(line))
		}
	}
	if text != "" && strings.Count(text, "\n") > 0 && text != f.log.String() {
		f.errorf("shows several lines: %.300q", text)
	}
}
