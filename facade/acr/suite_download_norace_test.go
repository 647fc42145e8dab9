//go:build !race

package acr_test

// raceEnabled tells whether the race detector, which takes memory of its own, is at work.
const raceEnabled = false
