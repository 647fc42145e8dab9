package store

import (
	"iter"
	"slices"
	"time"
)

// entry is what an index can hold.
type entry interface {
	comparable
	key() string
	at() time.Time
}

// maxGone bounds how many removed keys an index remembers the time of.
const maxGone = 1 << 17

// index holds entries by key and by time. An entry's key and time must not change while it is in.
type index[T entry] struct {
	byKey, byTime sorted[T]
	// gone has the time of keys that were removed, so that a list by time that is read page by page
	// while its entries are deleted goes on where it was.
	gone map[string]time.Time
}

func beforeKey[T entry](key string) func(T) bool {
	return func(v T) bool { return v.key() < key }
}

func afterKey[T entry](key string) func(T) bool {
	return func(v T) bool { return v.key() <= key }
}

func beforeTime[T entry](at time.Time, key string) func(T) bool {
	return func(v T) bool {
		if c := v.at().Compare(at); c != 0 {
			return c < 0
		}
		return v.key() < key
	}
}

func afterTime[T entry](at time.Time, key string) func(T) bool {
	return func(v T) bool {
		if c := v.at().Compare(at); c != 0 {
			return c < 0
		}
		return v.key() <= key
	}
}

func (x *index[T]) len() int { return x.byKey.n }

// get returns the entry with the key, or the zero value.
func (x *index[T]) get(key string) T {
	if v, ok := x.byKey.first(beforeKey[T](key)); ok && v.key() == key {
		return v
	}
	var none T
	return none
}

// insert adds an entry whose key is not in yet.
func (x *index[T]) insert(v T) {
	x.byKey.insert(v, beforeKey[T](v.key()))
	x.byTime.insert(v, beforeTime[T](v.at(), v.key()))
	delete(x.gone, v.key())
}

// remove removes an entry that is in.
func (x *index[T]) remove(v T) {
	x.byKey.remove(beforeKey[T](v.key()))
	x.byTime.remove(beforeTime[T](v.at(), v.key()))
	if x.gone == nil || len(x.gone) >= maxGone {
		x.gone = make(map[string]time.Time)
	}
	x.gone[v.key()] = v.at()
}

// touch lets change set a new time on an entry that is in.
func (x *index[T]) touch(v T, change func()) {
	x.byTime.remove(beforeTime[T](v.at(), v.key()))
	change()
	x.byTime.insert(v, beforeTime[T](v.at(), v.key()))
}

// page returns the entries of p that keep wants, and whether more of them follow. It costs what it
// reads: the page, what keep left out on the way, and finding the place.
func (x *index[T]) page(p Page, keep func(T) bool) (page []T, more bool) {
	for v := range x.after(p) {
		if !keep(v) {
			continue
		}
		if len(page) >= p.N {
			return page, true
		}
		if page == nil {
			page = make([]T, 0, min(p.N, x.len()))
		}
		page = append(page, v)
	}
	return page, false
}

// after yields what follows p.After in the order of p.
func (x *index[T]) after(p Page) iter.Seq[T] {
	if p.Order == ByKey {
		return x.byKey.from(afterKey[T](p.After))
	}
	if p.After == "" {
		if p.Order == ByTimeAscending {
			return x.byTime.all()
		}
		return x.byTime.back(func(T) bool { return true })
	}
	at, ok := x.gone[p.After]
	if !ok {
		var none T
		v := x.get(p.After)
		if v == none {
			// A key that never was has no place in time. Nothing follows it; to begin anew would
			// make a reader go in circles.
			return slices.Values([]T(nil))
		}
		at = v.at()
	}
	if p.Order == ByTimeAscending {
		return x.byTime.from(afterTime[T](at, p.After))
	}
	return x.byTime.back(beforeTime[T](at, p.After))
}

// snapshot yields the entries in order of key as they are now, whatever is done to the index
// meanwhile.
func (x *index[T]) snapshot() iter.Seq[T] {
	return slices.Values(slices.AppendSeq(make([]T, 0, x.len()), x.byKey.all()))
}

// oldest returns the entry with the least time, if that is not after until.
func (x *index[T]) oldest(until time.Time) (v T, ok bool) {
	v, ok = x.byTime.first(func(T) bool { return false })
	return v, ok && !v.at().After(until)
}

// newest returns the entry with the greatest time, if that is after until.
func (x *index[T]) newest(until time.Time) (v T, ok bool) {
	for v = range x.byTime.back(func(T) bool { return true }) {
		return v, v.at().After(until)
	}
	return v, false
}
