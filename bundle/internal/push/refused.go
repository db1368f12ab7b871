package push

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/remote"
)

// answered reports whether err is what a registry says to one request, after which
// it may say something better to another.
func answered(err error) bool {
	var (
		e       *remote.Error
		damaged *fault.DamagedError
	)
	if !errors.As(err, &e) || errors.As(err, &damaged) {
		return false
	}
	switch e.Kind {
	case remote.Auth, remote.Denied, remote.NotFound, remote.Protocol:
		return true
	}
	return false
}

// bearable reports whether a registry that answers so to the question who is there
// may take pushes all the same: it refuses the question, and not the user.
func bearable(err error) bool {
	var e *remote.Error
	return remote.Refused(err) && errors.As(err, &e) && e.Kind != remote.Auth
}

// maxTrouble is what is borne in a row, without anything arriving in between, of
// failures that come after many attempts each: then the registry is ill. What was
// not answered at all weighs more.
const (
	maxTrouble = 8
	noAnswer   = 3
)

// bear notes what was refused, and returns what ends the run.
func (r *run) bear(key string, err error) error {
	var e *remote.Error
	isRemote := errors.As(err, &e)
	failing := isRemote && (e.Kind == remote.Unreachable || e.Kind == remote.RateLimited)
	if r.FailFast || !failing && !answered(err) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case failing && e.Status == 0:
		r.trouble += noAnswer
	case e.Attempts > 1:
		r.trouble++
	}
	if r.trouble >= maxTrouble {
		return err
	}
	r.refusals[key] = err
	return nil
}

// A RefusedError says what did not arrive, and why. What is beside it did.
type RefusedError struct {
	closed  map[string]error // repositories that cannot be pushed to
	total   int              // names
	lost    int              // of them
	lines   []string         // one for each name that was refused in a repository that can be pushed to
	hints   []string         // for these
	hint    string           // for the closed ones
	arrived bool
}

func (e *RefusedError) add(g *goal, err error) {
	e.lost++
	if e.closed[g.repo] != nil {
		return
	}
	e.lines = append(e.lines, fmt.Sprintf("%s (%s): %v", g.Target, g.Source, err))
	if h := fault.Hint(err); h != "" && !slices.Contains(e.hints, h) {
		e.hints = append(e.hints, h)
	}
}

// Error lists the repositories that cannot be pushed to, for their owner, and then
// what else was refused.
func (e *RefusedError) Error() string {
	var b strings.Builder
	if n := len(e.closed); n > 0 {
		fmt.Fprintf(&b, "%d of the repositories cannot be pushed to:", n)
		for _, repo := range slices.Sorted(maps.Keys(e.closed)) {
			fmt.Fprintf(&b, "\n  %s: %s", repo, whyClosed(e.closed[repo]))
		}
	}
	if len(e.lines) > 0 {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "the registry refused %d of %d:\n  %s", len(e.lines), e.total, strings.Join(e.lines, "\n  "))
	}
	return b.String()
}

// whyClosed is a refusal for its line in the list.
func whyClosed(err error) string {
	var e *remote.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	switch e.Kind {
	case remote.NotFound:
		return "does not exist: " + e.Cause()
	case remote.Denied, remote.Auth:
		return "may not be pushed to: " + e.Cause()
	}
	return e.Cause()
}

// Fault makes it incomplete where the rest arrived.
func (e *RefusedError) Fault() (fault.Kind, string) {
	const most = 4 // hints
	hints := slices.Clone(e.hints)
	if e.hint != "" {
		hints = append([]string{e.hint}, hints...)
	}
	if len(hints) > most {
		hints = hints[:most]
	}
	kind := fault.Refused
	if e.arrived {
		kind = fault.Incomplete
	}
	return kind, strings.Join(hints, "\n")
}
