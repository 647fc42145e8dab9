package acrtest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A password is a secret whatever its length, and goes wherever it is said under its name.
func TestRecorderTakesShortSecrets(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token": "tiny1", "refresh_token":"a\"b", "expires_in":3600, "password_hint":"none"}`)
	}))
	defer server.Close()
	recorder := acrtest.NewRecorder(server.Client().Transport)
	client := &http.Client{Transport: recorder}
	form := url.Values{"grant_type": {"password"}, "username": {"me"}, "password": {"pa&ss"}, "service": {"s"}}
	resp, err := client.PostForm(server.URL+"/oauth2/token?password=tiny2&scope=x", form)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	got := string(recorder.Transcript())
	for _, secret := range []string{"pa&ss", "pa%26ss", "tiny1", "tiny2", `a\"b`} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is in the transcript:\n%s", secret, got)
		}
	}
	for _, kept := range []string{"grant_type=password", "username=me", "service=s", `"expires_in":3600`, `"password_hint":"none"`, "scope=x"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is not in the transcript:\n%s", kept, got)
		}
	}
}
