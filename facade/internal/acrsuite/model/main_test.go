package model_test

import (
	"os"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

func TestMain(m *testing.M) { os.Exit(acrsuite.Main(m)) }
