package chart

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"time"

	"bundle/bundle/internal/fault"
)

// Limits of one render. A template cannot be interrupted: a render that passes
// one is given up, and the caller should soon end the process. Variables for
// the tests.
var (
	watchInterval   = 20 * time.Millisecond
	maxRenderTime   = 2 * time.Minute  // by the clock: the machine may be busy with other things
	maxRenderWork   = 20 * time.Second // of the processor, in a child; a key of 4096 bits takes one or two
	maxRenderMemory = int64(1 << 30)   // bytes that live on the heap beyond what did before
	maxRenderStack  = int64(300 << 20) // bytes of stacks beyond; Go ends the process at a GB for one
)

// Lower divides what a render may take by n from now on, but for its time, and returns
// what takes that back. It is for tests, which need not fill a machine to see what
// happens then.
func Lower(n int) (restore func()) {
	memory, stack, nodes, paths := maxRenderMemory, maxRenderStack, maxNodes, maxPaths
	ofChild, stackOfChild := childMemory, childStack
	maxRenderMemory, maxRenderStack, maxNodes, maxPaths = memory/int64(n), stack/int64(n), nodes/n, paths/n
	childMemory, childStack = ofChild/int64(n), stackOfChild/n
	return func() {
		maxRenderMemory, maxRenderStack, maxNodes, maxPaths = memory, stack, nodes, paths
		childMemory, childStack = ofChild, stackOfChild
	}
}

// works is set in a child, which does nothing else than render.
var works = false

// A LimitError is a render that was given up.
type LimitError struct {
	Chart    string
	Template string // that was at work last; empty where that is not known
	What     string
}

// Error leaves the name of the chart to those who know its version.
func (e *LimitError) Error() string {
	at := ""
	if e.Template != "" {
		at = " in " + e.Template
	}
	return fmt.Sprintf("its templates took %s, and were given up%s", e.What, at)
}

// Fault says whose fault it is.
func (e *LimitError) Fault() (fault.Kind, string) {
	return fault.Failed, "a template that repeats, loops or calls itself that often is a mistake in the chart or in the values, or is there to do harm"
}

// Stopped is the error of work on the named chart that ended with ctx: a
// *LimitError where that is the cause.
func Stopped(ctx context.Context, name string) error {
	var limit *LimitError
	if errors.As(context.Cause(ctx), &limit) {
		return limit
	}
	return fmt.Errorf("render chart %s: %w", name, ctx.Err())
}

// await waits for the render of the named chart, within the limits.
func await[T any](ctx context.Context, name string, done <-chan T) (result T, err error) {
	heap, stack := memory()
	start, used := time.Now(), processorTime()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case result = <-done:
			return result, nil
		case <-ctx.Done():
			return result, Stopped(ctx, name)
		case <-tick.C:
			if time.Since(start) > maxRenderTime {
				return result, &LimitError{Chart: name, What: "more than " + maxRenderTime.String()}
			}
			if works && processorTime()-used > maxRenderWork {
				return result, &LimitError{Chart: name, What: "more than " + maxRenderWork.String() + " of the processor"}
			}
			nowHeap, nowStack := memory()
			if nowHeap-heap > maxRenderMemory {
				return result, &LimitError{Chart: name, What: fmt.Sprintf("more than %d MiB of memory", maxRenderMemory>>20)}
			}
			if nowStack-stack > maxRenderStack {
				return result, &LimitError{Chart: name, What: fmt.Sprintf("more than %d MiB of memory in recursion", maxRenderStack>>20)}
			}
		}
	}
}

// memory is the number of bytes in objects, dead ones that are not yet swept
// included, and in stacks.
func memory() (heap, stack int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}
