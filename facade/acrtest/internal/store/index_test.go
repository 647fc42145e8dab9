package store

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

type item struct {
	name string
	time time.Time
}

func (i *item) key() string   { return i.name }
func (i *item) at() time.Time { return i.time }

// TestIndexAgainstSlice does random things to an index and to a slice, and wants every page of
// every order to be the same.
func TestIndexAgainstSlice(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var x index[*item]
	model := map[string]*item{}
	epoch := time.Unix(0, 0)
	for step := range 6000 {
		name := fmt.Sprintf("k%04d", random.IntN(2000))
		at := epoch.Add(time.Duration(random.IntN(50)) * time.Second)
		switch v := model[name]; {
		case v == nil:
			v = &item{name, at}
			model[name] = v
			x.insert(v)
		case random.IntN(3) == 0:
			delete(model, name)
			x.remove(v)
		default:
			x.touch(v, func() { v.time = at })
		}
		if step%500 == 499 {
			compareIndex(t, &x, model)
		}
	}
}

func compareIndex(t *testing.T, x *index[*item], model map[string]*item) {
	t.Helper()
	if x.len() != len(model) || x.byTime.n != len(model) {
		t.Fatalf("the index holds %d and %d entries, want %d", x.byKey.n, x.byTime.n, len(model))
	}
	byKey := func(a, b *item) int { return cmp.Compare(a.name, b.name) }
	byTime := func(a, b *item) int { return cmp.Or(a.time.Compare(b.time), byKey(a, b)) }
	for order, compare := range map[Order]func(a, b *item) int{
		ByKey: byKey, ByTimeAscending: byTime, ByTimeDescending: func(a, b *item) int { return byTime(b, a) },
	} {
		want := make([]*item, 0, len(model))
		for _, v := range model {
			want = append(want, v)
			if got := x.get(v.name); got != v {
				t.Fatalf("get(%q) = %v, want %v", v.name, got, v)
			}
		}
		slices.SortFunc(want, compare)
		for _, n := range []int{1, 7, 300, 5000} {
			if n == 1 && order != ByKey {
				continue
			}
			var got []*item
			for p := (Page{N: n, Order: order}); ; p.After = got[len(got)-1].name {
				page, more := x.page(p, func(*item) bool { return true })
				got = append(got, page...)
				if !more {
					break
				}
				if len(page) != n {
					t.Fatalf("a page of %d has %d entries, and more follow", n, len(page))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("pages of %d in order %d differ from the model", n, order)
			}
		}
	}
	for _, c := range x.byKey.chunks {
		if len(c) == 0 || len(c) > chunkSize {
			t.Fatalf("a chunk of %d", len(c))
		}
	}
}

// TestPageGoesOnAfterItsKeyIsGone reads a list by time while its entries are deleted behind the
// reader.
func TestPageGoesOnAfterItsKeyIsGone(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{ByKey, ByTimeAscending, ByTimeDescending} {
		var x index[*item]
		for i := range 1000 {
			x.insert(&item{fmt.Sprintf("k%04d", i), time.Unix(int64(i*7919%1000), 0)})
		}
		read := 0
		for p := (Page{N: 10, Order: order}); ; {
			page, more := x.page(p, func(*item) bool { return true })
			for _, v := range page {
				x.remove(v)
				read++
			}
			if !more {
				break
			}
			p.After = page[len(page)-1].name
		}
		if read != 1000 {
			t.Errorf("order %d: read %d entries of 1000", order, read)
		}
	}
	var x index[*item]
	x.insert(&item{"a", time.Unix(0, 0)})
	if page, more := x.page(Page{N: 10, Order: ByTimeAscending, After: "never"}, func(*item) bool { return true }); len(page) != 0 || more {
		t.Errorf("after a key that never was: %v, %t", page, more)
	}
}
