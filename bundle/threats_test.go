package bundle

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bundle/testdata/hostile"
)

// Every test and script that the threat tables name is there.
func TestThreats(t *testing.T) {
	have := make(map[string]bool)
	for _, c := range hostile.Cases() {
		have["TestHostile/"+strings.ReplaceAll(c.Class, " ", "_")] = true
	}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go", "../*/*/*/*_test.go", "../testdata/scripts/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			have[strings.TrimSuffix(filepath.Base(name), ".txtar")] = true
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllSubmatch(b, -1) {
				have[string(m[1])] = true
			}
		}
	}
	named := regexp.MustCompile("`([A-Za-z_/]+)`")
	for name, threats := range map[string]int{
		"../layout/SPEC.md":          9,
		"../layout/SPEC-SET.md":      14,
		"../checksum/SPEC.md":        9,
		"internal/history/SPEC.md":   8,
		"internal/inventory/SPEC.md": 6,
	} {
		spec, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(spec), "| threat | answer | test |\n|---|---|---|\n")
		table, _, _ = strings.Cut(table, "\n\n")
		rows := strings.Split(strings.TrimSpace(table), "\n")
		if len(rows) < threats {
			t.Errorf("%s: %d threats, want %d or more", name, len(rows), threats)
		}
		for _, row := range rows {
			cells := strings.Split(row, "|")
			tests := named.FindAllString(cells[len(cells)-2], -1)
			if len(tests) == 0 {
				t.Errorf("%s: no test against %s", name, cells[1])
			}
			for _, test := range tests {
				if test = strings.ReplaceAll(test, "`", ""); !have[test] {
					t.Errorf("%s: there is no %s", name, test)
				}
			}
		}
	}
}
