package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/acrkit/acrkit/facade/acr"
)

// step is one call of a sequence, or something that happens to the registry between calls. It says all about itself, so that a
// sequence is still one when steps are taken out of it.
type step struct {
	Op     string
	Client int
	Repo   int
	Item   int
	Blob   int
	Tag    int // none: by digest
	Option int
	Page   int
	Beside bool   // the next step is made at the same time, if both are atomic
	Fault  string // one of faults; "": none
	At     string // the operation that the fault hits
	Nth    int
}

// String returns the step as Go source without the fields that its operation does not look at.
func (s step) String() string {
	text := fmt.Sprintf("%s by client %d in %s", s.Op, s.Client, [...]string{"a", "b"}[s.Repo])
	o := operations[s.Op]
	if o.takes&takesItem != 0 {
		text += " " + items[s.Item].name
	}
	if o.takes&takesBlob != 0 {
		text += " " + blobs[s.Blob].name
	}
	if o.takes&takesTag != 0 {
		if s.Tag == none {
			text += " by digest"
		} else {
			text += " tag " + tags[s.Tag]
		}
	}
	text += fmt.Sprintf(" option %d", s.Option)
	if s.Page > 0 {
		text += fmt.Sprintf(" pages of %d", s.Page)
	}
	if s.Beside {
		text += " beside the next"
	}
	if s.Fault != "" {
		text += fmt.Sprintf(" [%s at %s %d]", s.Fault, s.At, s.Nth)
	}
	return text
}

// What of a step an operation looks at.
const (
	takesItem = 1 << iota
	takesBlob
	takesTag // always a tag
	takesDigest
	takesPage
	takesReference = takesTag | takesItem | takesDigest // a tag or a digest
)

// operation is a kind of step.
type operation struct {
	weight  int
	takes   int
	options int // how many values Option has
	sends   []string
	// forgets: if a reply was lost the call may not be able to tell what it did, or whether there was something to do.
	forgets bool
	// finds: if a reply was lost the call looks for what it puts, and may find what was there before.
	finds bool
	// atomic reports whether the call is one request, so that it comes before or after another; nil: never.
	atomic func(s step) bool
	// fragile: a fault that a call survives otherwise may end it.
	fragile bool
	run     func(ctx context.Context, w *world, s step) (string, error)
	expect  func(g *registry, r *repository, s step) (string, error)
}

// draw returns a random step.
func draw(rng *rand.Rand) step {
	n := rng.IntN(totalWeight)
	var name string
	for _, name = range operationNames {
		if n -= operations[name].weight; n < 0 {
			break
		}
	}
	o := operations[name]
	s := step{Op: name, Client: rng.IntN(clientCount), Tag: none}
	if rng.IntN(4) == 0 {
		s.Repo = 1
	}
	if o.takes&takesItem != 0 {
		s.Item = rng.IntN(len(items))
	}
	if o.takes&takesBlob != 0 {
		s.Blob = rng.IntN(len(blobs))
	}
	if o.takes&takesTag != 0 && (o.takes&takesDigest == 0 || rng.IntN(2) == 0) {
		s.Tag = rng.IntN(len(tags))
	}
	if o.options > 0 {
		s.Option = rng.IntN(o.options)
	}
	if o.takes&takesPage != 0 {
		s.Page = rng.IntN(4)
	}
	if len(o.sends) > 0 && rng.IntN(4) == 0 {
		s.Fault = faultNames[rng.IntN(len(faultNames))]
		s.At, s.Nth = o.sends[rng.IntN(len(o.sends))], 1+rng.IntN(5)/4
	}
	s.Beside = rng.IntN(6) == 0
	return s
}

// Whether a call is one request.
func always(step) bool           { return true }
func byDigestAlone(s step) bool  { return s.Tag == none }
func unlessIfAbsent(s step) bool { return s.Option != 3 }

// isAtomic reports whether a step can be made beside another one.
func (s step) isAtomic() bool {
	o := operations[s.Op]
	return s.Fault == "" && o.atomic != nil && o.atomic(s)
}

// The names of the operations in order, and the sum of their weights.
var (
	operationNames []string
	totalWeight    int
)

// order is the order of a list that a step's option stands for.
func (s step) order() acr.Order {
	return []acr.Order{acr.OrderByDefault, acr.OrderByUpdateAscending, acr.OrderByUpdateDescending}[s.Option%3]
}

// parallel is how many pages are requested ahead.
func (s step) parallel() int { return []int{0, 4}[s.Option/3%2] }

// attributes are those that a step's option changes: one of the four, on or off.
func (s step) attributes() acr.ChangeableAttributes {
	on := s.Option >= 4
	switch s.Option % 4 {
	case 0:
		return acr.ChangeableAttributes{DeleteEnabled: &on}
	case 1:
		return acr.ChangeableAttributes{WriteEnabled: &on}
	case 2:
		return acr.ChangeableAttributes{ListEnabled: &on}
	default:
		return acr.ChangeableAttributes{ReadEnabled: &on}
	}
}

// apply changes attributes as a step says.
func (s step) apply(a acr.Attributes) acr.Attributes {
	on := s.Option >= 4
	switch s.Option % 4 {
	case 0:
		a.DeleteEnabled = on
	case 1:
		a.WriteEnabled = on
	case 2:
		a.ListEnabled = on
	default:
		a.ReadEnabled = on
	}
	return a
}

// reference is the tag or digest of a step.
func (s step) reference() string {
	if s.Tag == none {
		return string(items[s.Item].descriptor.Digest)
	}
	return tags[s.Tag]
}
