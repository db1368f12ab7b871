// Package lazy puts off what a run of the program may never ask for. To compile all its
// regular expressions takes longer than many a command.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp returns a function that compiles an expression at its first call, and panics
// like [regexp.MustCompile]. The tests of cmd/bundle compile all that are in the module.
//
//	var digest = lazy.Regexp(`^sha256:[0-9a-f]{64}$`)
//	if digest().MatchString(s) { ...
func Regexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
