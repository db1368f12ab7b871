package main

import (
	"io/fs"
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
	for _, dir := range tops {
		err := filepath.WalkDir(filepath.Join(top, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".txtar") {
				return err
			}
			have[strings.TrimSuffix(d.Name(), ".txtar")] = true
			b, err := os.ReadFile(name)
			for _, m := range declared.FindAllSubmatch(b, -1) {
				have[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`([A-Za-z_/]+)`")
	for name, threats := range map[string]int{
		"layout/SPEC.md":                    9,
		"layout/SPEC-SET.md":                14,
		"checksum/SPEC.md":                  9,
		"bundle/internal/history/SPEC.md":   8,
		"bundle/internal/inventory/SPEC.md": 6,
	} {
		spec, err := os.ReadFile(filepath.Join(top, name))
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
