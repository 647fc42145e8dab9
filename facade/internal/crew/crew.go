// Package crew runs functions at the same time that may call code of the library's caller, such as a policy of its client.
package crew

import "sync"

// Group is a [sync.WaitGroup] for such functions. If one panics, Wait panics with the same value once all have returned: there
// the caller can recover it. In the goroutine of the function nobody could, and the process would end.
type Group struct {
	all   sync.WaitGroup
	once  sync.Once
	value any
}

// Go calls f in a goroutine of its own.
func (g *Group) Go(f func()) {
	g.all.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				g.once.Do(func() { g.value = v })
			}
		}()
		f()
	})
}

// Wait waits until all functions have returned.
func (g *Group) Wait() {
	g.all.Wait()
	if g.value != nil {
		panic(g.value)
	}
}
