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

// On adds a line to the fault script for the given operations, or for every operation if none is
// given. [Operations] lists the valid names. An unknown name fails the test that was passed to
// [New]; if the registry was created with [Start], it is logged; see [WithLogger].
// Call methods of the returned [Fault] to say which requests are affected and how.
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

// ClearFaults removes all lines from the fault script.
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
