package relocate

import (
	"os"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/chart"
)

// The tests render in children, as the program does. Benchmarks count the processor
// time of this process: they do all of it here.
func TestMain(m *testing.M) {
	counts := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.bench=") })
	if !counts {
		if code, ok := chart.Child(); ok {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}
