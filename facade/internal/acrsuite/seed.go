package acrsuite

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

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
