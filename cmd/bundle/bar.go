package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/reports"
)

// What a terminal does.
const (
	clearLine = "\r\x1b[K" // empties the line that the cursor is on
	upAndDown = "\x1b[J"   // empties that line and all below it
)

// A bar shows on one line of a terminal how far a step is, and above it a line for
// each thing that is finished. It is drawn by a ticker from counters: it never
// stands in the way of the data. It is never wider than the window, whatever becomes
// of that. Bytes that need not be moved are said apart, and count neither for the
// rate nor for the time left.
type bar struct {
	w     io.Writer
	width func() int // of the window, in columns

	mu    sync.Mutex // guards the terminal and all below
	state barState
	begun time.Time
	drawn int  // columns of the line that stands there
	ended bool // or paused: nothing is drawn
	cols  int  // of the window then

	moved, left atomic.Int64
	stop        chan struct{}
	ticks       errgroup.Group
}

// A barState is what is shown.
type barState struct {
	name         string
	total        int64 // bytes; 0: the step moves none
	moved, there int64
	done, of     int // things
	ready        int // things that lack no bytes any more, be they done or not
	thing        string
	elapsed      time.Duration
}

func (b *bar) Phase(name string, total int64) {
	b.mu.Lock()
	b.state = barState{name: name, total: total}
	b.begun, b.ended = time.Now(), false
	b.moved.Store(0)
	b.left.Store(0)
	b.stop = make(chan struct{})
	b.draw()
	b.mu.Unlock()
	b.ticks.Go(func() error {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-b.stop:
				return nil
			case <-t.C:
				b.mu.Lock()
				if !b.ended {
					b.draw()
				}
				b.mu.Unlock()
			}
		}
	})
}

// draw is called with mu held.
func (b *bar) draw() {
	b.state.moved, b.state.there, b.state.elapsed = b.moved.Load(), b.left.Load(), time.Since(b.begun)
	cols := b.width()
	line := b.state.line(cols - 1)
	fmt.Fprint(b.w, b.wipe(cols)+line)
	b.drawn, b.cols = utf8.RuneCountInString(line), cols
}

// wipe takes away the line that stands there. In a window that became narrower, it
// takes several lines now.
func (b *bar) wipe(cols int) string {
	if cols >= b.cols || b.drawn <= cols || cols == 0 {
		return clearLine
	}
	return fmt.Sprintf("\x1b[%dA\r%s", (b.drawn-1)/cols, upAndDown)
}

// above writes a line above the bar, and the bar anew. It is called with mu held.
func (b *bar) above(text string) {
	cols := b.width()
	fmt.Fprint(b.w, b.wipe(cols)+cut(text, cols-1)+"\n")
	b.drawn = 0
	if !b.ended {
		b.draw()
	}
}

// Expect says how many things there will be.
func (b *bar) Expect(n int, thing string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.of, b.state.thing = n, thing
}

// Ready says that one of them has all its bytes.
func (b *bar) Ready() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.ready++
}

func (b *bar) Add(n int64)  { b.moved.Add(n) }
func (b *bar) Skip(n int64) { b.left.Add(n) }

func (b *bar) Done(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.done++
	b.above("  done " + people(line))
}

// Tell writes a line above the bar: of that, nothing is cut off.
func (b *bar) Tell(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.w, b.wipe(b.width())+line+"\n")
	b.drawn = 0
}

// Waiting says above the bar that a registry does not answer.
func (b *bar) Waiting(w reports.Wait) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.above("  " + waiting(w))
}

func (b *bar) End() {
	close(b.stop)
	_ = b.ticks.Wait() // its only result is nil
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.w, b.wipe(b.width()))
	b.drawn, b.ended = 0, true
}

// Pause takes the line away while somebody is asked something. That time counts for
// nothing.
func (b *bar) Pause() func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.w, b.wipe(b.width()))
	b.drawn, b.ended = 0, true
	since := time.Now()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.begun, b.ended = b.begun.Add(time.Since(since)), false
		b.draw()
	}
}

// line is the state on one line of at most width columns: as much of it as fits, the
// most important first.
func (s barState) line(width int) string {
	if s.total <= 0 {
		return cut(s.name, width)
	}
	total := max(s.total-s.there, 1)
	share := min(float64(s.moved)/float64(total), 1)
	name := s.title(width - len(" 100%"))
	parts := []string{strings.TrimSpace(fmt.Sprintf("%s %3.0f%%", name, 100*share))} // in the order in which they stand
	add := func(text string) {
		if used := utf8.RuneCountInString(strings.Join(parts, ", ")); text != "" && used+2+utf8.RuneCountInString(text) <= width {
			parts = append(parts, text)
		}
	}
	add(size(s.moved) + " of " + size(total))
	if seconds := s.elapsed.Seconds(); seconds >= 1 && s.moved > 0 {
		rate := float64(s.moved) / seconds
		add(time.Duration(float64(total-s.moved)/rate*float64(time.Second)).Round(time.Second).String() + " left")
		add(size(int64(rate)) + "/s")
	}
	if s.there > 0 {
		add(size(s.there) + " there already")
	}
	line := strings.Join(parts, ", ")
	const least, most = 8, 30
	room := min(width-utf8.RuneCountInString(line)-3, most)
	if room < least {
		return cut(line, width)
	}
	_, rest, _ := strings.Cut(line, ", ")
	return strings.TrimRight(graphic(name, int64(1000*share), room)+" "+rest, " ")
}

// title is the name of the step and how many things it is through with, in at most
// width columns: the number is more to people than the name.
func (s barState) title(width int) string {
	if s.of == 0 {
		return s.name
	}
	done := min(max(s.done, s.ready), s.of)
	short := fmt.Sprintf("%d of %d", done, s.of)
	long := fmt.Sprintf("%d of %s", done, count(s.of, s.thing))
	for _, title := range []string{s.name + " " + long, long, short} {
		if utf8.RuneCountInString(title) <= width {
			return title
		}
	}
	return ""
}

// graphic draws a name, how many of 1,000 are done in percent, and a bar of room
// columns.
func graphic(name string, done int64, room int) string {
	p := progressbar.NewOptions64(1000,
		progressbar.OptionSetWriter(io.Discard), // the window's width, and so what is written to it, is ours to know
		progressbar.OptionSetDescription(name),
		progressbar.OptionSetWidth(room),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: "=", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetRenderBlankState(true),
	)
	_ = p.Set64(done) // into io.Discard
	return strings.TrimSpace(p.String())
}

// cut shortens a text to a number of columns.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string(r[:width-1]) + "…"
}

// plainTerminal lets through what the bar itself tells the terminal, and nothing
// else that it would obey.
type plainTerminal struct{ w io.Writer }

func (p plainTerminal) Write(b []byte) (int, error) {
	var out strings.Builder
	for rest := string(b); rest != ""; {
		plain, _, _ := strings.Cut(rest, "\x1b[")
		out.WriteString(strings.ReplaceAll(printable(strings.ReplaceAll(plain, "\r", "\n\n\n")), "\n\n\n", "\r"))
		if rest = rest[len(plain):]; rest == "" {
			break
		}
		end := strings.IndexAny(rest[2:], "AJK")
		if end < 0 {
			break
		}
		out.WriteString(rest[:end+3])
		rest = rest[end+3:]
	}
	if _, err := io.WriteString(p.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}
