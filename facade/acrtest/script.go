package acrtest

import (
	"net/http"
	"sync"
)

// script is all the faults of an emulator, and the lock of all of them.
type script struct {
	complain func(string)

	mu     sync.Mutex
	faults []*Fault
}

// On begins a line of the fault script for the given operations: the operation ids of [Request], "GetBlobContent" for blob
// bytes from the storage origin, "OpenIDConfiguration" and "EntraToken" for the authority. Without one it is every operation.
// A name that is none of them fails the test of [New], and is logged for [Start].
func (s *Server) On(operations ...string) *Fault {
	for _, op := range operations {
		if !isOperation(op) {
			s.complain(unknownOperation("On", op))
		}
	}
	f := &Fault{script: &s.script, ops: operations, from: 1, until: 1, plan: newPlan()}
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.faults = append(s.script.faults, f)
	return f
}

// ClearFaults empties the fault script.
func (s *Server) ClearFaults() {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.faults = nil
}

// match finds the fault for a request, or nil.
func (sc *script) match(op string, r *http.Request) *plan {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	var due *Fault
	for _, f := range sc.faults {
		if !f.matches(op, r) {
			continue
		}
		f.seen++
		if due == nil && len(f.plan.names) > 0 && f.seen >= f.from && (f.until == 0 || f.seen <= f.until) {
			due = f
		}
	}
	if due == nil {
		return nil
	}
	due.hits++
	return due.plan.clone()
}
