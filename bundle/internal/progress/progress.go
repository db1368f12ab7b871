// Package progress carries what happens while bytes move to whoever shows it.
//
// The contract: a [Reporter] may be called from several goroutines at once, its
// counts never go backwards, and nil is allowed wherever [OrSilent] stands.
//
//	pr := progress.OrSilent(o.Progress)
//	pr.Phase("fetching", total)
//	defer pr.End()
//	io.Copy(w, progress.Reader(r, pr))
package progress

import (
	"sync"
)

// Reporter receives what happens while bytes move. Its methods are called from
// several goroutines at once. A nil Progress is allowed everywhere.
type Reporter interface {
	// Phase begins a step. total is the number of bytes it will move, 0 where
	// the step moves none.
	Phase(name string, total int64)
	// Add reports n more bytes moved. Bytes that a retry moves again count once.
	Add(n int64)
	// Skip reports n bytes of the total that need not be moved: an earlier run
	// has left them, or the registry has them already.
	Skip(n int64)
	// Done reports one finished thing: an image, a chart.
	Done(line string)
	// End closes the current phase.
	End()
}

// Expect tells how many things the current phase will report as done, if the
// reporter wants to know: it has a method Expect(n int, thing string) then.
func Expect(p Reporter, n int, thing string) {
	if e, ok := p.(interface{ Expect(int, string) }); ok {
		e.Expect(n, thing)
	}
}

// Pause keeps a reporter from writing where a person is asked something, until resume
// is called, if it can: it has a method Pause() (resume func()) then.
func Pause(p Reporter) (resume func()) {
	if r, ok := p.(interface{ Pause() func() }); ok {
		return r.Pause()
	}
	return func() {}
}

// Ready tells that one of the things that [Expect] announced has all its bytes, if the
// reporter wants to know: it has a method Ready() then. It is done only when it has its
// name too.
func Ready(p Reporter) {
	if e, ok := p.(interface{ Ready() }); ok {
		e.Ready()
	}
}

// Tell hands over a line that people have to read, where p shows any.
func Tell(p Reporter, line string) {
	if t, ok := p.(interface{ Tell(string) }); ok {
		t.Tell(line)
	}
}

type silent struct{}

func (silent) Phase(string, int64) {}
func (silent) Add(int64)           {}
func (silent) Skip(int64)          {}
func (silent) Done(string)         {}
func (silent) End()                {}

func OrSilent(p Reporter) Reporter {
	if p == nil {
		return silent{}
	}
	return &steady{Reporter: p}
}

// steady keeps a Progress from going backwards: what is taken back with a
// negative number has to be made up for before anything more is reported.
type steady struct {
	Reporter
	mu     sync.Mutex
	behind int64 // bytes taken back in this phase
}

func (s *steady) Phase(name string, total int64) {
	s.mu.Lock()
	s.behind = 0
	s.mu.Unlock()
	s.Reporter.Phase(name, total)
}

// Expect implements what [Expect] asks for.
func (s *steady) Expect(n int, thing string) { Expect(s.Reporter, n, thing) }

// Pause implements what [Pause] asks for.
func (s *steady) Pause() func() { return Pause(s.Reporter) }

// Tell implements what [Tell] asks for.
func (s *steady) Tell(line string) { Tell(s.Reporter, line) }

// Ready implements what [Ready] asks for.
func (s *steady) Ready() { Ready(s.Reporter) }

func (s *steady) Add(n int64) {
	if n = s.forward(n); n > 0 {
		s.Reporter.Add(n)
	}
}

func (s *steady) Skip(n int64) {
	if n = s.forward(n); n > 0 {
		s.Reporter.Skip(n)
	}
}

// forward returns how much of n is new.
func (s *steady) forward(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind -= n
	n = max(-s.behind, 0)
	s.behind = max(s.behind, 0)
	return n
}
