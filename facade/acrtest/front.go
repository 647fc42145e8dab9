package acrtest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
)

// front is the front door of all origins: it writes requests into the ledger, routes them, and asks
// for budgets and credentials before the fault script and the operation have their turn.
type front struct {
	cfg        *config
	clock      *clock
	ledger     *Ledger
	gatekeeper *gatekeeper
	player     *player
	oauth      *oauth
	storage    *storage
	streaming  *streaming
	complain   func(string)
	closing    <-chan struct{}
}

// region is one replica of the registry: what it has, and its request budgets, which count apart
// from those of other replicas.
type region struct {
	name       string // "" for a registry without replicas
	operations *operations
	limiter    *limiter
}

// handler is the way of every request of one origin: into the ledger, through serve, and out.
func (f *front) handler(origin Origin, at *region, serve func(http.ResponseWriter, *http.Request, *visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, own := f.enter(origin, at, w, r)
		defer f.tellOfPanic(own)
		if f.cfg.latency > 0 && !x.wait(f.cfg.latency) {
			panic(http.ErrAbortHandler)
		}
		serve(x.reply, own, x)
		x.reply.finish()
	})
}

// tellOfPanic reports a mistake of the emulator itself; to the caller it is a broken connection.
func (f *front) tellOfPanic(r *http.Request) {
	problem := recover()
	if problem == nil {
		return
	}
	if err, ok := problem.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		f.complain(fmt.Sprintf("acrtest: %s %s: panic: %v\n%s", r.Method, r.URL.Path, problem, debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// serveLogin is the login server: route, budgets, credential, script, operation.
func (f *front) serveLogin(w http.ResponseWriter, r *http.Request, x *visit) {
	rt, allowed := findRoute(r.URL.Path)
	isToken := strings.HasPrefix(r.URL.Path, "/oauth2/")
	if isToken {
		tokenHeaders(w.Header(), f.clock.now())
	} else {
		frontHeaders(w.Header(), f.clock.now())
	}
	op, ok := allowed[r.Method]
	switch {
	case allowed == nil, isToken && !ok:
		notFound(w)
		return
	case !ok:
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(allowed)), ", "))
		plain(w, http.StatusMethodNotAllowed, "Method Not Allowed\n")
		return
	}
	rt.op, rt.path = op.id, r.URL.EscapedPath()
	x.setRoute(rt)
	if !isToken && f.refuseLarge(w, r) {
		return
	}
	if isToken {
		f.serveToken(w, r, x, op.id)
		return
	}
	who := f.gatekeeper.identify(r)
	x.setCaller(who.id)
	if !f.withinBudget(w, r, x.region.limiter, who.id, op.id) {
		return
	}
	needed := scopeOf(rt, r)
	if !f.gatekeeper.admit(w, r, who, needed) {
		x.setScope(scopeText(needed))
		return
	}
	identified(w.Header(), r)
	f.player.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		op.serve(x.region.operations, w, r, rt)
	})
}

func (f *front) serveToken(w http.ResponseWriter, r *http.Request, x *visit, op string) {
	if !f.withinBudget(w, r, x.region.limiter, "", op) {
		return
	}
	f.player.answer(w, r, x, func(w http.ResponseWriter, r *http.Request) {
		switch op {
		case "ExchangeEntraToken":
			f.oauth.exchange(w, r, x)
		case "GetAccessToken":
			f.oauth.token(w, r, x)
		default:
			f.oauth.tokenBasic(w, r, x)
		}
	})
}

// serveStorage is the storage account that blobs are read from.
func (f *front) serveStorage(w http.ResponseWriter, r *http.Request, x *visit) {
	w.Header()["Date"] = []string{f.clock.now().UTC().Format(http.TimeFormat)}
	x.setOp(opBlobContent)
	f.player.answer(w, r, x, f.storage.serve)
}

// refuseLarge refuses bodies over the limit as a proxy does: in plain text, from the length alone.
func (f *front) refuseLarge(w http.ResponseWriter, r *http.Request) bool {
	if f.cfg.maxBody <= 0 {
		return false
	}
	if r.ContentLength <= f.cfg.maxBody {
		r.Body = http.MaxBytesReader(w, r.Body, f.cfg.maxBody) // for bodies without a length
		return false
	}
	plain(w, http.StatusRequestEntityTooLarge, requestTooLarge)
	return true
}
