package reports

import (
	"fmt"

	"bundle/bundle/internal/diff"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/push"
)

// A Diff says what changes from one bundle to another.
type Diff struct {
	Old, New *Inspect
	Changes  *diff.Report
}

// A RegistryDiff says what an import of a bundle would change in a registry.
type RegistryDiff struct {
	Bundle   *Inspect
	Registry string
	Images   []push.Image // names in the registry
	Bytes    push.Bytes
	Lack     *push.LackError // layers that a delta requires and that are not there; nil: none
}

// A DifferentError is a difference where none was to be.
type DifferentError struct {
	Count int // of charts, images and names
}

func (e *DifferentError) Error() string {
	if e.Count == 1 {
		return "one thing differs"
	}
	return fmt.Sprintf("%d things differ", e.Count)
}

// Fault is that of something that is left to do.
func (e *DifferentError) Fault() (fault.Kind, string) { return fault.Incomplete, "" }

// Err is a *DifferentError where anything differs, else nil.
func (r *Diff) Err() error {
	c := r.Changes
	return different(len(c.Charts) + len(c.Images) + c.Referrers.Added + c.Referrers.Removed)
}

// Err is a *DifferentError where an import would change anything, else nil.
func (r *RegistryDiff) Err() error {
	n := 0
	for _, im := range r.Images {
		if im.Pushed {
			n++
		}
	}
	return different(n)
}

func different(n int) error {
	if n == 0 {
		return nil
	}
	return &DifferentError{n}
}
