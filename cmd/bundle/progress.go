package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"bundle/bundle"
)

// newProgress chooses how to show progress on standard error: a bar on a
// terminal, plain lines elsewhere, nothing when quiet.
func newProgress(cmd *cobra.Command) (bundle.Progress, error) {
	mode, _ := cmd.Flags().GetString("progress")
	quiet, _ := cmd.Flags().GetBool("quiet")
	w := cmd.ErrOrStderr()
	if mode == "auto" {
		mode = "plain"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			mode = "bar"
		}
	}
	switch {
	case quiet || mode == "none":
		return nil, nil
	case mode == "plain":
		return &lines{w: w}, nil
	}
	return &bar{w: w}, nil
}

// told is what registries that do not answer are reported to; nil for nobody.
func told(pr bundle.Progress) func(bundle.Wait) {
	if w, ok := pr.(interface{ Waiting(bundle.Wait) }); ok {
		return w.Waiting
	}
	return nil
}

// waiting is the line for a registry that does not answer.
func waiting(w bundle.Wait) string {
	return fmt.Sprintf("waiting for %s (attempt %d of %d)", w.Host, w.Attempt, w.Of)
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

// Waiting says that a registry does not answer.
func (l *lines) Waiting(w bundle.Wait) {
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

// clearLine empties the line that the cursor is on.
const clearLine = "\r\x1b[K"

// A bar shows bytes, rate and time left on one line of a terminal, and a line
// above it for each thing that is finished. It is drawn by a ticker from
// counters: the bar never stands in the way of the data. Bytes that need not be
// moved are said apart, and count neither for the rate nor for the time left.
type bar struct {
	w     io.Writer
	mu    sync.Mutex // guards bar and the terminal
	bar   *progressbar.ProgressBar
	name  string
	moved atomic.Int64
	left  atomic.Int64 // bytes of the total that were skipped
	stop  chan struct{}
	ticks errgroup.Group
}

func (b *bar) Phase(name string, total int64) {
	b.name = name
	b.moved.Store(0)
	b.left.Store(0)
	b.stop = make(chan struct{})
	if total <= 0 {
		fmt.Fprintf(b.w, "%s%s", clearLine, name)
		b.bar = nil
		return
	}
	b.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(b.w),
		progressbar.OptionSetDescription(name),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionThrottle(0),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
	)
	b.ticks.Go(func() error {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-b.stop:
				return nil
			case <-t.C:
				b.draw(total)
			}
		}
	})
}

// draw never lets the bar reach its end, where it would finish by itself.
func (b *bar) draw(total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.left.Load(); n > 0 {
		total = max(total-n, 1)
		b.bar.ChangeMax64(total)
		b.bar.Describe(b.name + ", " + size(n) + " there already,")
	}
	_ = b.bar.Set64(min(b.moved.Load(), total-1)) // a terminal that cannot be written to is not worth failing for
}

func (b *bar) Add(n int64)  { b.moved.Add(n) }
func (b *bar) Skip(n int64) { b.left.Add(n) }

func (b *bar) Done(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.w, "%s  done %s\n", clearLine, line)
}

// Waiting says above the bar that a registry does not answer.
func (b *bar) Waiting(w bundle.Wait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.w, "%s  %s\n", clearLine, waiting(w))
}

func (b *bar) End() {
	close(b.stop)
	_ = b.ticks.Wait() // its only result is nil
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.w, clearLine)
}

// size writes a number of bytes for people, in powers of 1000 as disks are
// sold.
func size(n int64) string {
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
