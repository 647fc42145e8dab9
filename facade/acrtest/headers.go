package acrtest

import (
	"net/http"
	"strings"
	"time"
)

const transportSecurity = "max-age=31536000; includeSubDomains"

// frontHeaders are what the registry's front end puts on every answer under /v2 and /acr/v1.
// Strict-Transport-Security stands there twice on the real service too: two proxies in a row each
// add it.
func frontHeaders(h http.Header, now time.Time) {
	h["Access-Control-Expose-Headers"] = []string{"Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id"}
	h["Docker-Distribution-Api-Version"] = []string{"registry/2.0"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	tokenHeaders(h, now)
	h["Strict-Transport-Security"] = []string{transportSecurity, transportSecurity}
}

// tokenHeaders are the fewer ones of /oauth2.
func tokenHeaders(h http.Header, now time.Time) {
	h["Connection"] = []string{"keep-alive"}
	h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	h["Server"] = []string{"openresty"}
	h["Strict-Transport-Security"] = []string{transportSecurity}
	h["X-Ms-Correlation-Request-Id"] = []string{newGUID()}
}

// identified puts on the two headers of requests that passed the registry's own front door: all of
// /v2, and deletes.
func identified(h http.Header, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v2/") || r.Method == http.MethodDelete {
		h["X-Ms-Request-Id"] = []string{newGUID()}
		h["X-Ms-Client-Request-Id"] = []string{r.Header.Get("X-Ms-Client-Request-Id")}
	}
}
