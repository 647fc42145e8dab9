package retention

import (
	"errors"
	"strings"
)

// Errors of this package.
var (
	// ErrRules is returned for invalid rules. The error is a *RulesError, which lists every fault.
	ErrRules = errors.New("faulty rules")
	// ErrPlan is returned for a plan that cannot be read or must not be applied: it is too old, of
	// another registry, not the approved one, or contradicts itself.
	ErrPlan = errors.New("unusable plan")
	// ErrInUse is returned if it is not known what is in use, because an InUse source fails or
	// names no reference of the registry.
	ErrInUse = errors.New("what is in use is not known")
	// ErrJournal is returned for a journal that is missing, cannot be written or cannot be read.
	ErrJournal = errors.New("unusable journal")
	// ErrSnapshot is returned for a snapshot that cannot be read: it is cut short, was edited, or
	// is of another version.
	ErrSnapshot = errors.New("unusable snapshot")
	// ErrClock is returned if the registry's responses have no date, or if content or the plan is
	// newer than that date.
	ErrClock = errors.New("the registry's clock is not known")
)

// RulesError lists the faults of rules. errors.Is finds ErrRules in it.
type RulesError struct {
	Faults []Fault
}

// Fault is one fault of rules.
type Fault struct {
	Path   string // where it is, such as policies[0].keep[1].newest
	Reason string
}

// Error returns all faults, one a line.
func (e *RulesError) Error() string {
	var b strings.Builder
	b.WriteString("retention: faulty rules:")
	for i, f := range e.Faults {
		if i > 0 || len(e.Faults) > 1 {
			b.WriteString("\n ")
		}
		b.WriteString(" " + f.Path + ": " + f.Reason)
	}
	return b.String()
}

// Unwrap returns ErrRules.
func (e *RulesError) Unwrap() error { return ErrRules }
