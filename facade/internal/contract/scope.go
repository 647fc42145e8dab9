package contract

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var challengedScope = regexp.MustCompile(`scope="([^"]*)"`)

// checkChallenge holds the scope that a 401 asks for against x-acr-scopes: a client that fetches its token beforehand goes by
// these.
func checkChallenge(req *http.Request, resp *http.Response, route *route) error {
	declared, ok := route.op.Extensions["x-acr-scopes"].([]any)
	if !ok || resp.StatusCode != http.StatusUnauthorized {
		return nil
	}
	challenge := resp.Header.Get("WWW-Authenticate")
	if challenge == "" {
		return nil // that it is missing is said of the header
	}
	found := challengedScope.FindStringSubmatch(challenge)
	if found == nil {
		found = []string{"", ""}
	}
	asked := map[string]bool{}
	for scope := range strings.FieldsSeq(found[1]) {
		asked[sortActions(scope)] = true
	}
	for _, scope := range declared {
		text, _ := scope.(string)
		want := sortActions(strings.ReplaceAll(text, "{name}", route.values["name"]))
		if !asked[want] {
			return fmt.Errorf("challenge is for %q, declared is %q", found[1], want)
		}
		delete(asked, want)
	}
	if from := req.URL.Query().Get("from"); from != "" {
		delete(asked, "repository:"+from+":pull")
	}
	if len(asked) > 0 {
		return fmt.Errorf("challenge is for more than is declared: %q", found[1])
	}
	return nil
}

// sortActions makes scopes comparable: registries have been seen to write both "pull,push" and "push,pull".
func sortActions(scope string) string {
	i := strings.LastIndexByte(scope, ':')
	actions := strings.Split(scope[i+1:], ",")
	slices.Sort(actions)
	return scope[:i+1] + strings.Join(actions, ",")
}
