package acrtest

import (
	"crypto/subtle"
	"slices"
	"strings"
)

// principal is somebody who may call the registry, with what he may do.
type principal struct {
	id       string // subject of his tokens
	user     string // name for Basic, "" for none
	password string
	rights   []access
	entra    bool
	// anonymous callers get tokens of their own, short kind.
	anonymous bool
}

const (
	adminID     = "admin"
	anonymousID = "acr_anon_pull"
	// refreshUser is the user name that goes with a refresh token as password.
	refreshUser = "00000000-0000-0000-0000-000000000000"
)

func everything() []access {
	return []access{
		{Type: "repository", Name: "*", Actions: []string{"*"}},
		{Type: "registry", Name: "catalog", Actions: []string{"*"}},
		{Type: "registry", Name: "deleted_catalog", Actions: []string{"*"}},
	}
}

// scopeMapActions translates the words of scope maps into those of tokens.
var scopeMapActions = map[string]string{
	"content/read":   "pull",
	"content/write":  "push",
	"content/delete": "delete",
	"metadata/read":  "metadata_read",
	"metadata/write": "metadata_write",
}

// parseRights reads lines such as "samples/* content/read,metadata/read".
func parseRights(lines []string) ([]access, error) {
	rights := []access{}
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return nil, invalid("scope map %q: must have the form \"REPOSITORY ACTION,ACTION\"", line)
		}
		name := fields[0]
		if base := strings.TrimSuffix(name, "/*"); name != "*" && !isName(base) {
			return nil, invalid("scope map %q: the repository must be a name, \"*\", or end in \"/*\"", line)
		}
		var actions []string
		for word := range strings.SplitSeq(fields[1], ",") {
			action, ok := scopeMapActions[word]
			if !ok {
				return nil, invalid("scope map %q: unknown action %q", line, word)
			}
			actions = append(actions, action)
		}
		rights = append(rights, access{Type: "repository", Name: name, Actions: actions})
		if name == "*" && slices.Contains(actions, "metadata_read") {
			rights = append(rights, access{Type: "registry", Name: "catalog", Actions: []string{"*"}})
		}
	}
	return rights, nil
}

// principals are all who may call the registry.
type principals struct {
	admin, client principal
	byID          map[string]*principal // by subject
	byUser        map[string]*principal // by user name
}

func newPrincipals(cfg *config, self identity) (*principals, error) {
	s := new(principals)
	s.admin = principal{id: adminID, user: cfg.adminUser, password: cfg.adminPassword, rights: everything()}
	if s.admin.password == "" {
		s.admin.password = self.AdminPassword
	}
	s.client = principal{id: self.Subject, user: self.ClientID, password: self.ClientSecret, rights: everything(), entra: true}
	if cfg.entraActions != nil {
		rights, err := parseRights(cfg.entraActions)
		if err != nil {
			return nil, err
		}
		s.client.rights = rights
	}
	all := []principal{s.admin, s.client}
	for _, token := range cfg.tokens {
		rights, err := parseRights(token.actions)
		if err != nil {
			return nil, err
		}
		all = append(all, principal{id: "token:" + token.name, user: token.name, password: token.password, rights: rights})
	}
	if cfg.allowsAnonymous() {
		all = append(all, principal{id: anonymousID, anonymous: true, rights: []access{
			{Type: "repository", Name: "*", Actions: []string{"pull", "metadata_read"}},
			{Type: "registry", Name: "catalog", Actions: []string{"*"}},
		}})
	}
	for _, p := range all {
		if !p.anonymous && (p.user == "" || p.password == "" || strings.Contains(p.user, ":")) {
			return nil, invalid("user %q: the name and the password must not be empty, and the name must not contain a colon", p.user)
		}
	}
	s.byID = make(map[string]*principal, len(all))
	s.byUser = make(map[string]*principal, len(all))
	for i := range all {
		p := &all[i]
		s.byID[p.id] = p
		if p.user != "" {
			if _, taken := s.byUser[p.user]; taken {
				return nil, invalid("two users are named %q", p.user)
			}
			s.byUser[p.user] = p
		}
	}
	return s, nil
}

// AllowsAnonymousPull reports whether clients without a credential may list and pull.
func (s *Server) AllowsAnonymousPull() bool { return s.cfg.allowsAnonymous() }

// byPassword finds the caller behind a user name and password, or nil.
func (s *principals) byPassword(user, password string) *principal {
	p := s.byUser[user]
	if p == nil || subtle.ConstantTimeCompare([]byte(p.password), []byte(password)) != 1 {
		return nil
	}
	return p
}
