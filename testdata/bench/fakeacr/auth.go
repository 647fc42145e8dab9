package fakeacr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// need is the permission that a request requires.
type need struct{ typ, name, action string }

func (n need) scope() string {
	if n.typ == "" {
		return ""
	}
	return n.typ + ":" + n.name + ":" + n.action
}

// grant is what an access token allows: "type:name:action" for single actions.
type grant struct {
	all     bool
	actions map[string]bool
	expires time.Time
}

func (g *grant) allows(n need) bool {
	if g.all || n.typ == "" {
		return true
	}
	for a := range strings.SplitSeq(n.action, ",") {
		if !g.actions[n.typ+":"+n.name+":"+a] && !g.actions[n.typ+":"+n.name+":*"] {
			return false
		}
	}
	return true
}

var tokenSerial atomic.Int64

// newToken makes a token of the shape of a JWT. The registry recognizes it by
// looking it up, so the signature is filler of the usual length.
func newToken(kind string, ttl time.Duration, access any) string {
	enc := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	const early = 900 // ACR dates its tokens back by that many seconds
	claims, _ := json.Marshal(map[string]any{
		"jti": fmt.Sprintf("%08d", tokenSerial.Add(1)), "iss": "Azure Container Registry",
		"aud": "bench", "grant_type": kind, "version": "1.0", "access": access,
		"iat": now.Unix() - early, "nbf": now.Unix() - early, "exp": now.Add(ttl).Unix(),
	})
	return enc([]byte(`{"alg":"RS256","typ":"JWT","kid":"AAAA:BBBB:CCCC"}`)) + "." + enc(claims) + "." +
		strings.Repeat("s1g-", 86)[:342]
}

// authorize answers 401 with a challenge, and returns false, unless the request
// carries a token that allows n.
func (sc *scenario) authorize(w http.ResponseWriter, r *http.Request, n need) bool {
	if tok, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if g, ok := sc.tokens.Load(tok); ok {
			if g := g.(*grant); time.Now().Before(g.expires) && g.allows(n) {
				return true
			}
		}
	}
	sc.unauthorized.Add(1)
	ch := fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",service="%s"`, r.Host, r.Host)
	if s := n.scope(); s != "" {
		ch += fmt.Sprintf(`,scope="%s"`, s)
		if r.Header.Get("Authorization") != "" {
			ch += `,error="insufficient_scope"`
		}
	}
	w.Header().Set("Www-Authenticate", ch)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

// exchange is POST /oauth2/exchange: an Entra token for a refresh token.
func (sc *scenario) exchange(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("access_token") != EntraToken || r.PostFormValue("service") == "" {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "bad Entra token")
		return
	}
	writeJSON(w, map[string]string{"refresh_token": sc.newRefresh()})
}

func (sc *scenario) newRefresh() string {
	t := newToken("refresh_token", 3*time.Hour, nil)
	sc.refresh.Store(t, true)
	return t
}

// token is GET or POST /oauth2/token.
func (sc *scenario) token(w http.ResponseWriter, r *http.Request) {
	var scopes []string
	var ok bool
	if r.Method == http.MethodPost {
		r.ParseForm()
		scopes = r.PostForm["scope"]
		_, ok = sc.refresh.Load(r.PostFormValue("refresh_token"))
	} else {
		scopes = r.URL.Query()["scope"]
		var user, pass string
		user, pass, ok = r.BasicAuth()
		ok = ok && user == User && pass == Password
	}
	if !ok {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "bad credentials")
		return
	}
	type entry struct {
		Type    string   `json:"Type"`
		Name    string   `json:"Name"`
		Actions []string `json:"Actions"`
	}
	ttl := time.Hour
	if s := sc.cfg.TokenTTLSeconds; s > 0 {
		ttl = time.Duration(s) * time.Second
	}
	g := &grant{actions: map[string]bool{}, expires: time.Now().Add(ttl)}
	var access []entry
	for _, group := range scopes {
		for s := range strings.FieldsSeq(group) {
			typ, rest, _ := strings.Cut(s, ":")
			i := strings.LastIndexByte(rest, ':')
			if i < 0 {
				continue
			}
			e := entry{typ, rest[:i], strings.Split(rest[i+1:], ",")}
			access = append(access, e)
			for _, a := range e.Actions {
				g.actions[typ+":"+e.Name+":"+a] = true
			}
		}
	}
	t := newToken("access_token", ttl, access)
	sc.tokens.Store(t, g)
	writeJSON(w, map[string]string{"access_token": t})
}

// masterToken returns an access token for everything.
func (sc *scenario) masterToken() string {
	t := newToken("access_token", 3*time.Hour, nil)
	sc.tokens.Store(t, &grant{all: true, expires: time.Now().Add(3 * time.Hour)})
	return t
}

func writeJSON(w http.ResponseWriter, v any) {
	b, _ := json.Marshal(v)
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func fail(w http.ResponseWriter, status int, code, msg string) {
	b, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": code, "message": msg, "detail": nil}}})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}
