package acrtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

func (p *playback) compareHeaders(want, got http.Header) (diffs []string) {
	for k := range want {
		if strings.HasPrefix(k, "X-Ms-Copy") {
			continue // the recorded blob was once copied from another account
		}
		if _, ok := got[k]; !ok {
			diffs = append(diffs, "header -"+k+": recorded "+want.Get(k))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			diffs = append(diffs, "header +"+k+": got "+got.Get(k))
		}
	}
	for _, k := range []string{"Content-Type", "Link", "Range", "Server", "Accept-Ranges", "Access-Control-Expose-Headers", "Docker-Distribution-Api-Version", "Strict-Transport-Security", "X-Content-Type-Options"} {
		if w, g := want[k], got[k]; w != nil && g != nil && joined(w) != joined(g) {
			diffs = append(diffs, fmt.Sprintf("value of %s: got %q, recorded %q", k, g, w))
		}
	}
	if w, g := sortActions(want.Get("WWW-Authenticate")), sortActions(got.Get("WWW-Authenticate")); serviceless(w) != serviceless(g) {
		diffs = append(diffs, fmt.Sprintf("challenge: got %s, recorded %s", g, w))
	}
	if w, g := shapeOfURL(want.Get("Location")), shapeOfURL(got.Get("Location")); w != g {
		diffs = append(diffs, fmt.Sprintf("location: got %s, recorded %s", g, w))
	}
	return diffs
}

// joined makes one of the lines of a header: recorders split and join them as they like.
func joined(values []string) string {
	return strings.ReplaceAll(strings.Join(values, " "), ",", "")
}

// sortActions takes away the order of a scope's actions, which varies on the service itself.
func sortActions(challenge string) string {
	return strings.Replace(challenge, "push,pull", "pull,push", 1)
}

// serviceless takes away the service, which sanitising has changed in some recordings.
func serviceless(challenge string) string {
	return regexp.MustCompile(`service="[^"]*"`).ReplaceAllString(challenge, "")
}

var variable = []*regexp.Regexp{
	regexp.MustCompile(`^https://[^/]+/[^/]+`), // account and container
	regexp.MustCompile(`[0-9a-f]{64}`),
	regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
	regexp.MustCompile(`(_state|se|sig|regid)=[^&"]*`),
	regexp.MustCompile(`/sha256/[0-9a-f]{2}/`),
}

// shapeOfURL replaces the parts that differ from registry to registry.
func shapeOfURL(u string) string {
	for _, re := range variable {
		u = re.ReplaceAllStringFunc(u, func(s string) string {
			if key, _, ok := strings.Cut(s, "="); ok {
				return key + "=*"
			}
			return "*"
		})
	}
	return u
}

func (p *playback) compareBody(want string, a answer) []string {
	if a.Header.Get("Content-Type") == "application/octet-stream" {
		want = "*" // its digest has been checked by the name it was asked for
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		if strings.HasPrefix(a.Header.Get("Content-Type"), "text/") && shapeOfBody(want) != shapeOfBody(a.body) {
			return []string{fmt.Sprintf("text: got %q, recorded %q", a.body, want)}
		}
		return nil
	}
	var w, g any
	if json.Unmarshal([]byte(want), &w) != nil || json.Unmarshal([]byte(a.body), &g) != nil {
		return []string{fmt.Sprintf("body: got %s, recorded %s", a.body, want)}
	}
	var diffs []string
	compareShape("", w, g, &diffs)
	return diffs
}

func shapeOfBody(s string) string {
	return regexp.MustCompile(`href="[^"]*"`).ReplaceAllStringFunc(s, func(h string) string {
		return `href="` + shapeOfURL(strings.TrimSuffix(strings.TrimPrefix(h, `href="`), `"`)) + `"`
	})
}

// compareShape compares keys and types; and the values of errors, which are constant.
func compareShape(path string, want, got any, diffs *[]string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			*diffs = append(*diffs, fmt.Sprintf("body%s: got %v", path, got))
			return
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				*diffs = append(*diffs, fmt.Sprintf("body%s.%s -: missing", path, k))
				continue
			}
			compareShape(path+"."+k, w[k], g[k], diffs)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				*diffs = append(*diffs, fmt.Sprintf("body%s.%s +: %v", path, k, g[k]))
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			*diffs = append(*diffs, fmt.Sprintf("body%s: got %v, recorded %v", path, got, want))
			return
		}
		for i := range w {
			compareShape(path+"[]", w[i], g[i], diffs)
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			*diffs = append(*diffs, fmt.Sprintf("body%s: got %T, recorded %T", path, got, want))
		} else if strings.HasPrefix(path, ".errors") && want != got {
			*diffs = append(*diffs, fmt.Sprintf("body%s: got %v, recorded %v", path, got, want))
		}
	}
}
