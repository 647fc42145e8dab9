package acr

import "iter"

// Collect gathers a list into a slice, to its end or first error; what came before the error is returned with it. It holds the whole
// list in memory: range over the sequence itself where the list may be long.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
