package mutate_test

// transportGuards are those of how requests are sent.
var transportGuards = in("../../transport", []guard{
	{"no cookies", "sender.go", "\tr.Header.Del(\"Cookie\")\n", "", "TestTransportSendsNoCookies"},
	{"no Referer", "sender.go", "\tr.Header.Del(\"Referer\")\n", "", "TestTransportSendsNoCookies"},
	{"storage gets no token", "bloblink.go", "if verdict.Credential {", "if verdict.Credential || true {", "TestFetchIsBare"},
	{"requests go home", "transport.go", "Login: t.login, To: req.URL}); err != nil {", "Login: t.login, To: req.URL}); false {", "TestTransportSendsHomeOnly"},
	{"the Host header is the registry's", "transport.go", "if req.Host != \"\" && wire.OriginOf", "if false && wire.OriginOf", "TestTransportSendsHomeOnly"},
	{"redirects are judged", "transport.go", "Login: t.login, Hops: hops, To: next})", "Login: wire.OriginOf(next), Hops: hops, To: next})", "TestTransportFollowsByCall|TestTransportSendsHomeOnly"},
	{"errors have no query", "sender.go", "URL: redact.URL(req.URL), Err: err}", "URL: req.URL.String(), Err: err}", "TestTransportErrorsHideQueries"},
	{"errors are bounded", "sender.go", "body.Reader = io.LimitReader(resp.Body, maxErrorBody)", "_ = maxErrorBody", "TestTransportBounds"},
	{"a redirect that was followed is noticed", "sender.go", "if resp.Request != nil && resp.Request.Response != nil {", "if false {", "TestTransportNotices"},
	{"two values of a header are noticed", "sender.go", "if err := wire.CheckHeaders(resp.StatusCode, resp.Header); err != nil {", "if err := error(nil); err != nil {", "TestTransportContradiction"},
	{"a body that is read shorter than stated is no whole one", "body.go", "err = io.ErrUnexpectedEOF // the source", "err = io.EOF // the source", "TestBodyOfShortSource"},
})
