package acrsuite

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// FirstOf returns where a test begins that tries one place in so many: a number from 1 to step, which depends on SEED.
func FirstOf(t *testing.T, step int) int {
	t.Helper()
	return 1 + int(SeedOr(t, 0)%uint64(step))
}

// SeedOr is the seed of a property test: the one of its flag, else that of the environment, by which a whole run can be had again, else
// another one each time.
func SeedOr(t *testing.T, flag uint64) uint64 {
	t.Helper()
	if flag != 0 {
		return flag
	}
	text := os.Getenv("SEED")
	if text == "" {
		return rand.Uint64()>>32 + 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seed == 0 {
		t.Fatalf("SEED=%q is no number from 1 on", text)
	}
	return seed
}
