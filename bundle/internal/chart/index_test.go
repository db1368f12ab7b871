//go:build !race

// Helm judges, which make race does not build. Nothing here runs side by side.

package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/testdata/judge"
)

// An index as repositories write them: unsorted, with a v, build metadata,
// prereleases, versions twice, entries that are no charts. Each line's archive is
// told by its number.
var listed = []string{
	"app 1.2.0", "app 1.10.0", "app v1.9.0", "app 2.0.0-rc.1", "app 1.10.0+build.7", "app 0.9", "app 1.2.0",
	"app not-a-version", "app -", "app 1.3.0 {type: plugin}", "app 1.4.0 {name: ../app}",
	"app 1.5.0 {dependencies: [{name: a, version: 1.0.0}, {name: a, version: 2.0.0}]}",
	"app 1.6.0 {dependencies: [{name: a b, version: 1.0.0}]}", "app 1.7.0 {maintainers: [null]}",
	"app 1.8.0 {engine: gotpl, tillerVersion: '>2', checksum: abc, url: x, removed: true}",
	"pre 1.0.0-alpha", "pre 1.0.0-beta.2", "vees v1.17.0", "vees v1.18.2", "numbers 5", "numbers 5.0.0",
}

// listing writes the index, and what helm needs to read it from a cache.
func listing(t *testing.T, r *repository, more string) (index []byte) {
	t.Helper()
	text := "apiVersion: v1\ngenerated: 2026-01-02T03:04:05Z\n" + more + "entries:\n"
	last := ""
	for i, line := range listed {
		words := strings.SplitN(line, " ", 3)
		name, fields := words[0], ""
		if len(words) > 2 {
			fields = "," + strings.Trim(words[2], "{}")
		}
		if name != last {
			text += "  " + name + ":\n"
			last = name
		}
		if !strings.Contains(fields, "name: ../") {
			fields += ", name: " + name
		}
		file := fmt.Sprintf("/charts/%s-%d.tgz", name, i)
		r.files[file] = tgz(t, name, files{"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: 0.0.%d\n", name, i)})
		text += fmt.Sprintf("  - {apiVersion: v2, version: '%s', created: 2026-01-02T03:04:05Z, urls: ['%s%s']%s}\n", strings.Trim(words[1], "-"), r.URL, file, fields)
	}
	return []byte(text + "  hole: [null]\n  none: []\n")
}

// What helm takes from an index is taken, and it is the same archive.
func TestIndexAsHelm(t *testing.T) {
	t.Parallel()
	r := newRepository(t, false)
	cache := t.TempDir()
	config := filepath.Join(cache, "repositories.yaml")
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(config, []byte("apiVersion: \"\"\nrepositories:\n- {name: r, url: '"+r.url()+"'}\n"))
	for _, more := range []string{"", "unknown: 1\n", "serverInfo: {contextPath: /}\npublicKeys: []\nannotations: {a: b}\n"} {
		index := listing(t, r, more)
		write(filepath.Join(cache, "r-index.yaml"), index)
		ours, err := parseIndex(index)
		if refused := strings.HasPrefix(more, "unknown"); refused != (err != nil) {
			t.Fatalf("%q: %v", more, err)
		}
		for i, want := range []string{
			"app", "app 1.2.0", "app 1.9.0", "app v1.9.0", "app 1.x", "app >=1.0.0-0", "app 2.0.0-rc.1",
			"app 0.9", "app 1.10.0+build.7", "app not-a-version", "app 1.3.0", "app 1.4.0", "app 1.5.0",
			"app 1.6.0", "app 1.7.0", "app 1.8.0", "app ^^", "pre", "pre *-0", "vees",
			"numbers 5", "hole", "none", "absent",
		} {
			if more != "" && i > 2 {
				break // what is around the entries changes nothing for each of them
			}
			name, version, _ := strings.Cut(want, " ")
			args := []string{"show", "chart", "r/" + name, "--repository-config", config, "--repository-cache", cache}
			if version != "" {
				args = append(args, "--version", version)
			}
			theirs := ""
			if out, err := judge.Ask(t, "helms3", args...); err == nil {
				_, patch, _ := strings.Cut(out, "version: 0.0.")
				theirs = r.URL + "/charts/" + name + "-" + strings.TrimSpace(patch) + ".tgz"
			}
			got := ""
			if ours != nil {
				if v := ours.get(name, version); v != nil && len(v.URLs) > 0 {
					got = v.URLs[0]
				}
			}
			if got != theirs {
				t.Errorf("%s (%q): %q, helm takes %q", want, more, got, theirs)
			}
		}
	}
}

// An index that says nothing is an error, not an empty repository.
func TestIndexRefused(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "entries: {}": "no apiVersion", "apiVersion: v1\nentries: [": "malformed", "apiVersion: v1\napiVersion: v1\n": "malformed",
		`{"apiVersion": 1}`: "malformed", "apiVersion: v1\nentries: {a: [{version: [1]}]}": "malformed",
	} {
		if _, err := parseIndex([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nentries:\n  a: [{name: a, version: 1.0.0, urls: [a.tgz]}, null]\n"), "a", "1.x")
	f.Add([]byte(`{"apiVersion":"v1","entries":{"a":[{"name":"a","version":"1.0.0"}]}}`), "a", "")
	f.Fuzz(func(t *testing.T, b []byte, name, version string) {
		index, err := parseIndex(b)
		if err != nil {
			return
		}
		if v := index.get(name, version); v != nil && v.Validate() != nil && len(v.Dependencies) == 0 {
			t.Errorf("%s %s: an entry that is no chart was taken", name, version)
		}
	})
}
