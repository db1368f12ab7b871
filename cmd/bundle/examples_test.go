package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bundle/testdata/regtest"
)

// Every command has examples, and those are command lines that it takes.
func TestExamples(t *testing.T) {
	for _, cmd := range newRoot(io.Discard).Commands() {
		if !cmd.Runnable() || cmd.Name() == "help" {
			continue
		}
		lines := commandLines(cmd.Example)
		if !slices.ContainsFunc(lines, func(l []string) bool { return l[0] == cmd.Name() || cmd.Name() == "postrender" }) {
			t.Errorf("bundle %s has no example of itself", cmd.Name())
		}
		for _, line := range lines {
			takes(t, cmd.Name()+" --help", line)
		}
	}
	for _, line := range commandLines(newRoot(io.Discard).Example) {
		takes(t, "--help", line)
	}
}

// What the README calls and names is there: command lines, commands and flags.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	readme := regtest.ReadFile(t, "../../README.md")
	for _, topic := range topics {
		if strings.HasSuffix(topic.file, ".md") {
			readme += "\n" + page(topic.file)
		}
	}
	for _, line := range commandLines(readme) {
		takes(t, "README.md", line)
	}
	flags := map[string]bool{"help": true, "version": true, "all": true, "strict": true, "ignore-missing": true} // the last three of other programs
	names := map[string]bool{"help": true, "completion": true}
	for _, cmd := range newRoot(io.Discard).Commands() {
		names[cmd.Name()] = true
		for _, f := range flagNames(cmd) {
			flags[f] = true
		}
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
	}
	for _, found := range regexp.MustCompile("`[^`]*`").FindAllString(readme, -1) {
		if strings.Contains(found, "helm ") || strings.Contains(found, "aws ") || strings.Contains(found, "global.image") {
			continue
		}
		for _, m := range regexp.MustCompile("[` (]--([a-z][a-z0-9-]*)").FindAllStringSubmatch(found, -1) {
			if !flags[m[1]] {
				t.Errorf("README.md: %s: no command has --%s", found, m[1])
			}
		}
		for _, m := range regexp.MustCompile("^`bundle ([a-z0-9]+)").FindAllStringSubmatch(found, -1) {
			if !names[m[1]] {
				t.Errorf("README.md: %s: no such command", found)
			}
		}
	}
}

// The exit codes are the same ones wherever they are listed.
func TestExitCodesAlike(t *testing.T) {
	code := regexp.MustCompile(`(?m)^(?:\| | {2}| {4})(\d+) `)
	var lists []string
	for _, text := range []string{exitCodes, page("guides/scripting.md")} {
		var codes []string
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			codes = append(codes, m[1])
		}
		lists = append(lists, strings.Join(codes, " "))
	}
	if lists[0] != lists[1] || lists[0] == "" {
		t.Errorf("lists of exit codes: bundle --help %q, bundle help scripting %q", lists[0], lists[1])
	}
}

// takes requires that a command line is one, as far as it can be told without a run.
func takes(t *testing.T, where string, line []string) {
	t.Helper()
	root := newRoot(io.Discard)
	text := "bundle " + strings.Join(line, " ")
	if line[0] == "help" { // which has no flags, and takes names of all that there is
		line = line[1:]
	}
	cmd, args, err := root.Find(line)
	if err != nil || cmd == root && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		t.Errorf("%s: %s: no such command", where, text)
		return
	}
	if err := checkLine(cmd, args); err != nil {
		t.Errorf("%s: %s: %v", where, text, err)
	}
}

func checkLine(cmd *cobra.Command, args []string) error {
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if err := checkFlags(cmd); err != nil {
		return err
	}
	if cmd.PreRunE != nil {
		return cmd.PreRunE(cmd, cmd.Flags().Args())
	}
	return nil
}

// commandLines are the calls of bundle in a text whose code is indented: the words of
// each, as a shell makes them.
func commandLines(text string) (all [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	start := regexp.MustCompile(`^\s+(\$ )?(.*\| )?bundle `)
	printed := regexp.MustCompile(`^\s+bundle [0-9a-f]{16},`) // what an import says of a bundle
	for _, line := range strings.Split(text, "\n") {
		if !start.MatchString(line) || printed.MatchString(line) {
			continue
		}
		if words := shellWords(line[len(start.FindString(line)):]); len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// shellWords are the words of a simple command: quotes count, and it ends with a pipe,
// a redirection or a comment.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	inside := false
	end := func() {
		if inside {
			words = append(words, word.String())
		}
		word.Reset()
		inside = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inside = r, true
		case quote == 0 && r == ' ':
			end()
		case quote == 0 && !inside && strings.ContainsRune("|<>#;&", r):
			return words
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	end()
	return words
}
