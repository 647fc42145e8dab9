package mutate_test

// authGuards are those of who gets which token.
var authGuards = in("../../auth", []guard{
	{"what needs no credential gets none", "policy.go", "if !need.Sign {", "if false {", "TestUnsignedWithoutScopes"},
	{"a 401 is answered once", "policy.go", "|| req.OperationValue(&reauthenticated{})", "", "TestReauthenticatesOnceOverTries"},
	{"no secret for Basic", "policy.go", "if !ok {\n\t\treturn nil // Basic", "if !ok && false {\n\t\treturn nil // Basic", "TestRefusedForEver"},
	{"a token refused for its scope is not asked for again", "policy.go", "case time.Since(tok.issued) < freshToken:", "case false:", "TestRefusedForEver"},
	{"a challenge adds actions that fit", "scope.go", "return !slices.Contains(allowed, a)", "return false && !slices.Contains(allowed, a)", "TestScopeWithin"},
	{"a challenge adds no repository", "scope.go", "if !slices.ContainsFunc(s.scopes, func(n scope) bool { return n.typ == more.typ && n.name == more.name }) {", "if false {", "TestScopeWithin"},
	{"what was granted counts", "cache.go", "if t.claims.granted != nil && !t.claims.granted.covers(set) {", "if false {", "TestGrantedCounts"},
	{"a wider token is not given away", "authenticator.go", "a.access.exact(parseScopeSet(scopes...)).get(ctx)", "a.access.find(parseScopeSet(scopes...)).get(ctx)", "TestAccessIsNarrow"},
	{"tokens are kept out of texts", "request.go", "\ta.vault.remember(value)\n", "", "TestScrubKnowsEveryToken"},
	{"Entra tokens are kept out of texts", "fetch.go", "\t\t\ta.vault.remember(t.Token)\n", "", "TestScrubKnowsEveryToken"},
	{"a token is one", "request.go", "if err != nil || !validToken(value) {", "if err != nil {", "TestTokenReplies"},
	{"a token of the credential is one", "fetch.go", "\t\t\terr = badToken(t.Token)\n", "\t\t\terr = nil\n", "TestCredentialWithoutToken"},
	{"a token reply is bounded", "request.go", "-1, maxReply)", "-1, 1<<40)", "TestTokenReplyIsBounded"},
	{"one fetch for all who wait", "cell.go", "f := c.pending\n", "f := (*pending)(nil)\n", "TestColdCallsShareOneFetch"},
	{"who leaves takes the token from no other", "cell.go", "good && f.waiters == 0 && c.pending == f", "good && c.pending == f", "TestCallersLeave"},
	{"a refused refresh token is exchanged anew", "fetch.go", "if r.err == nil || r.err.StatusCode != http.StatusBadRequest && r.err.StatusCode != http.StatusUnauthorized {", "if true {", "TestRevokedTokens"},
	{"a token is renewed before its end", "token.go", "renewAt: now.Add(left * 4 / 5),", "renewAt: now.Add(left),", "TestRenewalAhead|TestLifeLeft|TestThreeDays"},
	{"a token is over at its end by both clocks", "token.go", "now.Before(t) && now.Round(0).Before(t.Round(0))", "now.Before(t)", "TestTokenAfterSuspend"},
	{"the login URL is https", "authenticator.go", "if c.Login.Scheme != \"https\" || c.Login.User != nil {", "if false {", "TestBadConfig"},
	{"a credential prints no secret", "credential.go", "func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }", "func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.secret.reveal())) }", "TestSecretsPrintRedacted"},
	{"token requests are bounded in number", "authenticator.go", "\t\ts.turns = turns\n", "\t\t_ = turns\n", "TestManyScopesAtOnce|TestTurnsAndBounds"},
	{"a panic of the credential reaches the caller", "cell.go", "c.finish(f, t, err, recover())", "_ = recover()\n\t\tc.finish(f, t, err, nil)", "TestCredentialPanics"},
})
