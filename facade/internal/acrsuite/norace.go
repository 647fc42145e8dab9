//go:build !race

package acrsuite

// RaceEnabled tells whether the race detector, which takes memory of its own, is at work.
const RaceEnabled = false
