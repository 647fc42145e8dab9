package acrtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// GetBlobContent and the two names below are operations that are not of the login server.
const (
	opBlobContent = "GetBlobContent"
	opOpenID      = "OpenIDConfiguration"
	opEntraToken  = "EntraToken"
	opCanary      = "Canary"
)

// otherOperations are those that no table of the router has.
var otherOperations = []string{
	"ExchangeEntraToken", "GetAccessToken", "GetAccessTokenWithBasic", opBlobContent, opOpenID, opEntraToken, opCanary,
}

// Operations lists the names of operations that [Server.On] and [Ledger] know: the operation ids of api/openapi.yaml,
// "GetBlobContent" for blob bytes from the storage origin, "OpenIDConfiguration" and "EntraToken" for the authority, and "Canary".
func Operations() []string {
	all := slices.Concat(operationNames, otherOperations)
	slices.Sort(all)
	return all
}

// isOperation tells whether the ledger knows the name.
func isOperation(op string) bool {
	return slices.Contains(operationNames, op) || slices.Contains(otherOperations, op)
}

// unknownOperation is the complaint of a method that was given a name which is none; only the case may be wrong.
func unknownOperation(method, op string) string {
	text := fmt.Sprintf("acrtest: %s(%q): there is no such operation", method, op)
	for _, known := range Operations() {
		if strings.EqualFold(known, op) {
			return text + fmt.Sprintf("; there is %q", known)
		}
	}
	return text + "; Operations() lists them"
}

// operationNames are the operations of the login origin, from the router's tables.
var operationNames = func() []string {
	var names []string
	for _, m := range []methods{
		checkSupport, repositoryNames, tagNames, manifest, blob, start, upload, referrers, repositories, repositoryProps, tags,
		tagProps, manifests, manifestProps, deletedRepos, deletedManifests, deletedTags, restoreOneManifest,
	} {
		for _, op := range m {
			names = append(names, op)
		}
	}
	slices.Sort(names)
	return names
}()

// front is the way of every request of one origin: into the ledger, through serve, and out.
func (s *Server) front(origin Origin, serve func(http.ResponseWriter, *http.Request, *visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, own := s.enter(origin, w, r)
		defer s.tellOfPanic(own)
		if s.cfg.latency > 0 && !x.wait(s.cfg.latency) {
			panic(http.ErrAbortHandler)
		}
		serve(x.reply, own, x)
		x.reply.finish()
	})
}

// tellOfPanic reports a mistake of the emulator itself; to the caller it is a broken connection.
func (s *Server) tellOfPanic(r *http.Request) {
	problem := recover()
	if problem == nil {
		return
	}
	if err, ok := problem.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.complain(fmt.Sprintf("acrtest: %s %s: panic: %v\n%s", r.Method, r.URL.Path, problem, debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// serveLogin is the login server: route, budgets, credential, script, operation.
func (s *Server) serveLogin(w http.ResponseWriter, r *http.Request, x *visit) {
	rt, allowed := findRoute(r.URL.Path)
	isToken := strings.HasPrefix(r.URL.Path, "/oauth2/")
	if isToken {
		tokenHeaders(w.Header(), s.now())
	} else {
		frontHeaders(w.Header(), s.now())
	}
	op, ok := allowed[r.Method]
	switch {
	case allowed == nil, isToken && !ok:
		notFound(w)
		return
	case !ok:
		w.Header().Set("Allow", strings.Join(sortedKeys(allowed), ", "))
		plain(w, http.StatusMethodNotAllowed, "Method Not Allowed\n")
		return
	}
	rt.op, rt.path = op, r.URL.EscapedPath()
	x.setRoute(rt)
	if !isToken && s.refuseLarge(w, r, x) {
		return
	}
	if isToken {
		s.serveToken(w, r, x, op)
		return
	}
	who := s.identify(r)
	x.setCaller(who.id)
	if !s.withinBudget(w, r, who.id, op) {
		return
	}
	needed := scopeOf(rt, r)
	if !s.admit(w, who, needed) {
		x.setScope(scopeText(needed))
		return
	}
	identified(w.Header(), r)
	s.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		handle, ok := handlers[op]
		if !ok {
			s.fail(w, http.StatusNotFound, "UNSUPPORTED", "the emulator does not serve "+op, nil)
			return
		}
		handle(s, w, r, rt)
	})
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, x *visit, op string) {
	if !s.withinBudget(w, r, "", op) {
		return
	}
	s.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		switch op {
		case "ExchangeEntraToken":
			s.handleExchange(w, r, x)
		case "GetAccessToken":
			s.handleToken(w, r, x)
		default:
			s.handleTokenBasic(w, r, x)
		}
	})
}

// serveStorage is the storage account that blobs are read from.
func (s *Server) serveStorage(w http.ResponseWriter, r *http.Request, x *visit) {
	w.Header()["Date"] = []string{s.now().UTC().Format(http.TimeFormat)}
	x.setOp(opBlobContent)
	s.answer(w, r, x, s.handleStorage)
}

// refuseLarge refuses bodies over the limit as a proxy does: in plain text, from the length alone.
func (s *Server) refuseLarge(w http.ResponseWriter, r *http.Request, x *visit) bool {
	if s.cfg.maxBody <= 0 {
		return false
	}
	if r.ContentLength <= s.cfg.maxBody {
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.maxBody) // for bodies without a length
		return false
	}
	ahead(w)
	plain(w, http.StatusRequestEntityTooLarge, requestTooLarge)
	x.linger(w)
	return true
}

// ahead lets a reply go out before the request's body is read.
func ahead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 can without
}

// lingerTime is how long the rest of a body is read after an early reply.
const lingerTime = 5 * time.Second

// linger reads what is left of the request's body after an early reply, as proxies do, so that the caller finds the reply and
// not a reset. The bytes do not count as read.
func (x *visit) linger(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	_ = rc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, x.body.body)
}

// answer does the operation, with what the script makes of it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, x *visit, handle http.HandlerFunc) {
	p := s.script.match(x.op(), r)
	if p == nil {
		handle(w, r)
		return
	}
	x.update(func(e *Request) { e.Fault = p.text() })
	x.reply.plan = p
	x.body.plan = p
	if p.acceptOnly >= 0 && r.ContentLength > p.acceptOnly {
		r.ContentLength = p.acceptOnly
	}
	if p.ignoreRange {
		r.Header = r.Header.Clone()
		r.Header.Del("Range")
	}
	s.play(p, w, r, x, handle)
}

func (s *Server) play(p *plan, w http.ResponseWriter, r *http.Request, x *visit, handle http.HandlerFunc) {
	if p.status == 0 && (p.contentType != "" || p.early) {
		s.complain("acrtest: On(" + x.op() + "): Code, Body and Early say how Status answers, and the line has no Status")
	}
	if p.delay > 0 && !x.wait(p.delay) {
		panic(http.ErrAbortHandler)
	}
	for _, code := range p.informational {
		w.WriteHeader(code)
	}
	switch {
	case p.stall:
		x.hang(r.Context())
		panic(http.ErrAbortHandler)
	case p.raw != nil:
		x.rawReply(w, p.raw)
	case p.revoke:
		s.revoke(w, r, x)
	case p.lag:
		code, message := lagError(x.op())
		s.fail(w, http.StatusNotFound, code, message, nil)
	case p.status != 0:
		s.scripted(p, w, r, x)
	case p.do != nil:
		p.do(w, r, handle)
	default:
		handle(w, r)
	}
}

// scripted answers with a status of the script.
func (s *Server) scripted(p *plan, w http.ResponseWriter, r *http.Request, x *visit) {
	if p.early {
		ahead(w)
	} else {
		_, _ = io.Copy(io.Discard, r.Body) // a caller that is gone is answered all the same
	}
	body, contentType := p.body, p.contentType
	if contentType == "" {
		contentType = "application/json; charset=utf-8"
		body = encodeJSON(errorBody{Errors: []apiError{scriptedError(p.status)}})
		if strings.HasPrefix(r.URL.Path, "/oauth2/") { // see refuseToken
			contentType, body = "application/json", bytes.TrimSuffix(body, []byte("\n"))
		}
	}
	if p.status == http.StatusNoContent || p.status == http.StatusNotModified || p.status < http.StatusOK {
		w.WriteHeader(p.status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	setLength(w, len(body))
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
	if p.early && !p.endless {
		x.linger(w)
	}
}

// scriptedError is the error that usually goes with a status.
func scriptedError(status int) apiError {
	switch status {
	case http.StatusUnauthorized:
		return apiError{Code: "UNAUTHORIZED", Message: needCredential}
	case http.StatusForbidden:
		return apiError{Code: "DENIED", Message: "requested access to the resource is denied"}
	case http.StatusMethodNotAllowed:
		return apiError{Code: "REGISTRY_DISALLOWED_OPERATION", Message: "The operation is disallowed on this registry, repository or image."}
	case http.StatusTooManyRequests:
		return apiError{Code: "TOOMANYREQUESTS", Message: "too many requests"}
	case http.StatusServiceUnavailable:
		return apiError{Code: "UNAVAILABLE", Message: "service unavailable"}
	}
	return apiError{Code: "UNKNOWN", Message: "unknown error"}
}

// lagError is what an operation says of an object that is not there.
func lagError(op string) (code, message string) {
	switch op {
	case "GetManifest", "HeadManifest", "DeleteManifest", "GetManifestProperties", "UpdateManifestAttributes", "ListReferrers":
		return "MANIFEST_UNKNOWN", "manifest unknown"
	case "PutManifest":
		return "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"
	case "GetBlob", "HeadBlob", "DeleteBlob", opBlobContent:
		return "BLOB_UNKNOWN", "blob unknown to registry"
	case "StartUpload", "GetUploadStatus", "UploadChunk", "CompleteUpload", "CancelUpload":
		return "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"
	case "GetTagProperties", "UpdateTagAttributes", "DeleteTag":
		return "TAG_UNKNOWN", "the specified tag does not exist"
	}
	return "NAME_UNKNOWN", "repository name not known to registry"
}

// revoke refuses the credential of a request for good.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, x *visit) {
	var claims standardClaims
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		if r.Method == http.MethodGet {
			s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
			return
		}
		form, ok := s.readForm(w, r)
		if !ok {
			return
		}
		x.setForm(form)
		if readClaims(form.Get("refresh_token"), &claims) == nil {
			s.revoked.add(claims.ID)
		}
		s.refuseToken(w, http.StatusUnauthorized, "UNAUTHORIZED", needCredential)
		return
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && readClaims(token, &claims) == nil {
		s.revoked.add(claims.ID)
		s.anonymousTokens.clear()
	}
	rt, _ := findRoute(r.URL.Path)
	rt.op = x.op()
	w.Header().Del("X-Ms-Request-Id")
	w.Header().Del("X-Ms-Client-Request-Id")
	s.challenge(w, scopeOf(rt, r), "invalid_token")
}

// rawReply writes bytes past net/http, which does not come back.
func (x *visit) rawReply(w http.ResponseWriter, raw []byte) {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = buffered.Write(raw) // the caller may be gone
		_ = buffered.Flush()
		_ = c.Close()
	}
	x.reply.wrote, x.reply.broken = true, true
}

func sortedKeys(m methods) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
