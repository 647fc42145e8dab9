package acrtest_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// A panic in a script's own handler is told, not swallowed with the connection.
func TestPanicIsTold(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s, err := acrtest.Start(acrtest.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.On("GetAccessTokenWithBasic").Do(func(http.ResponseWriter, *http.Request, http.Handler) { panic("oh") })
	resp, err := s.HTTPClient().Get(s.Endpoint() + "/oauth2/token")
	if err == nil {
		resp.Body.Close()
		t.Error("there is a reply")
	}
	s.Close()
	if !strings.Contains(logged.String(), "panic: oh") {
		t.Errorf("logged: %s", &logged)
	}
}
