package chart

import (
	"os"
	"testing"
)

// The tests render in children, as the program does.
func TestMain(m *testing.M) {
	if code, ok := Child(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
