package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bundle/bundle"
)

// checkFlags refuses what no command can mean, before anything is done: a variable
// of a script that was not set becomes an empty value, and must not be taken for no
// flag at all.
func checkFlags(cmd *cobra.Command) error {
	var bad error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		empty := f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = slices.Contains(list.GetSlice(), "")
		}
		if empty && !slices.Contains([]string{"comment", "set", "set-string", "render-secrets"}, f.Name) && bad == nil {
			bad = &bundle.UsageError{
				What:   fmt.Sprintf("--%s is empty", f.Name),
				Advice: "give it a value, or leave the flag out; in a script, the variable may not be set",
			}
		}
	})
	if bad != nil {
		return bad
	}
	mode, _ := cmd.Flags().GetString("progress")
	if !slices.Contains(progressModes, mode) {
		return &bundle.UsageError{What: fmt.Sprintf("--progress %q: want auto, plain or none", mode)}
	}
	return nil
}

var progressModes = []string{"auto", "plain", "none"}

// without refuses flags that mean nothing together: in each list, all others with the
// first.
func without(cmd *cobra.Command, lists [][]string) error {
	for _, list := range lists {
		for _, other := range list[1:] {
			if cmd.Flags().Changed(list[0]) && cmd.Flags().Changed(other) {
				return &bundle.UsageError{What: fmt.Sprintf("--%s means nothing with --%s", other, list[0]), Advice: "drop one of them"}
			}
		}
	}
	return nil
}

// wrongFlag explains a flag that could not be read.
func wrongFlag(cmd *cobra.Command, err error) error {
	e := &bundle.UsageError{What: err.Error(), Advice: "see " + cmd.CommandPath() + " --help"}
	var (
		value   *pflag.InvalidValueError
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
	)
	switch {
	case errors.As(err, &value):
		e.What = fmt.Sprintf("--%s %q: %s", value.GetFlag().Name, value.GetValue(), plainCause(value.Unwrap()))
	case errors.As(err, &missing):
		e.What = fmt.Sprintf("--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = "-" + unknown.GetSpecifiedName()
		}
		e.What = "unknown flag " + name
		if near := nearest(unknown.GetSpecifiedName(), flagNames(cmd)); near != "" {
			e.Advice = "did you mean --" + near + "? " + e.Advice
		} else if others := whoHas(cmd, unknown.GetSpecifiedName()); len(others) > 0 {
			e.Advice = "it is a flag of bundle " + strings.Join(others, ", bundle ") + "; " + e.Advice
		}
	}
	return e
}

// whoHas are the other commands that have a flag.
func whoHas(cmd *cobra.Command, flag string) (all []string) {
	for _, c := range cmd.Root().Commands() {
		if c != cmd && c.Flags().Lookup(flag) != nil {
			all = append(all, c.Name())
		}
	}
	return all
}

// plainCause drops what Go's parsers say of themselves.
func plainCause(err error) string {
	text := err.Error()
	if strings.HasPrefix(text, "strconv.") || strings.HasPrefix(text, "parse error") {
		return "want a number"
	}
	return text
}

func flagNames(cmd *cobra.Command) []string {
	var all []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	return all
}

// nearest is the name that a misspelt one was meant for, or empty.
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if len(word) > 2 && strings.HasPrefix(n, word) {
			return n
		}
		if d := distance(word, n); d < least && d < len(word) {
			best, least = n, d
		}
	}
	return best
}

// distance counts the letters that differ: added, missing, changed or swapped.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = last, now, before
	}
	return rows[1][len(b)]
}
