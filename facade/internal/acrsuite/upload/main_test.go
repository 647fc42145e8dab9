package upload_test

import (
	"os"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func TestMain(m *testing.M) {
	if acrsuite.BeChild(doOrder) {
		return
	}
	os.Exit(acrsuite.Main(m))
}
