package transfer

// trust is how far the registry's count of the bytes it received is believed. It only ever moves
// down this list.
type trust uint8

const (
	// believed: the registry's count has agreed with ours so far.
	believed trust = iota
	// suspected: the count differed from ours and was acted upon. If the session is lost or the
	// digest refused, that may be why.
	suspected
	// ignored: the upload was begun again because of a suspicion. A count in the answer to a chunk
	// is no longer acted upon; the answer of Status still is, as there is nothing else to continue
	// from.
	ignored
)

// suspect notes that a count was acted upon that differs from ours.
func (t *trust) suspect() { *t = max(*t, suspected) }

// withdraw stops believing the count if it was suspected, and reports whether that changes
// anything.
func (t *trust) withdraw() bool {
	if *t != suspected {
		return false
	}
	*t = ignored
	return true
}
