package child

import (
	"bytes"
	"errors"
	"sync"
)

// A Cause says why a request has no answer.
type Cause int

const (
	Crashed Cause = iota // for a reason that is not known
	Memory               // it wanted more memory than it may have
	Stack                // it called itself too often
	Time                 // it took too long
	Killed               // somebody ended it: most likely the system, for want of memory
)

// An Error is a request that has no answer because the child is gone.
type Error struct {
	Cause Cause
	Note  string // what it worked at, as its session last said; may be empty
	Err   error  // the details of a Crashed
}

func (e *Error) Error() string {
	switch e.Cause {
	case Memory:
		return "the process ran out of memory"
	case Stack:
		return "the process ran out of stack"
	case Time:
		return "the process took too long"
	case Killed:
		return "the process was killed"
	}
	if e.Err == nil {
		return "the process ended"
	}
	return "the process ended: " + e.Err.Error()
}

// Unwrap returns the details.
func (e *Error) Unwrap() error { return e.Err }

// errStale is a child that ended for a reason that has to do with another request.
var errStale = errors.New("the process was ended")

// head keeps the first bytes that are written to it, and drops the rest.
type head struct {
	mu sync.Mutex
	b  []byte
}

const maxHead = 8 << 10

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, b[:min(len(b), maxHead-len(h.b))]...)
	return len(b), nil
}

// cause reads why a Go program died from the first that it wrote. The runtime says it
// in no other way: the exit code is 2 for all of them.
func (h *head) cause() Cause {
	h.mu.Lock()
	defer h.mu.Unlock()
	has := func(text string) bool { return bytes.Contains(h.b, []byte(text)) }
	switch {
	case has("stack exceeds"), has("stack overflow"):
		return Stack
	case has("out of memory"), has("cannot allocate memory"), has("failed to create new OS thread"):
		return Memory
	}
	return Crashed
}
