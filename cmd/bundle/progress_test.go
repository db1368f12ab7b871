package main

import (
	"bytes"
	"strings"
	"testing"

	"bundle/bundle"
)

// What was skipped is shown apart from what moves, by lines and by the bar.
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
	out.Reset()
	b := &bar{w: &out}
	b.Phase("fetching", 10_000)
	b.Skip(4000)
	b.Add(3000)
	b.draw(10_000)
	b.End()
	got := out.String()
	if !strings.Contains(got, "fetching, 4.0 kB there already,  50%") || !strings.Contains(got, "(3.0/6.0 kB") {
		t.Errorf("the bar is %q", got)
	}
	// All of it was there.
	b.Phase("fetching", 10_000)
	b.Skip(10_000)
	b.draw(10_000)
	b.End()
}

// A registry that does not answer is named with the attempt that is waited for.
func TestProgressWaiting(t *testing.T) {
	var out bytes.Buffer
	w := bundle.Wait{Host: "registry.plant.local:5000", Attempt: 2, Of: 3}
	for _, pr := range []bundle.Progress{&lines{w: &out}, &bar{w: &out}} {
		told(pr)(w)
	}
	const line = "  waiting for registry.plant.local:5000 (attempt 2 of 3)\n"
	if got := out.String(); got != line+clearLine+line {
		t.Errorf("wrote %q", got)
	}
	if told(nil) != nil {
		t.Error("silence is told")
	}
}
