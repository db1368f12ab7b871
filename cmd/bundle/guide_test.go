package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bundle/testdata/regtest"
)

// Each guide, and the README, is run by one script: testdata/scripts/guide_NAME.txtar.
// There, public stands for ghcr.io and Docker Hub, private for a registry of a plant,
// and guide runs every line of code of a page, as it stands, in order:
//
//	public            stand-ins for what guides fetch, under the real names
//	private [auth]    registry.plant.local:5000, whose authority is in ca.pem
//	guide NAME [HOW]  run the lines of a page
//
// HOW is a file with rows about lines; each row has to matter:
//
//	CODE LINE         the line that begins so ends with this exit code
//	as OLD => NEW     a line with OLD in it is run with NEW in its place
//	told LINE         the line that begins so is not run
//	shown LINE        the block that begins so is no code
//
// A block of code whose first line is "# NAME.yaml" (or another file) is that file.
// Lines after one that begins with "$ " are what it prints.

// guidePage returns a page, or the README.
func guidePage(name string) (string, error) {
	if name == "README" {
		b, err := os.ReadFile("../../README.md")
		return string(b), err
	}
	b, err := pages.ReadFile("guides/" + name + ".md")
	return string(b), err
}

// TestGuidesAreRun requires a script for each page.
func TestGuidesAreRun(t *testing.T) {
	names := []string{"README"}
	for _, topic := range topics {
		if strings.HasSuffix(topic.file, ".md") {
			names = append(names, topic.name)
		}
	}
	for _, name := range names {
		script := regtest.ReadFile(t, "../../testdata/scripts/guide_"+strings.ToLower(name)+".txtar")
		if !regexp.MustCompile(`(?m)^guide ` + name + `\b`).MatchString(script) {
			t.Errorf("guide_%s.txtar does not run the page", strings.ToLower(name))
		}
	}
}

// Guides are read in terminals, without a pager that could wrap them.
func TestGuidesFitTerminals(t *testing.T) {
	for _, topic := range topics {
		if !strings.HasSuffix(topic.file, ".md") {
			continue
		}
		text := page(topic.file)
		if !strings.HasPrefix(text, "# ") {
			t.Errorf("%s: no title", topic.file)
		}
		for i, line := range strings.Split(text, "\n") {
			if n := len([]rune(line)); n > 78 {
				t.Errorf("%s:%d: %d columns, 78 are there", topic.file, i+1, n)
			}
			if strings.Contains(line, "\t") || strings.HasPrefix(line, "```") {
				t.Errorf("%s:%d: code is indented by blanks", topic.file, i+1)
			}
		}
	}
}

// A step is a line of code, or a file to write.
type step struct {
	line    string
	file    string
	content string
	prints  []string // nil: not told
}

var fileTitle = regexp.MustCompile(`^# ([\w./-]+\.(?:yaml|txt|json|toml|conf|service)|allowed_signers)$`)

// codeBlocks are the indented blocks of Markdown, without their indent.
func codeBlocks(text string) (blocks [][]string) {
	var block []string
	inside := false
	end := func() {
		for len(block) > 0 && block[len(block)-1] == "" {
			block = block[:len(block)-1]
		}
		if len(block) > 0 {
			blocks = append(blocks, block)
		}
		block = nil
	}
	before := ""
	for _, line := range strings.Split(text, "\n") {
		switch code, ok := strings.CutPrefix(line, "    "); {
		case ok && (inside || before == ""):
			inside = true
			block = append(block, code)
		case line == "" && inside:
			block = append(block, "")
		default:
			inside = false
			end()
		}
		before = line
	}
	end()
	return blocks
}

// steps reads a block of code.
func steps(block []string) (all []step) {
	if m := fileTitle.FindStringSubmatch(block[0]); m != nil {
		return []step{{file: m[1], content: strings.Join(block[1:], "\n") + "\n"}}
	}
	transcript := strings.HasPrefix(block[0], "$ ")
	for i := 0; i < len(block); i++ {
		line, command := strings.CutPrefix(block[i], "$ ")
		if transcript && !command {
			last := &all[len(all)-1]
			last.prints = append(last.prints, line)
			continue
		}
		for strings.HasSuffix(line, "\\") && i+1 < len(block) {
			i++
			line = strings.TrimSuffix(line, "\\") + strings.TrimLeft(block[i], " ")
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, step{line: line})
		}
	}
	return all
}

// A row of HOW.
type row struct {
	code      int
	verb      string // code, as, told or shown
	text, new string
	used      bool
}

func readHow(text string) (rows []*row, err error) {
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		verb, rest, _ := strings.Cut(line, " ")
		r := &row{verb: verb, text: rest}
		switch verb {
		case "as":
			var ok bool
			if r.text, r.new, ok = strings.Cut(rest, " => "); !ok {
				return nil, fmt.Errorf("%s: no =>", line)
			}
		case "told", "shown":
		default:
			if r.code, err = strconv.Atoi(verb); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			r.verb = "code"
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// find returns the row of a verb that is about a line.
func find(rows []*row, verb, line string) *row {
	i := slices.IndexFunc(rows, func(r *row) bool { return r.verb == verb && strings.HasPrefix(line, r.text) })
	if i < 0 {
		return nil
	}
	rows[i].used = true
	return rows[i]
}

func cmdGuide(ts *testscript.TestScript, neg bool, args []string) {
	text, err := guidePage(args[0])
	ts.Check(err)
	var rows []*row
	if len(args) > 1 {
		rows, err = readHow(ts.ReadFile(args[1]))
		ts.Check(err)
	}
	writeStandIns(ts)
	for _, block := range codeBlocks(text) {
		if find(rows, "shown", block[0]) != nil {
			continue
		}
		for _, s := range steps(block) {
			runStep(ts, s, rows)
		}
	}
	for _, r := range rows {
		if !r.used {
			ts.Fatalf("the row %q is about nothing in %s", r.text, args[0])
		}
	}
}

func runStep(ts *testscript.TestScript, s step, rows []*row) {
	if s.file != "" {
		ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(s.file)), 0o755))
		ts.Check(os.WriteFile(ts.MkAbs(s.file), []byte(s.content), 0o644))
		return
	}
	if find(rows, "told", s.line) != nil {
		return
	}
	want := 0
	if r := find(rows, "code", s.line); r != nil {
		want = r.code
	}
	line := s.line
	for _, r := range rows {
		if r.verb == "as" && strings.Contains(line, r.text) {
			line, r.used = strings.ReplaceAll(line, r.text, r.new), true
		}
	}
	if s.prints != nil {
		line = "{ " + line + "\n} 2>&1"
	}
	ts.Logf("$ %s", line)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("sh", "-c", line); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", line, err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", s.line, got, want)
	}
	if s.prints != nil {
		if err := printsAs(ts.ReadFile("stdout"), s.prints); err != nil {
			ts.Fatalf("%s: %v", s.line, err)
		}
	}
}

// passing matches what is different in each run.
var passing = []struct {
	re  *regexp.Regexp
	new string
}{
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "SHA256:FINGERPRINT"},
	{regexp.MustCompile(`SHA256: [A-Za-z0-9+/ ]{50,60}`), "SHA256: FINGER PRINT"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HEX"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "ID"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\bin [0-9.]+m?s\b`), "in TIME"},
	{regexp.MustCompile(` +`), " "},
}

// printsAs compares what a line prints with what a page says, but for keys, digests and
// times. A line "…" there stands for any number of lines, at the end of one for its
// rest, and order is free, since transfers end as they like.
func printsAs(got string, want []string) error {
	plain := func(s string) string {
		for _, p := range passing {
			s = p.re.ReplaceAllString(s, p.new)
		}
		return strings.TrimSpace(s)
	}
	var left []string
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		left = append(left, plain(line))
	}
	some := false
	for _, line := range want {
		if line = plain(line); line == "" {
			continue
		}
		if line == "…" {
			some = true
			continue
		}
		begin, cut := strings.CutSuffix(line, "…")
		i := slices.IndexFunc(left, func(s string) bool { return s == line || cut && strings.HasPrefix(s, begin) })
		if i < 0 {
			return fmt.Errorf("it does not print %q, but\n%s", line, got)
		}
		left = slices.Delete(left, i, i+1)
	}
	left = slices.DeleteFunc(left, func(s string) bool { return s == "" })
	if len(left) > 0 && !some {
		return fmt.Errorf("it prints more: %q", left)
	}
	return nil
}

// standIns are programs that need a cluster or a node. helm renders what it would
// install, pulled from the registry; kubectl looks for the files it is given.
var standIns = map[string]string{
	"helm": `
case "$1" in
upgrade)
	shift
	for a; do
		shift
		case "$a" in --install|--create-namespace|--wait|--rollback-on-failure) ;; *) set -- "$@" "$a" ;; esac
	done
	exec "$HELM" template "$@" ;;
history|rollback|status) exit 0 ;;
*) exec "$HELM" "$@" ;;
esac`,
	"kubectl": `
while [ $# -gt 0 ]; do
	case "$1" in
	-f) if [ "$2" = - ]; then grep -q . ; else test -e "$2" || { echo "no $2" >&2; exit 1; }; fi; shift ;;
	-k) "$KUSTOMIZE" build "$2" >kubectl.out || exit 1; shift ;;
	-o) echo "kind: Anything"; shift ;;
	esac
	shift
done`,
}

func writeStandIns(ts *testscript.TestScript) {
	dir := ts.MkAbs(".standins")
	ts.Check(os.MkdirAll(dir, 0o755))
	for name, script := range standIns {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh"+script+"\n"), 0o755))
	}
	path := ts.Getenv("PATH")
	for _, judge := range []string{"helm", "kustomize"} {
		for _, d := range filepath.SplitList(path) {
			if _, err := os.Stat(filepath.Join(d, judge)); err == nil {
				ts.Setenv(strings.ToUpper(judge), filepath.Join(d, judge))
				break
			}
		}
	}
	ts.Setenv("PATH", dir+string(filepath.ListSeparator)+path)
}
