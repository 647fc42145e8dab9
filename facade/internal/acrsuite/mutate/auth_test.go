package mutate_test

// authGuards are those of who gets which token.
var authGuards = in("../../auth", []guard{
	{"what needs no credential gets none", "policy.go", "if !need.Sign {", "if false {", "Test"},
	{"a 401 is answered once", "policy.go", "|| req.OperationValue(&reauthenticated{})", "", "Test"},
	{"a body is sent again from its start", "policy.go", "if err := req.RewindBody(); err != nil {", "if err := error(nil); err != nil {", "Test"},
	{"no secret for Basic", "policy.go", "if !ok {\n\t\treturn nil // Basic", "if !ok && false {\n\t\treturn nil // Basic", "Test"},
	{"a token refused for its scope is not asked for again", "policy.go", "case time.Since(tok.issued) < freshToken:", "case false:", "Test"},
	{"a challenge adds actions that fit", "scope.go", "return !slices.Contains(allowed, a)", "return false && !slices.Contains(allowed, a)", "Test"},
	{"a challenge adds no repository", "scope.go", "if !slices.ContainsFunc(s.scopes, func(n scope) bool { return n.typ == more.typ && n.name == more.name }) {", "if false {", "Test"},
	{"what was granted counts", "cache.go", "if t.claims.granted != nil && !t.claims.granted.covers(set) {", "if false {", "Test"},
	{"a wider token is not given away", "authenticator.go", "a.access.exact(parseScopeSet(scopes...)).get(ctx)", "a.access.find(parseScopeSet(scopes...)).get(ctx)", "Test"},
	{"tokens are kept out of texts", "request.go", "\ta.vault.remember(value)\n", "", "Test"},
	{"Entra tokens are kept out of texts", "fetch.go", "\t\t\ta.vault.remember(t.Token)\n", "", "Test"},
	{"a token is one", "request.go", "if err != nil || !validToken(value) {", "if err != nil {", "Test"},
	{"a token of the credential is one", "fetch.go", "\t\t\terr = badToken(t.Token)\n", "\t\t\terr = nil\n", "Test"},
	{"a token reply is bounded", "request.go", "-1, maxReply)", "-1, 1<<40)", "Test"},
	{"one fetch for all who wait", "cell.go", "f := c.pending\n", "f := (*pending)(nil)\n", "Test"},
	{"who leaves takes the token from no other", "cell.go", "good && f.waiters == 0 && c.pending == f", "good && c.pending == f", "Test"},
	{"a refused refresh token is exchanged anew", "fetch.go", "if r.err == nil || r.err.StatusCode != http.StatusBadRequest && r.err.StatusCode != http.StatusUnauthorized {", "if true {", "Test"},
	{"a token is renewed before its end", "token.go", "renewAt: now.Add(left * 4 / 5),", "renewAt: now.Add(left),", "Test"},
	{"a token is over at its end by both clocks", "token.go", "now.Before(t) && now.Round(0).Before(t.Round(0))", "now.Before(t)", "Test"},
	{"the login URL is https", "authenticator.go", "if c.Login.Scheme != \"https\" || c.Login.User != nil {", "if false {", "Test"},
	{"a credential prints no secret", "credential.go", "func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }", "func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.secret.reveal())) }", "Test"},
	{"token requests are bounded in number", "authenticator.go", "\t\ts.turns = turns\n", "\t\t_ = turns\n", "Test"},
	{"a panic of the credential reaches the caller", "cell.go", "c.finish(f, t, err, recover())", "_ = recover()\n\t\tc.finish(f, t, err, nil)", "Test"},
})
