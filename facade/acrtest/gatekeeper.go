package acrtest

import (
	"net/http"
	"slices"
	"strings"
)

// gatekeeper reads the credential of a request and decides whether it may pass.
type gatekeeper struct{ tokens *tokens }

// caller is who sent a request: what his credential allows, and why it does not when it does not.
type caller struct {
	id      string // subject; "" when there is no good credential
	kind    CredentialKind
	granted []access
	problem string // the error of the challenge: "", "invalid_token" or "insufficient_scope"
}

// identify reads the credential of a request.
func (g *gatekeeper) identify(r *http.Request) caller {
	header := r.Header.Get("Authorization")
	if header == "" {
		return caller{kind: NoCredential}
	}
	scheme, value, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		claims, err := g.tokens.openAccess(strings.TrimSpace(value))
		if err != nil {
			return caller{kind: BearerCredential, problem: "invalid_token"}
		}
		return caller{id: claims.Subject, kind: BearerCredential, granted: claims.Access}
	case strings.EqualFold(scheme, "Basic"):
		user, password, _ := r.BasicAuth()
		p := g.tokens.principals.byPassword(user, password)
		if user == refreshUser {
			p, _ = g.tokens.openRefresh(password)
		}
		if p == nil {
			return caller{kind: BasicCredential}
		}
		return caller{id: p.id, kind: BasicCredential, granted: p.rights}
	}
	return caller{kind: OtherCredential}
}

// admit tells whether the caller may do what is needed, and answers with the challenge if he may
// not. It comes before anything is looked up, so that what exists cannot be told from what does
// not.
func (g *gatekeeper) admit(w http.ResponseWriter, r *http.Request, c caller, needed []access) bool {
	if c.id != "" && covers(c.granted, needed) {
		return true
	}
	switch {
	case c.id != "":
		c.problem = "insufficient_scope"
	case c.kind == BasicCredential:
		w.Header().Set("Www-Authenticate", `Basic realm="Azure Container Registry"`)
		refuseCaller(w, needed)
		return false
	}
	g.challenge(w, r, needed, c.problem)
	return false
}

const needCredential = "authentication required, visit https://aka.ms/acr/authorization for more information."

// challengeEntry is the detail of a refused request.
type challengeEntry struct {
	Type   string
	Name   string
	Action string
}

func (g *gatekeeper) challenge(w http.ResponseWriter, r *http.Request, needed []access, problem string) {
	var b strings.Builder
	host := g.tokens.hosts.asked(r.Host)
	b.WriteString(`Bearer realm="https://` + host + `/oauth2/token",service="` + host + `"`)
	if len(needed) > 0 {
		b.WriteString(`,scope="` + scopeText(needed) + `"`)
	}
	if problem != "" {
		b.WriteString(`,error="` + problem + `"`)
	}
	// The key is spelled as on the wire; net/http would write Www-Authenticate.
	w.Header()["WWW-Authenticate"] = []string{b.String()}
	refuseCaller(w, needed)
}

// refuseCaller answers with what would have been needed, or with null for an operation that any
// caller may use.
func refuseCaller(w http.ResponseWriter, needed []access) {
	var entries []challengeEntry
	for _, scope := range needed {
		for _, action := range slices.Sorted(slices.Values(scope.Actions)) {
			entries = append(entries, challengeEntry{Type: scope.Type, Name: scope.Name, Action: action})
		}
	}
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential, entries)
}
