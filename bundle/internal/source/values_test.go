package source

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/record"
)

// What a record keeps as --set has it, helm reads as the same keys and integers again.
func TestExactIntegersMerge(t *testing.T) {
	values := map[string]any{
		"large": int64(20_240_101), "exact": int64(1_000_000),
		"a.b":  map[string]any{"c=d": int64(20_240_101)},
		"list": []any{int64(10_000_000), int64(-20_240_101)},
	}
	merged, err := chart.MergeOnto(nil, nil, nil, record.ExactIntegers(values), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(values, merged); d != "" {
		t.Errorf("read as (-want +got):\n%s", d)
	}
}
