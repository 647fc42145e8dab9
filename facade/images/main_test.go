package images_test

import (
	"os"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func TestMain(m *testing.M) {
	if acrsuite.BeChild(doBigTask) {
		return
	}
	os.Exit(acrsuite.Main(m))
}
