package source

import (
	"slices"
	"testing"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/record"
)

// What a record keeps as --set has it, helm reads as the same key and integer again.
func TestExactIntegersMerge(t *testing.T) {
	all := record.ExactIntegers(map[string]any{
		"large": int64(20_240_101), "exact": int64(1_000_000),
		"a.b":  map[string]any{"c=d": int64(20_240_101)},
		"list": []any{int64(1), int64(-20_240_101)},
	})
	if len(all) != 4 {
		t.Fatalf("%q: want each integer from a million on", all)
	}
	for _, set := range all {
		merged, err := chart.MergeOnto(nil, nil, nil, []string{set}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again := record.ExactIntegers(merged); !slices.Equal(again, []string{set}) {
			t.Errorf("%s is read as %v", set, again)
		}
	}
}
