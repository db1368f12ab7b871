package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// newProgress chooses how to show progress on standard error: a bar on a
// terminal, plain lines elsewhere, nothing when quiet.
func newProgress(cmd *cobra.Command) bundle.Progress {
	mode, _ := cmd.Flags().GetString("progress")
	quiet, _ := cmd.Flags().GetBool("quiet")
	w := cmd.ErrOrStderr()
	if mode == "auto" {
		mode = "plain"
		if columns(w) > 0 {
			mode = "bar"
		}
	}
	switch {
	case quiet || mode == "none":
		return nil
	case mode == "plain":
		return &lines{w: plainText{w}}
	}
	return &bar{w: plainTerminal{w}, width: func() int { return columns(w) }}
}

// told is what registries that do not answer are reported to; nil for nobody.
func told(pr bundle.Progress) func(reports.Wait) {
	if w, ok := pr.(interface{ Waiting(reports.Wait) }); ok {
		return w.Waiting
	}
	return nil
}

// waiting is the line for a registry that does not answer.
func waiting(w reports.Wait) string {
	text := fmt.Sprintf("waiting for %s (attempt %d of %d)", w.Host, w.Attempt, w.Of)
	if !w.Since.IsZero() {
		text += fmt.Sprintf(", %s so far", time.Since(w.Since).Round(time.Second))
	}
	return text
}

// lines writes one line for each thing that is finished.
type lines struct {
	mu    sync.Mutex
	w     io.Writer
	name  string
	total int64
	start time.Time
	moved atomic.Int64
	left  atomic.Int64 // bytes of the total that were skipped
}

func (l *lines) Phase(name string, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name, l.total, l.start = name, total, time.Now()
	l.moved.Store(0)
	l.left.Store(0)
	if total > 0 {
		fmt.Fprintf(l.w, "%s %s\n", name, size(total))
		return
	}
	fmt.Fprintf(l.w, "%s\n", name)
}

func (l *lines) Add(n int64)  { l.moved.Add(n) }
func (l *lines) Skip(n int64) { l.left.Add(n) }

func (l *lines) Done(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "  done %s\n", line)
}

// Tell writes a line of its own.
func (l *lines) Tell(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, line)
}

// Waiting says that a registry does not answer.
func (l *lines) Waiting(w reports.Wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "  %s\n", waiting(w))
}

func (l *lines) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total > 0 {
		skipped := ""
		if n := l.left.Load(); n > 0 {
			skipped = ", " + size(n) + " more were there already"
		}
		fmt.Fprintf(l.w, "%s: %s in %s%s\n", l.name, size(l.moved.Load()), time.Since(l.start).Round(time.Millisecond), skipped)
	}
}

// size writes a number of bytes for people.
func size(n int64) string { return reports.Size(n) }
