package store

import "time"

// replica is a second state in which every change is made some time later.
type replica struct {
	state *state
	lag   time.Duration
	due   []pending
}

type pending struct {
	rec  *record
	at   time.Time
	held *blob // content that the record links to, kept until it is linked
}

func (r *replica) queue(p *pool, rec *record) {
	next := pending{rec: rec, at: rec.Time.Add(r.lag)}
	if rec.Op == opLink {
		next.held = p.hold(rec.Digest, rec.Size)
	}
	r.due = append(r.due, next)
}

// advance makes the changes whose time has come.
func (r *replica) advance(p *pool, now time.Time) {
	for len(r.due) > 0 && !r.due[0].at.After(now) {
		r.state.apply(r.due[0].rec)
		if held := r.due[0].held; held != nil {
			p.release(held)
		}
		r.due = r.due[1:]
	}
}
