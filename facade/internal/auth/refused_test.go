package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A token that is too large, and a server without the token endpoint, are told apart from a stranger.
func TestRefusedTokenRequests(t *testing.T) {
	t.Parallel()
	const page = "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>"
	for _, row := range []struct {
		name   string
		op     string
		status int
		body   string
		advice string
	}{
		{"400 by nginx", opExchange, 400, page, adviseTooLarge},
		{"413", opExchange, 413, "<html>", adviseTooLarge},
		{"431", opToken, 431, "", adviseTooLarge},
		{"400 by something else", opExchange, 400, "<html>no</html>", adviseStranger},
		{"400 of a registry that says it in JSON", opToken, 400, `{"errors":[{"code":"X","message":"too large"}]}`, adviseAnon},
		{"no token endpoint", opToken, 404, "404 page not found", adviseNoEndpoint},
		{"no token endpoint for Basic", opBasic, 405, "", adviseNoEndpoint},
		{"no exchange", opExchange, 404, "404 page not found", adviseStranger},
		{"a proxy that asks who it is", opToken, 407, "", AdviseProxy},
		{"a network that asks who it is", opExchange, 511, "<html>Log in</html>", AdvisePortal},
		{"a success that is none", opBasic, 204, "", adviseStranger},
		{"a gateway", opToken, 502, "<html>", adviseLater},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := &Authenticator{login: &url.URL{Scheme: "https", Host: "reg.azurecr.io"}}
			e := a.refused(row.op, &http.Response{StatusCode: row.status, Header: http.Header{}}, []byte(row.body), time.Now())
			if e.Advice != row.advice || strings.Contains(e.Error(), "title") {
				t.Errorf("%v; want the advice %q", e, row.advice)
			}
		})
	}
}
