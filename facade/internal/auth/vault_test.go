package auth_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/auth"
)

// The credential itself is taken out of texts for as long as the client lives, however many tokens come and go, and in the forms in which requests carry it.
func TestScrubKeepsCredential(t *testing.T) {
	t.Parallel()
	const password = "canary/pass word&"
	c := newClient(t, newRegistry(), auth.Password("admin", password))
	for i := range 600 {
		c.Remember(fmt.Sprintf("token-%08d", i))
	}
	for name, form := range map[string]string{
		"as it is":   password,
		"in a form":  url.QueryEscape(password),
		"in a path":  url.PathEscape(password),
		"as Basic":   base64.StdEncoding.EncodeToString([]byte("admin:" + password)),
		"in JSON":    `canary/pass word\u0026`,
		"last token": "token-00000599",
	} {
		if got := c.Scrub("<" + form + ">"); got != "<REDACTED>" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if strings.Contains(c.Scrub("token-00000000"), "REDACTED") {
		t.Error("tokens are remembered without end")
	}
}
