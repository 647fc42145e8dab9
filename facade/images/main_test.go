package images_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if bigChild() {
		return
	}
	goleak.VerifyTestMain(m)
}
