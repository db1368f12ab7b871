// Package fault sorts errors by what a person can do about them, and holds the
// exit codes that stand for the kinds.
//
// The contract: an error that knows its kind is a [Fault], whichever package its
// type lives in; [KindOf] and [Hint] ask the first in the chain that knows, and
// nothing is ever found out from the text of a message. This package knows no
// other.
//
//	if err := run(); fault.KindOf(err) == fault.Usage {
//		fmt.Fprintln(os.Stderr, "hint:", fault.Hint(err))
//	}
package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Kind sorts errors by what the caller can do about them.
type Kind int

const (
	Failed      Kind = iota // anything not below
	Usage                   // the request itself is wrong
	Untrusted               // no signature, a bad one, or no trusted key
	Damaged                 // the bundle is not what its manifest says
	Refused                 // the registry refused: credentials, permission, TLS
	Incomplete              // done, but something is left for the user
	NeedsMore               // done as far as it goes: media are missing
	Undoing                 // an older bundle would replace what a newer one put there
	Interrupted             // the context was cancelled
)

// Code returns the exit code of a process that ends with this kind of error.
func (k Kind) Code() int {
	switch k {
	case Usage:
		return 2
	case Untrusted:
		return 3
	case Damaged:
		return 4
	case Refused:
		return 5
	case Incomplete:
		return 6
	case NeedsMore:
		return 7
	case Undoing:
		return 8
	case Interrupted:
		return 130
	}
	return 1
}

// A Fault is an error that knows its kind, and what the user can do next; an
// empty hint is none.
type Fault interface {
	error
	Fault() (kind Kind, hint string)
}

// KindOf sorts err by the first error in its chain that knows. A nil error is
// Failed: do not ask.
//
// The packages of the file formats know nothing of kinds. They say of their
// errors, as package net does with Timeout, whether the file is Damaged or
// Untrusted.
func KindOf(err error) Kind {
	if errors.Is(err, context.Canceled) {
		return Interrupted
	}
	var (
		fault     Fault
		damaged   interface{ Damaged() bool }
		untrusted interface{ Untrusted() bool }
	)
	switch {
	case errors.As(err, &fault):
		kind, _ := fault.Fault()
		return kind
	case errors.As(err, &untrusted) && untrusted.Untrusted():
		return Untrusted
	case errors.As(err, &damaged) && damaged.Damaged():
		return Damaged
	}
	return Failed
}

// Hint returns what the user can do next about err, or nothing.
func Hint(err error) string {
	var fault Fault
	if errors.As(err, &fault) {
		_, hint := fault.Fault()
		return hint
	}
	return ""
}

// A hinted error carries advice beside its message.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func (h *hinted) Fault() (Kind, string) { return KindOf(h.error), h.hint }

// WithHint adds advice to err, in place of what err says itself.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

// A UsageError is a request that cannot be carried out as it was made.
type UsageError struct {
	What   string
	Advice string
}

func (e *UsageError) Error() string { return e.What }

// Fault says how to ask instead.
func (e *UsageError) Fault() (Kind, string) { return Usage, e.Advice }

// An InputError is a file that the request names, and that cannot be used.
type InputError struct {
	Subject string // what it was to be, and its name; may be empty
	Err     error
	Advice  string // empty: that of Err, if it has one
}

// Input says which file that the user named cannot be used, and why. Where the command
// was interrupted meanwhile, the file is not to blame, and no advice is given.
func Input(subject string, err error, advice string) error {
	if errors.Is(err, context.Canceled) {
		advice = ""
	}
	return &InputError{Subject: subject, Err: err, Advice: advice}
}

func (e *InputError) Error() string {
	if e.Subject == "" {
		return e.Err.Error()
	}
	return e.Subject + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Fault makes it a wrong request.
func (e *InputError) Fault() (Kind, string) {
	if e.Advice == "" {
		return Usage, Hint(e.Err)
	}
	return Usage, e.Advice
}

// HintPath is for a file that is not where it was said to be.
const HintPath = "check the path: it counts from the folder in which the command runs"

// A DamagedError is a bundle whose content contradicts itself.
type DamagedError struct {
	Subject string // the entry, descriptor or reference
	Err     error
}

// Damage says what in a bundle contradicts what.
func Damage(subject string, err error) error { return &DamagedError{Subject: subject, Err: err} }

func (e *DamagedError) Error() string { return fmt.Sprintf("damaged bundle: %s: %v", e.Subject, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// Fault tells the way out of a damaged bundle.
func (e *DamagedError) Fault() (Kind, string) { return Damaged, HintDamaged }

// HintDamaged is the way out of a bundle that is not whole.
const HintDamaged = "carry the bundle again; `bundle verify` on the sending side tells whether the original is whole"

// An IncompleteError comes after the work was done as far as it could be: the
// output is whole and valid, but some references need the user.
type IncompleteError struct {
	Summary string
	Items   []string // one line each: what, where, why
	Advice  string
}

func (e *IncompleteError) Error() string {
	return e.Summary + "\n  " + strings.Join(e.Items, "\n  ")
}

// Fault says how to complete the work.
func (e *IncompleteError) Fault() (Kind, string) { return Incomplete, e.Advice }

// A ConfigError is a configuration file that cannot be used as it is.
type ConfigError struct {
	File string
	Line int // 0 where no line is to blame
	What string

	Advice string // empty: what a configuration file of an export holds
}

func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s: line %d: %s", e.File, e.Line, e.What)
}

// Fault names what a configuration file may hold.
func (e *ConfigError) Fault() (Kind, string) {
	if e.Advice != "" {
		return Usage, e.Advice
	}
	return Usage, "a configuration file has charts:, images: and platforms:, see the README"
}

// Both is an error of two, of which either may be nil: it is of a's kind, and says
// what both say.
func Both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &both{a, b}
}

type both struct{ a, b error }

func (e *both) Error() string   { return e.a.Error() + "\n" + e.b.Error() }
func (e *both) Unwrap() []error { return []error{e.a, e.b} }

func (e *both) Fault() (Kind, string) {
	hints := strings.Split(Hint(e.a), "\n")
	for _, line := range strings.Split(Hint(e.b), "\n") {
		if !slices.Contains(hints, line) {
			hints = append(hints, line)
		}
	}
	return KindOf(e.a), strings.TrimPrefix(strings.Join(hints, "\n"), "\n")
}

// Size writes a number of bytes for people, in powers of 1000 as disks are sold.
func Size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1000, 0
	for v >= 999.95 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	return fmt.Sprintf("%.1f %cB", v, units[u])
}
