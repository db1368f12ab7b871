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

// lastWords keeps of what is written to it the last lines that are the runtime's, as far
// as their beginning tells: before them comes what a session says on the way, and after
// the first of them the traces of all goroutines.
type lastWords struct {
	mu   sync.Mutex
	line []byte // as far as it is written
	said [][]byte
}

const (
	maxLine = 256
	maxSaid = 8
)

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	for ended := true; ended; {
		var part []byte
		part, b, ended = bytes.Cut(b, []byte("\n"))
		w.line = append(w.line, part[:min(len(part), maxLine-len(w.line))]...)
		if !ended {
			break
		}
		if bytes.HasPrefix(w.line, []byte("fatal error: ")) || bytes.HasPrefix(w.line, []byte("runtime: ")) {
			w.said = append(w.said[max(0, len(w.said)+1-maxSaid):], bytes.Clone(w.line))
		}
		w.line = w.line[:0]
	}
	return n, nil
}

// cause reads why a Go program died from what its runtime wrote, which says it in no
// other way: the exit code is 2 for all of them.
func (w *lastWords) cause() Cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := bytes.Join(w.said, []byte("\n"))
	has := func(text string) bool { return bytes.Contains(all, []byte(text)) }
	switch {
	case has("stack exceeds"), has("stack overflow"):
		return Stack
	case has("out of memory"), has("cannot allocate memory"), has("failed to create new OS thread"):
		return Memory
	}
	return Crashed
}
