package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bundle/bundle/reports"
)

// What was skipped is shown apart from what moves.
func TestProgressCountsApart(t *testing.T) {
	var out bytes.Buffer
	l := &lines{w: &out}
	l.Phase("fetching", 10_000)
	l.Skip(4000)
	l.Add(6000)
	l.End()
	if got := out.String(); !strings.Contains(got, "fetching: 6.0 kB in ") || !strings.Contains(got, "4.0 kB more were there already") {
		t.Errorf("lines are %q", got)
	}
	s := barState{name: "fetching", total: 10_000, moved: 3000, there: 4000, elapsed: 2 * time.Second}
	if got := s.line(200); !strings.Contains(got, "fetching  50% [") || !strings.Contains(got, "3.0 kB of 6.0 kB, 2s left, 1.5 kB/s, 4.0 kB there already") {
		t.Errorf("the bar is %q", got)
	}
	// All of it was there.
	s = barState{name: "fetching", total: 10_000, there: 10_000}
	if got := s.line(100); !strings.Contains(got, "10.0 kB there already") {
		t.Errorf("the bar is %q", got)
	}
}

// The bar fits every window, and says the most important first.
func TestBarFits(t *testing.T) {
	s := barState{
		name: "fetching", total: 49_100_000, moved: 13_000_000, there: 14_900_000,
		done: 3, of: 12, thing: "image", elapsed: 4 * time.Second,
	}
	for width := 19; width <= 300; width++ {
		got := s.line(width)
		if n := utf8.RuneCountInString(got); n > width {
			t.Errorf("%d columns: %d in %q", width, n, got)
		}
		lead := "3 of 12 images  38%"
		if width >= 28 {
			lead = "fetching " + lead
		}
		if !strings.HasPrefix(got, lead) {
			t.Errorf("%d columns: %q", width, got)
		}
	}
}

// In windows for which the words are too long, the numbers stay.
func TestBarTitle(t *testing.T) {
	s := barState{name: "pushing", total: 100, moved: 50, done: 0, ready: 1104, of: 1200, thing: "image"}
	for width, want := range map[int]string{
		40: "pushing 1104 of 1200 images  50%",
		31: "1104 of 1200 images  50%",
		20: "1104 of 1200  50%",
		12: "50%",
	} {
		if got := s.line(width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
	if got := (barState{name: "reading", total: 100, moved: 50}).line(20); got != "reading  50%" {
		t.Errorf("%q", got)
	}
}

// In a window that becomes narrower, what the line takes then is wiped; no line is
// longer than the window.
func TestBarResizes(t *testing.T) {
	var out bytes.Buffer
	cols := 80
	b := &bar{w: plainTerminal{&out}, width: func() int { return cols }}
	b.Phase("resolving a chart with a name that is rather long, to see what becomes of it", 0)
	b.mu.Lock()
	cols = 30
	out.Reset()
	b.draw()
	b.mu.Unlock()
	if got := out.String(); !strings.HasPrefix(got, "\x1b[2A\r\x1b[Jresolving a chart with a nam") || !strings.HasSuffix(got, "…") {
		t.Errorf("drew %q", got)
	}
	b.Done("ghcr.io/acme/" + strings.Repeat("x", 100) + "\x1b[2J")
	b.End()
	for _, line := range strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if n := utf8.RuneCountInString(strings.NewReplacer("\x1b[K", "", "\x1b[J", "", "\x1b[2A", "").Replace(line)); n >= 30 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if strings.Contains(out.String(), "\x1b[2J") {
		t.Errorf("the terminal is told what a name says: %q", out.String())
	}
}

// A registry that does not answer is named with the attempt that is waited for.
func TestProgressWaiting(t *testing.T) {
	w := reports.Wait{Host: "registry.plant.local:5000", Attempt: 2, Of: 3}
	const line = "  waiting for registry.plant.local:5000 (attempt 2 of 3)\n"
	var plain, terminal bytes.Buffer
	told(&lines{w: &plain})(w)
	b := &bar{w: &terminal, width: func() int { return 80 }}
	told(b)(w)
	if plain.String() != line || !strings.HasPrefix(terminal.String(), clearLine+line) {
		t.Errorf("wrote %q and %q", plain.String(), terminal.String())
	}
	if told(nil) != nil {
		t.Error("silence is told")
	}
}

// While somebody is asked something, no bar stands in the way.
func TestBarPauses(t *testing.T) {
	var out bytes.Buffer
	b := &bar{w: &out, width: func() int { return 80 }}
	b.Phase("fetching", 100)
	resume := b.Pause()
	b.mu.Lock()
	out.Reset()
	b.mu.Unlock()
	b.Add(10)
	b.Done("thing")
	b.mu.Lock()
	if got := out.String(); strings.Contains(got, "fetching") {
		t.Errorf("drawn while paused: %q", got)
	}
	out.Reset()
	b.mu.Unlock()
	resume()
	b.End()
	if got := out.String(); !strings.Contains(got, "fetching  10%") {
		t.Errorf("not drawn again: %q", got)
	}
}
