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
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"bundle/bundle"
)

// grace is how long an interrupted command may take to clean up.
const grace = 1500 * time.Millisecond

func main() {
	// Memory counts more than the time of the collector: it lets the heap grow by two
	// fifths in place of doubling it. What is never touched takes no memory, and keeps
	// it from running all the time while the heap is small.
	debug.SetGCPercent(40)
	ballast := make([]byte, 8<<20)
	code := run(os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// run is the whole program; tests run it in a process of its own.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default comes back: a second one kills. What does
	// not end by itself by then is a system call that nothing can interrupt.
	ended := context.AfterFunc(ctx, func() {
		stop()
		time.Sleep(grace)
		fmt.Fprintln(os.Stderr, "bundle: interrupted while something did not answer; nothing was left half written under its name")
		os.Exit(exitCode(context.Canceled))
	})
	defer ended()
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	printError(cmd, err)
	return exitCode(err)
}

// exitCode maps an error to the code of the process; `bundle help exit-codes`
// and the README list them.
func exitCode(err error) int {
	switch bundle.KindOf(err) {
	case bundle.Usage:
		return 2
	case bundle.Untrusted:
		return 3
	case bundle.Damaged:
		return 4
	case bundle.Refused:
		return 5
	case bundle.Incomplete:
		return 6
	case bundle.NeedsMore:
		return 7
	case bundle.Interrupted:
		return 130
	}
	return 1
}
