package download_test

import (
	"os"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func TestMain(m *testing.M) {
	if beChild() {
		return
	}
	os.Exit(acrsuite.Main(m))
}
