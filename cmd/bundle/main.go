// Command bundle carries Helm applications across an air gap: export writes a
// chart and every image it needs into one signed file, import verifies that
// file, pushes it into a private registry and emits the values with which Helm
// pulls everything from there.
//
// The commands parse flags, call one function of package bundle, and print.
// Reports of people's work go to standard error, what a program may want to
// read (tables of a query, --json) to standard output.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

// grace is how long an interrupted command may take to clean up.
const grace = 1500 * time.Millisecond

// graceKey annotates a command that may take longer.
const graceKey = "grace"

func graceOf(root *cobra.Command, args []string) time.Duration {
	if cmd, _, err := root.Find(args); err == nil {
		if d, err := time.ParseDuration(cmd.Annotations[graceKey]); err == nil {
			return d
		}
	}
	return grace
}

func main() {
	if code, ok := bundle.Child(); ok {
		os.Exit(code)
	}
	// Memory counts more than the time of the collector: it lets the heap grow by two
	// fifths in place of doubling it. What is never touched takes no memory, and keeps
	// it from running all the time while the heap is small.
	debug.SetGCPercent(40)
	ballast := make([]byte, 8<<20)
	code := run(os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// run is the whole program; most tests run it in a process of its own.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default comes back: a second one kills. What does
	// not end by itself by then is a system call that nothing can interrupt.
	out := &stdout{f: os.Stdout}
	root := newRoot(out)
	patience := graceOf(root, args)
	ended := context.AfterFunc(ctx, func() {
		stop()
		time.Sleep(patience)
		fmt.Fprintln(os.Stderr, "bundle: interrupted while something did not answer; nothing was left half written under its name")
		os.Exit(bundle.Interrupted.Code())
	})
	defer ended()
	root.SetArgs(args)
	if err := misspelt(root, args); err != nil {
		printError(root, args, err)
		return bundle.KindOf(err).Code()
	}
	cmd, err := root.ExecuteContextC(ctx)
	if errors.Is(out.err, syscall.EPIPE) {
		return 128 + int(syscall.SIGPIPE) // nobody reads any more, and nobody wants to hear of it
	}
	if err != nil && !errors.Is(err, out.err) {
		printError(cmd, args, err)
	}
	if out.err != nil {
		unwritten := fmt.Errorf("standard output: %w", cause(out.err))
		printError(cmd, nil, &said{unwritten})
		if err == nil {
			err = unwritten
		}
	}
	if err == nil {
		return 0
	}
	return bundle.KindOf(err).Code()
}

// cause is what the system said, without the name that Go has for the file.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// stdout is standard output, and remembers whether all of it could be written:
// those who write tables do not ask.
type stdout struct {
	f   *os.File
	err error
}

func (s *stdout) Write(b []byte) (int, error) {
	n, err := s.f.Write(b)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// lost is what could not be written to standard output.
func lost(w io.Writer) error {
	if s, ok := w.(*stdout); ok {
		return s.err
	}
	return nil
}

// plainStdout is standard output itself, for those who write much to it and look at what
// became of it.
func plainStdout(w io.Writer) io.Writer {
	if s, ok := w.(*stdout); ok {
		return s.f
	}
	return w
}
