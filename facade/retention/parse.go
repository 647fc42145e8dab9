package retention

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxRules bounds a document of rules.
const maxRules = 1 << 20

// ParseRules reads rules as JSON and checks them. The members are those of [Rules]; ages are
// written as "30d", times as RFC 3339. A member that is unknown or occurs twice is an error, so
// that a misspelled rule is not ignored. The number 0 is an error too, because it would mean the
// default and not a limit that allows nothing.
//
// Errors:
//   - [ErrRules] if the rules are invalid: a *RulesError with each fault and where it is
func ParseRules(document []byte) (*Rules, error) {
	if len(document) > maxRules {
		return nil, &RulesError{[]Fault{{"document", fmt.Sprintf("%d bytes, the limit is %d", len(document), maxRules)}}}
	}
	r := &Rules{}
	if err := decodeMembers(document, r, memberChecker{noZero: true}); err != nil {
		text := err.Error()
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			text = "it is not JSON: " + text
		}
		return nil, &RulesError{[]Fault{{"document", text}}}
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r, nil
}
