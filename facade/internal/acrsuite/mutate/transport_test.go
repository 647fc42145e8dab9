package mutate_test

// transportGuards are those of how requests are sent.
var transportGuards = in("../../transport", []guard{
	{"no cookies", "sender.go", "\tr.Header.Del(\"Cookie\")\n", "", "Test"},
	{"no Referer", "sender.go", "\tr.Header.Del(\"Referer\")\n", "", "Test"},
	{"storage gets no token", "bloblink.go", "if verdict.Credential {", "if verdict.Credential || true {", "Test"},
	{"requests go home", "transport.go", "Login: t.login, To: req.URL}); err != nil {", "Login: t.login, To: req.URL}); false {", "Test"},
	{"the Host header is the registry's", "transport.go", "if req.Host != \"\" && wire.OriginOf", "if false && wire.OriginOf", "Test"},
	{"redirects are judged", "transport.go", "Login: t.login, Hops: hops, To: next})", "Login: t.login, Hops: hops, To: next})\n\t\t\terr = nil", "Test"},
	{"errors have no query", "sender.go", "URL: redact.URL(req.URL), Err: err}", "URL: req.URL.String(), Err: err}", "Test"},
	{"errors are bounded", "sender.go", "body.Reader = io.LimitReader(resp.Body, maxErrorBody)", "_ = maxErrorBody", "Test"},
	{"a redirect that was followed is noticed", "sender.go", "if resp.Request != nil && resp.Request.Response != nil {", "if false {", "Test"},
	{"two values of a header are noticed", "sender.go", "if err := wire.CheckHeaders(resp.StatusCode, resp.Header); err != nil {", "if err := error(nil); err != nil {", "Test"},
	{"a body that is read shorter than stated is no whole one", "body.go", "err = io.ErrUnexpectedEOF // the source", "err = io.EOF // the source", "Test"},
})
